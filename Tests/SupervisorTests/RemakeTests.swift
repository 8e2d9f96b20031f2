import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// A storage that is damaged or locked is made anew only with somebody at the device, and the machine restarts.
@Suite("A storage is made anew")
struct RemakeTests {
  private let rig = Rig()

  private func boot(_ state: StorageFacts.State) {
    rig.board.fakeStorage.facts = StorageFacts(state: state, rootOfTrust: .tpm2, reason: "because")
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private var answers: [RequestOutcome] { rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } } }

  private func press() {
    rig.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: rig.host.now)]
    rig.turn(most: 20) { rig.board.fakeGpio.events.isEmpty }
  }

  private func ask() -> RequestOutcome? {
    let before = answers.count
    rig.host.say(.remakeStorage(request: 1))
    rig.turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }

  @Test("once, soon after a press, and the machine restarts", arguments: [StorageFacts.State.damaged, .locked])
  func withTheButton(_ state: StorageFacts.State) {
    boot(state)
    #expect(ask() == .notPermitted)
    press()
    #expect(ask() == .done && rig.board.fakeStorage.remakes == 1)
    #expect(ask() == .busy)
    let verdict = rig.run(for: 20_000_000)
    #expect(verdict == .restart(reason: "the device is wiped"))
    rig.supervisor.shutDown(verdict)
    // The way down destroys nothing of what was just made.
    #expect((rig.board.fakeStorage.remakes, rig.board.fakeStorage.wipes, rig.board.fakeStorage.commits) == (1, 0, 0))
  }

  @Test("never where there is something whole", arguments: [StorageFacts.State.open, .volatile])
  func whole(_ state: StorageFacts.State) {
    boot(state)
    press()
    #expect(ask() == .refused)
    #expect(rig.run(for: 20_000_000) == .goOn)
    #expect(rig.board.fakeStorage.remakes == 0)
  }

  @Test func aFailureIsToldAndMayBeTriedAgain() {
    boot(.damaged)
    rig.board.fakeStorage.failsToRemake = true
    press()
    #expect(ask() == .failed)
    #expect(rig.run(for: 20_000_000) == .goOn)
    rig.board.fakeStorage.failsToRemake = false
    #expect(ask() == .notPermitted, "each try wants a press of its own")
    press()
    #expect(ask() == .done)
  }

  @Test func aWorkerThatHangsIsKilledAndTheDeviceIsAsItWas() {
    boot(.damaged)
    press()
    rig.host.workerRuns = false
    rig.host.say(.remakeStorage(request: 1))
    rig.host.say(.remakeStorage(request: 2))
    rig.run(for: rig.supervisor.limits.remake_us + 2_000_000)
    #expect(answers == [.busy, .failed])
    #expect(rig.supervisor.wipeEnds_us == nil)
  }

  @Test func notInQuarantine() {
    boot(.damaged)
    press()
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    #expect(ask() == .notInThisGrade)
  }
}
