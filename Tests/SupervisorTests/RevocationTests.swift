import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Whose statements do not count any more")
struct RevocationTests {
  private let rig: Rig

  init() {
    rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 7_000_000)
  }

  private var answers: [RequestOutcome] {
    rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } }
  }
  private func ask(_ message: RuntimeMessage) -> RequestOutcome? {
    let before = answers.count
    rig.host.say(message)
    rig.turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }
  private func release(nonce: [UInt8]? = nil) throws -> RuntimeMessage {
    let state = rig.supervisor.guardState
    let statement = SignedStatement(
      kind: .release, event: state.event, nonce: nonce ?? state.nonce, body: [], certificate: [0x30], signature: [1])
    return .statement(request: 7, try #require(statement))
  }
  private func pinOwner() { #expect(ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30])) == .done) }

  @Test("without an owner nobody is withdrawn")
  func noOwner() {
    #expect(ask(.revocations(request: 2, [1])) == .notPermitted)
    #expect(rig.supervisor.revocations.isEmpty)
  }

  @Test("a list counts once a worker has checked it, is taken again, and never gives way to a lesser one")
  func lists() {
    pinOwner()
    #expect(ask(.revocations(request: 2, [])) == .refused)
    #expect(ask(.revocations(request: 3, [1, 2])) == .done)
    #expect(ask(.revocations(request: 4, [1, 2])) == .done)
    #expect(ask(.revocations(request: 5, [9])) == .refused)
    #expect(rig.supervisor.revocations == [1, 2])
    #expect(ask(.revocations(request: 6, [1, 2, 3])) == .done)
    #expect(rig.supervisor.revocations == [1, 2, 3])
    #expect(rig.isAlive)
  }

  @Test("the statement of an admin who was withdrawn is refused, and one that was under way is stale")
  func withdrawn() throws {
    pinOwner()
    #expect(ask(try release()) == .done)
    let old = rig.supervisor.guardState.nonce
    #expect(ask(.revocations(request: 8, [Rig.withdrawn])) == .done)
    #expect(rig.supervisor.guardState.nonce != old)
    #expect(ask(try release(nonce: old)) == .stale)
    #expect(ask(try release()) == .notPermitted)
    // A runtime that is born later hears of nothing that was forgotten: what was brought once stays.
    rig.host.crash(.exited(code: 1))
    rig.run(for: 7_000_000)
    #expect(ask(try release()) == .notPermitted)
  }
}
