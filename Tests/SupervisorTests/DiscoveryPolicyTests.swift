import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Discovery is the owner's word to the supervisor")
struct DiscoveryPolicyTests {
  private let rig: Rig

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private var told: [Bool] { rig.host.heard.compactMap { if case .discovery(let isOn) = $0 { isOn } else { nil } } }
  private var isOpen: Bool { rig.board.fakePolicy.applied.last?.discovers == true }

  private func statement(_ kind: StatementKind, body: [UInt8] = [], isSigned: Bool = true) throws -> SignedStatement {
    let state = rig.supervisor.guardState
    return try #require(
      SignedStatement(kind: kind, event: state.event, nonce: state.nonce, body: body, certificate: [0x30], signature: isSigned ? [1] : [0]))
  }
  private func pinOwner() { #expect(rig.ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30, 0x01])) == .done) }
  private func order(_ body: [UInt8], isSigned: Bool = true) throws -> RequestOutcome? {
    rig.ask(.statement(request: 2, try statement(.setDiscovery, body: body, isSigned: isSigned)))
  }

  @Test("off by default; a signed word opens it, and the runtime hears of it when it is open; another closes it, after a good-bye")
  func opens() throws {
    pinOwner()
    #expect(!isOpen && told.isEmpty)
    let nonce = rig.supervisor.guardState.nonce
    #expect(try order([1]) == .done)
    #expect(rig.supervisor.guardState.nonce != nonce, "the same statement must not count twice")
    rig.turn(most: 20) {
      if !isOpen { #expect(told.isEmpty) }
      return !told.isEmpty
    }
    #expect(told == [true] && isOpen)
    // Said once more it changes nothing.
    #expect(try order([1]) == .done)
    rig.run(for: 2_000_000)
    #expect(told == [true] && isOpen)

    #expect(try order([0]) == .done)
    rig.run(for: 2_000_000)
    #expect(told == [true, false] && isOpen, "the runtime has a moment for its good-bye")
    rig.run(for: 5_000_000)
    #expect(told == [true, false] && !isOpen)
    // Back on within that moment: it stays open.
    #expect(try order([1]) == .done)
    #expect(try order([0]) == .done)
    #expect(try order([1]) == .done)
    rig.run(for: 10_000_000)
    #expect(told.last == true && isOpen)
  }

  @Test("what is unsigned, without an owner or not the one byte opens nothing")
  func refusals() throws {
    #expect(try order([1]) == .notPermitted)
    pinOwner()
    #expect(try order([1], isSigned: false) == .notPermitted)
    for body: [UInt8] in [[], [2], [255], [1, 1], [0, 1], [1, 0]] { #expect(try order(body) == .refused) }
    rig.run(for: 2_000_000)
    #expect(told.isEmpty && !isOpen && !rig.supervisor.discovers)
  }

  @Test("quarantine closes it at once, the good-bye's moment too; a release opens it again, and a runtime that starts meanwhile hears nothing of it")
  func graded() throws {
    pinOwner()
    #expect(try order([1]) == .done)
    rig.turn(most: 20) { !told.isEmpty }
    // A new runtime hears of it.
    rig.host.crash()
    rig.host.sent = []
    rig.run(for: 5_000_000)
    #expect(told == [true])
    rig.board.fakePolicy.undeclared = 1
    rig.run(for: 1_000_000)
    #expect(rig.supervisor.guardState.grade == .quarantined && !isOpen)
    rig.host.crash()
    rig.host.sent = []
    rig.run(for: 5_000_000)
    #expect(rig.host.heard.contains { if case .started = $0 { true } else { false } } && told.isEmpty && !isOpen)
    #expect(rig.ask(.statement(request: 3, try statement(.release))) == .done)
    rig.turn(most: 30) {
      if !isOpen { #expect(told.isEmpty) }
      return !told.isEmpty
    }
    #expect(told == [true] && isOpen)
    #expect(try order([0]) == .done)
    rig.board.fakePolicy.undeclared = 2
    rig.run(for: 1_000_000)
    #expect(rig.supervisor.guardState.grade == .quarantined && !isOpen)
  }

  @Test("a wipe ends it with the owner")
  func wiped() throws {
    pinOwner()
    #expect(try order([1]) == .done)
    rig.turn(most: 20) { !told.isEmpty }
    #expect(rig.ask(.statement(request: 3, try statement(.transfer))) == .done)
    #expect(rig.supervisor.belief == nil)
    rig.host.now = try #require(rig.supervisor.wipeEnds_us)
    guard case .restart = rig.supervisor.turn() else {
      Issue.record("the machine goes on")
      return
    }
    let next = rig.restarted()
    next.turn(most: 10) { false }
    #expect(!next.supervisor.discovers && next.board.fakePolicy.applied.last?.discovers == false)
  }
}
