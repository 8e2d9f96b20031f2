import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// A wipe by label needs a press of the button that the supervisor saw itself; any wipe is recorded before anyone hears of it, and ends in a restart of the
/// machine, on whose way the storage is destroyed.
@Suite("A wipe")
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
    rig.host.say(.allowWipe(request: 1))
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
    #expect((rig.board.fakeStorage.records, rig.board.fakeStorage.wipes) == (1, 0))
    let verdict = rig.run(for: 20_000_000)
    #expect(verdict == .restart(reason: "the device is wiped"))
    #expect(rig.isAlive && rig.board.fakeStorage.wipes == 0)
    rig.supervisor.shutDown(verdict)
    #expect(!rig.isAlive && rig.board.fakeStorage.wipes == 1)
  }

  @Test func aWipeThatCannotBeRecordedDoesNotBegin() {
    rig.board.fakeStorage.failsToRecord = true
    press()
    #expect(ask() == .failed)
    #expect(rig.run(for: 20_000_000) == .goOn)
    rig.supervisor.shutDown(.powerOff)
    #expect(rig.board.fakeStorage.wipes == 0)
  }

  @Test func aRecordWithoutAnAnswerDoesNotBeginItEither() {
    press()
    rig.host.workerRuns = false
    rig.host.say(.allowWipe(request: 1))
    rig.run(for: rig.supervisor.limits.commit_us + 2_000_000)
    #expect(answers == [], "it may be there, so it is tried once more")
    rig.run(for: rig.supervisor.limits.commit_us + 2_000_000)
    #expect(answers == [.failed])
    #expect(rig.supervisor.wipeEnds_us == nil)
  }

  /// Killed after it was durable: the second try finds it, and the wipe goes on.
  @Test func aRecordWhoseAnswerWasLostIsFound() {
    press()
    rig.host.workerRuns = false
    rig.host.say(.allowWipe(request: 1))
    rig.turn(most: 20) { rig.supervisor.workers.values.contains { $0.job.isStorage } }
    rig.host.workerRuns = true
    rig.run(for: rig.supervisor.limits.commit_us + 2_000_000)
    #expect(answers == [.done])
    #expect(rig.board.fakeStorage.records == 1)
  }

  @Test func aRuntimeThatEndsMeanwhileHasNoSuccessor() {
    press()
    #expect(ask() == .done)
    rig.host.crash(.killed(signal: 9))
    let verdict = rig.run(for: 3_000_000)
    #expect(verdict == .restart(reason: "the device is wiped"))
    #expect(rig.supervisor.startCount == 1)
  }

  @Test("what is in memory only is not recorded; what is not open is not wiped", arguments: [StorageFacts.State.volatile, .damaged, .locked])
  func otherStorages(_ state: StorageFacts.State) {
    let rig = Rig()
    rig.board.fakeStorage.facts = StorageFacts(state: state, reason: "because")
    _ = rig.supervisor.boot()
    rig.turn { false }
    rig.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: rig.host.now)]
    rig.turn(most: 20) { rig.board.fakeGpio.events.isEmpty }
    rig.host.sent = []
    rig.host.say(.allowWipe(request: 1))
    rig.run(for: 1_000_000)
    let answers = rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } }
    #expect(answers == [state == .volatile ? .done : .failed])
    rig.supervisor.shutDown(.powerOff)
    #expect((rig.board.fakeStorage.records, rig.board.fakeStorage.wipes) == (0, 0))
  }

  @Test func aRecordWaitsForTheIdentityThatIsBeingKept() {
    press()
    rig.host.sent = []
    rig.host.say(.commitIdentity(request: 7))
    rig.host.say(.allowWipe(request: 8))
    rig.host.say(.commitIdentity(request: 9))
    rig.run(for: 1_000_000)
    #expect(answers == [.done, .done, .done])
    #expect((rig.board.fakeStorage.records, rig.board.fakeStorage.commits) == (1, 2))
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

  /// Else a device whose owner is lost would be in quarantine for ever.
  @Test func afterARestartTheLabelAndTheButtonWipeItInQuarantineToo() {
    #expect(rig.ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30])) == .done)
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    rig.turn(most: 3) { false }
    let next = rig.restarted()
    #expect(next.supervisor.guardState.grade == .quarantined)
    #expect(next.ask(.allowWipe(request: 1)) == .notPermitted)
    next.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: next.host.now)]
    next.turn(most: 20) { next.board.fakeGpio.events.isEmpty }
    #expect(next.ask(.allowWipe(request: 2)) == .done)
    #expect(next.run(for: 20_000_000) == .restart(reason: "the device is wiped"))
    #expect(next.beliefs.belief == nil)
    // In a quarantine that began since, the evidence stays.
    let other = rig.restarted()
    #expect(other.supervisor.owner == nil)
  }
}
