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

  // MARK: Peers that have moved

  private func place(_ host: String, port: UInt16 = 8_443) throws -> PeerDestinations.Destination {
    let address = try #require(NetworkAddress(host))
    return try #require(PeerDestinations.Destination(address: address, port: port))
  }
  private func moved(_ from: String, _ to: String, port: UInt16 = 8_443) throws -> RequestOutcome? {
    rig.ask(.peerMoved(request: 7, from: try place(from, port: port), to: try #require(NetworkAddress(to))))
  }
  private func lease(_ address: UInt32, _ length: UInt8 = 24) throws -> RequestOutcome? {
    let prefix = try #require(IPv4Prefix(address: address, prefixLength: length))
    return rig.ask(.applyLease(request: 8, NetworkLease(prefix: prefix, router: 0, resolvers: [], valid_s: .max)))
  }
  private func set(_ hosts: String...) throws {
    let peers = try #require(PeerDestinations(hosts.map { try place($0) }))
    #expect(rig.ask(.statement(request: 5, try statement(.setPeers, body: peers.encoded))) == .done)
  }
  private var open: [String] { rig.board.fakePolicy.applied.last?.destinations.map { "\($0.address):\($0.port)" } ?? [] }

  @Test("a declared peer is let through at one more address of the link, while discovery is on; the owner's place stays")
  func followed() throws {
    pinOwner()
    try set("192.0.2.7", "198.51.100.4")
    #expect(try lease(0xc000_0232) == .done)
    #expect(try moved("192.0.2.7", "192.0.2.9") == .unknownName, "the owner has not switched it on")
    #expect(try order([1]) == .done)
    #expect(try moved("192.0.2.8", "192.0.2.9") == .unknownName, "no such peer is declared")
    #expect(try moved("192.0.2.7", "192.0.2.9", port: 443) == .unknownName, "nor one at that port")
    #expect(try moved("192.0.2.7", "192.0.2.9") == .done)
    #expect(open.sorted() == ["192.0.2.7:8443", "192.0.2.9:8443", "198.51.100.4:8443"], "it is open before it is answered")
    // One that is declared elsewhere may have come here, too.
    #expect(try moved("198.51.100.4", "192.0.2.10") == .done)
    rig.run(for: 10_000_000)
    #expect(open.sorted() == ["192.0.2.10:8443", "192.0.2.7:8443", "192.0.2.9:8443", "198.51.100.4:8443"])
    // A newer one takes the place of the one before; that it is back where it was declared leaves that alone.
    #expect(try moved("192.0.2.7", "192.0.2.11") == .done)
    rig.run(for: 10_000_000)
    #expect(open.contains("192.0.2.11:8443") && !open.contains("192.0.2.9:8443"))
    #expect(try moved("192.0.2.7", "192.0.2.7") == .done)
    rig.run(for: 10_000_000)
    #expect(open.sorted() == ["192.0.2.10:8443", "192.0.2.7:8443", "198.51.100.4:8443"])
    // Who is no peer any more is none at another address either; the end of discovery ends all of it.
    try set("192.0.2.7")
    rig.run(for: 10_000_000)
    #expect(open == ["192.0.2.7:8443"])
    rig.run(for: 60_000_000)
    #expect(try moved("192.0.2.7", "192.0.2.9") == .done)
    #expect(try order([0]) == .done)
    rig.run(for: 10_000_000)
    #expect(open == ["192.0.2.7:8443"])
  }

  @Test(
    "only another host of the link is taken",
    arguments: [
      "192.0.2.50", "192.0.2.0", "192.0.2.255", "192.0.3.9", "198.51.100.9", "127.0.0.1", "224.0.0.251", "255.255.255.255", "0.0.0.0", "fe80::1", "2001:db8::9",
    ])
  func neighboursOnly(_ host: String) throws {
    pinOwner()
    try set("192.0.2.7")
    #expect(try order([1]) == .done)
    #expect(try moved("192.0.2.7", "192.0.2.9") == .refused, "there is no lease, so no link")
    #expect(try lease(0xc000_0232) == .done)
    #expect(try moved("192.0.2.7", host) == .refused)
    #expect(open == ["192.0.2.7:8443"])
  }

  @Test("places that change too often are not followed; another link, and quarantine, end it")
  func bounded() throws {
    pinOwner()
    try set("192.0.2.7")
    #expect(try order([1]) == .done)
    #expect(try lease(0xc000_0232) == .done)
    for last in 1...4 { #expect(try moved("192.0.2.7", "192.0.2.10\(last)") == .done) }
    #expect(try moved("192.0.2.7", "192.0.2.105") == .busy)
    // The same once more is no change.
    #expect(try moved("192.0.2.7", "192.0.2.104") == .done)
    rig.run(for: 31_000_000)
    #expect(try moved("192.0.2.7", "192.0.2.105") == .done)
    #expect(rig.board.fakePolicy.applied.allSatisfy { $0.destinations.count <= 3 })
    // The lease is renewed: nothing changes. It is another one: what was found on the link before is not let through any more.
    #expect(try lease(0xc000_0232) == .done)
    rig.run(for: 10_000_000)
    #expect(open.contains("192.0.2.105:8443"))
    #expect(try lease(0xc633_6432) == .done)
    rig.run(for: 10_000_000)
    #expect(open == ["192.0.2.7:8443"])
    rig.board.fakePolicy.undeclared = 1
    rig.run(for: 1_000_000)
    #expect(try moved("192.0.2.7", "198.51.100.9") == .notInThisGrade)
    #expect(open.isEmpty)
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
