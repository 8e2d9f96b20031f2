import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// A wipe by label needs a press of the button that the supervisor saw itself, and ends in a restart of the machine.
@Suite("A wipe by label")
struct WipeTests {
  private let rig: Rig

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private var answers: [RequestOutcome] { rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } } }

  private func ask() -> RequestOutcome? {
    let before = answers.count
    rig.host.say(.wipeByLabel(request: 1))
    rig.turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }

  private func press(_ line: String = "button", value: Bool = true) {
    rig.board.fakeGpio.events = [LineEvent(name: line, value: value, at_us: rig.host.now)]
    rig.turn(most: 20) { rig.board.fakeGpio.events.isEmpty }
  }

  @Test func withoutTheButtonItIsRefused() {
    #expect(ask() == .notPermitted)
    press(value: false)
    #expect(ask() == .notPermitted)
    press("another")
    #expect(ask() == .notPermitted)
    #expect(rig.run(for: 20_000_000) == .goOn)
  }

  @Test func soonAfterAPressItIsAllowedOnceAndTheMachineRestarts() {
    press()
    #expect(ask() == .done)
    #expect(ask() == .notPermitted)
    #expect(rig.run(for: 20_000_000) == .restart(reason: "the device was wiped"))
  }

  @Test func aPressIsForgotten() {
    press()
    #expect(rig.run(for: rig.supervisor.limits.presence_us + 1_000_000) == .goOn)
    #expect(ask() == .notPermitted)
  }

  @Test func aQuarantinedDeviceIsNotWipedByTheRuntimesWord() {
    press()
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    #expect(ask() == .notInThisGrade)
  }
}
