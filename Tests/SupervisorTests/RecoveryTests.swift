import BoardAPI
import Foundations
import Identity
import SupervisorLink
import Testing

@testable import Supervisor

/// A recovery key goes past the runtime sealed, is kept by a worker, and is made by the next start of the machine.
@Suite("The recovery key")
struct RecoveryTests {
  private let rig: Rig

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private func statement(_ kind: StatementKind, body: [UInt8] = [], nonce: [UInt8]? = nil, isSigned: Bool = true) throws -> RuntimeMessage {
    let state = rig.supervisor.guardState
    let statement = SignedStatement(
      kind: kind, event: state.event, nonce: nonce ?? state.nonce, body: body, certificate: [0x30], signature: isSigned ? [1] : [0])
    return .statement(request: 7, try #require(statement))
  }
  private func pinOwner() { #expect(rig.ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30, 0x01])) == .done) }
  /// The audit log's entries, a kind and its words each.
  private func words(_ rig: Rig) -> [String] {
    rig.audit.events.map { event in
      ([event.kind.word] + event.values.compactMap { if case .word(let word) = $0 { word.text } else { nil } }).joined(separator: " ")
    }
  }
  private var offers: [[UInt8]] { rig.host.heard.compactMap { if case .recoveryOffer(let key) = $0 { key } else { nil } } }
  private var sealed: [UInt8] { FakeRecovery.publicKey + Array("opens the disk".utf8) }

  /// Identity and the link say the same of a sealed key, and neither knows the other.
  @Test func aSealedKeyFitsAStatement() {
    #expect(SignedStatement.sealedRecoveryKey_bytes == RecoveryKey.sealed_bytes)
    #expect(SignedStatement.bodyMaximum_bytes == OwnerStatement.bodyMaximum_bytes)
  }

  /// Each costs a process.
  @Test func aRuntimeThatAsksForKeysWithoutEndIsHeldBack() {
    #expect(rig.ask(.recoveryOffer(request: 1)) == .refused, "nobody could order one")
    pinOwner()
    let answers = (0..<12).map { rig.ask(.recoveryOffer(request: 100 + $0)) }
    #expect(answers.contains(.busy) && answers.contains(.done) && answers.count { $0 == .done } < 8, "\(answers)")
  }

  @Test func isOfferedAKeyThenKeptThenTheMachineRestarts() throws {
    pinOwner()
    #expect(rig.ask(.recoveryOffer(request: 2)) == .done)
    #expect(offers == [FakeRecovery.publicKey])
    let nonce = rig.supervisor.guardState.nonce
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed)) == .done)
    #expect(rig.board.fakeStorage.orders == ["set opens the disk"])
    #expect(rig.supervisor.guardState.nonce != nonce, "the statement counts once")
    // What the runtime heard holds neither half of the secret.
    #expect(!rig.host.sent.contains { $0.firstRange(of: FakeRecovery.privateKey) != nil || $0.firstRange(of: Array("opens the disk".utf8)) != nil })
    let verdict = rig.run(for: 20_000_000)
    #expect(verdict == .restart(reason: "for the recovery key"))
    #expect(rig.isAlive)
    rig.supervisor.shutDown(verdict)
    #expect(!rig.isAlive && rig.board.fakeStorage.wipes == 0)
    #expect(words(rig).contains("statement-accepted set-recovery-key"))
    #expect(words(rig).last == "shutdown ordered")
  }

  @Test func anOfferServesOnce() throws {
    pinOwner()
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed)) == .stale, "none was offered")
    #expect(rig.ask(.recoveryOffer(request: 2)) == .done)
    #expect(rig.ask(try statement(.setRecoveryKey, body: Array("to another key".utf8))) == .failed, "as a runtime would have it that offers its own")
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed)) == .stale, "it was used")
    #expect(rig.board.fakeStorage.orders == [] && rig.supervisor.recovery.restarts_us == nil)
  }

  @Test func onlyTheOwnersAdminOrdersIt() throws {
    #expect(rig.ask(try statement(.removeRecoveryKey)) == .notPermitted, "there is no owner")
    pinOwner()
    #expect(rig.ask(.recoveryOffer(request: 2)) == .done)
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed, isSigned: false)) == .notPermitted)
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed, nonce: [UInt8](repeating: 0xee, count: 32))) == .stale)
    #expect(rig.board.fakeStorage.orders == [])
    // The offer is still there for who may.
    #expect(rig.ask(try statement(.setRecoveryKey, body: sealed)) == .done)
    #expect(rig.ask(.recoveryOffer(request: 3)) == .busy, "the machine restarts in a moment")
    #expect(rig.ask(try statement(.removeRecoveryKey)) == .busy)
    #expect(rig.board.fakeStorage.orders == ["set opens the disk"])
  }

  @Test func isRemovedInTheSameWay() throws {
    pinOwner()
    #expect(rig.ask(try statement(.removeRecoveryKey)) == .done)
    #expect(rig.board.fakeStorage.orders == ["remove"])
    #expect(rig.run(for: 20_000_000) == .restart(reason: "for the recovery key"))
  }

  @Test func whatCannotBeKeptIsNotDone() throws {
    pinOwner()
    rig.board.fakeStorage.failsToRecord = true
    #expect(rig.ask(try statement(.removeRecoveryKey)) == .failed)
    #expect(rig.run(for: 20_000_000) == .goOn)
    rig.host.workerRuns = false
    rig.host.say(.recoveryOffer(request: 5))
    rig.run(for: rig.supervisor.limits.statement_us + 2_000_000)
    #expect(rig.answers.last == .failed, "a worker that hangs is killed")
    #expect(rig.run(for: 20_000_000) == .goOn)
  }

  @Test(arguments: [StorageFacts.State.volatile, .damaged, .locked])
  func aStorageThatIsNotOpenHasNone(_ state: StorageFacts.State) throws {
    let rig = Rig()
    rig.board.fakeStorage.facts = StorageFacts(state: state, reason: "why")
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    #expect(rig.ask(.recoveryOffer(request: 2)) == .refused)
  }

  @Test(arguments: [RecoveryKeyChange.none, .made, .removed, .failed])
  func whatOpeningChangedIsToldAndLogged(_ change: RecoveryKeyChange) throws {
    let rig = Rig()
    let key = RecoveryKeyFacts(fingerprint: [1, 2, 3, 4, 5, 6, 7, 8], ordered_s: 1_700_000_000)
    rig.board.fakeStorage.facts = StorageFacts(
      state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 3, reason: change == .failed ? "input/output error" : "",
      recoveryKey: key, recoveryChange: change)
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 20_000_000)
    let reports = rig.host.heard.compactMap { if case .storage(let report) = $0 { report } else { nil } }
    #expect(reports.first?.recoveryKey == RecoveryKeyReport(fingerprint: key.fingerprint, ordered_s: key.ordered_s))
    rig.supervisor.shutDown(.powerOff)
    let entries = words(rig).filter { $0.hasPrefix("recovery-key") }
    #expect(entries == (change == .none ? [] : ["recovery-key \(change)"]))
  }
}
