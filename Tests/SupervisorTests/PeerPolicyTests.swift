import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Peers and the release are the owner's word to the supervisor")
struct PeerPolicyTests {
  private let rig: Rig

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private var answers: [RequestOutcome] { rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } } }
  private var told: [PeerDestinations] { rig.host.heard.compactMap { if case .peers(let peers) = $0 { peers } else { nil } } }
  private var lastRules: NetworkPolicyRules? { rig.board.fakePolicy.applied.last }

  private func ask(_ message: RuntimeMessage) -> RequestOutcome? {
    let before = answers.count
    rig.host.say(message)
    rig.turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }
  private func statement(_ kind: StatementKind, body: [UInt8] = [], isSigned: Bool = true) throws -> SignedStatement {
    let state = rig.supervisor.guardState
    return try #require(
      SignedStatement(kind: kind, event: state.event, nonce: state.nonce, body: body, certificate: [0x30], signature: isSigned ? [1] : [0]))
  }
  private func pinOwner() { #expect(ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30, 0x01])) == .done) }
  private func peers(_ hosts: String...) throws -> PeerDestinations {
    let list = try hosts.map { host in
      let address = try #require(NetworkAddress(host))
      return try #require(PeerDestinations.Destination(address: address, port: 8_443))
    }
    return try #require(PeerDestinations(list))
  }
  private func set(_ peers: PeerDestinations) throws -> RequestOutcome? { ask(.statement(request: 2, try statement(.setPeers, body: peers.encoded))) }

  @Test("a signed list opens the network for exactly these places, and the runtime hears of it when they are open")
  func opens() throws {
    pinOwner()
    let two = try peers("192.0.2.7", "192.0.2.8")
    let nonce = rig.supervisor.guardState.nonce
    #expect(try set(two) == .done)
    #expect(rig.supervisor.guardState.nonce != nonce, "the same statement must not count twice")
    rig.turn(most: 10) { !told.isEmpty }
    #expect(told == [two])
    #expect(
      lastRules?.destinations.map(\.address.description) == ["192.0.2.7", "192.0.2.8"] && lastRules?.destinations.allSatisfy { $0.port == 8_443 } == true)
    // No names are asked for on their account.
    #expect(lastRules?.resolvers.isEmpty == true)
    // One is withdrawn: let through for a moment longer, and then not any more.
    let one = try peers("192.0.2.8")
    #expect(try set(one) == .done)
    rig.run(for: 30_000_000)
    #expect(told.last == one && lastRules?.destinations.map(\.address.description) == ["192.0.2.8"])
    #expect(try set(.none) == .done)
    rig.run(for: 30_000_000)
    #expect(told.last == PeerDestinations.none && lastRules?.destinations.isEmpty == true)
  }

  @Test("a runtime that is started anew hears where peers are; quarantine closes the way to them")
  func graded() throws {
    pinOwner()
    let one = try peers("192.0.2.7")
    #expect(try set(one) == .done)
    rig.turn(most: 10) { !told.isEmpty }
    rig.host.crash()
    rig.run(for: 5_000_000)
    #expect(told == [one])
    rig.board.fakePolicy.undeclared = 1
    rig.run(for: 1_000_000)
    #expect(rig.supervisor.guardState.grade == .quarantined)
    rig.turn(most: 10) { false }
    #expect(lastRules?.destinations.isEmpty == true)
    // A runtime that starts in quarantine hears of no place.
    rig.host.crash()
    rig.host.sent = []
    rig.run(for: 5_000_000)
    #expect(rig.host.heard.contains { if case .started = $0 { true } else { false } } && told.isEmpty)
    // Released: the way is open before the runtime hears of it, or its first packet would put the device back into quarantine.
    rig.host.say(.statement(request: 3, try statement(.release)))
    rig.turn(most: 30) {
      if lastRules?.destinations.isEmpty != false { #expect(told.isEmpty) }
      return !told.isEmpty
    }
    #expect(told == [one] && lastRules?.destinations.map(\.address.description) == ["192.0.2.7"])
    #expect(rig.supervisor.guardState.grade == .normal)
  }

  @Test("places that are declared just before a quarantine are told after it")
  func declaredInto() throws {
    pinOwner()
    let one = try peers("192.0.2.7")
    rig.host.say(.statement(request: 2, try statement(.setPeers, body: one.encoded)))
    rig.turn(most: 20) { rig.supervisor.peers == one }
    rig.board.fakePolicy.undeclared = 1
    rig.run(for: 1_000_000)
    #expect(rig.supervisor.guardState.grade == .quarantined)
    rig.host.sent = []
    rig.turn(most: 10) { false }
    #expect(told.isEmpty)
    #expect(ask(.statement(request: 3, try statement(.release))) == .done)
    rig.turn(most: 10) { !told.isEmpty }
    #expect(told == [one] && lastRules?.destinations.map(\.address.description) == ["192.0.2.7"])
  }

  @Test("what is unsigned, without an owner or not in the one form changes nothing")
  func refusals() throws {
    let one = try peers("192.0.2.7")
    #expect(try set(one) == .notPermitted)
    pinOwner()
    #expect(ask(.statement(request: 2, try statement(.setPeers, body: one.encoded, isSigned: false))) == .notPermitted)
    for body: [UInt8] in [[0], one.encoded + one.encoded, Array(one.encoded.dropLast()), [4, 192, 0, 2, 7, 0, 0]] {
      #expect(ask(.statement(request: 2, try statement(.setPeers, body: body))) == .refused)
    }
    #expect(told.isEmpty && rig.supervisor.peers == .none && lastRules?.destinations.isEmpty == true)
  }

  @Test(
    "places that are no host's are refused, for the network rules would refuse them and every later change",
    arguments: [
      "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "ff02::1",
    ])
  func hostsOnly(_ host: String) throws {
    pinOwner()
    let wrong = try peers("192.0.2.7", host)
    #expect(try set(wrong) == .refused)
    let broker = try #require(CloudDestination(host: host, port: 8_883))
    #expect(ask(.statement(request: 2, try statement(.bindCloud, body: broker.encoded))) == .refused)
    #expect(rig.supervisor.peers == .none && rig.supervisor.destination == nil)
    let right = try peers("192.0.2.7")
    #expect(try set(right) == .done)
    rig.turn(most: 10) { !told.isEmpty }
    #expect(lastRules?.destinations.map(\.address.description) == ["192.0.2.7"])
  }

  @Test("a signed release restarts the machine soon after; an unsigned one does not")
  func transfer() throws {
    pinOwner()
    #expect(ask(.statement(request: 2, try statement(.transfer, isSigned: false))) == .notPermitted)
    #expect(rig.supervisor.wipeEnds_us == nil)
    #expect(ask(.statement(request: 3, try statement(.transfer))) == .done)
    let ends_us = try #require(rig.supervisor.wipeEnds_us)
    rig.host.now = ends_us
    guard case .restart(let reason) = rig.supervisor.turn() else {
      Issue.record("the machine goes on")
      return
    }
    #expect(reason.contains("wiped"))
  }
}
