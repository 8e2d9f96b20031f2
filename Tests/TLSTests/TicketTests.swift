import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import Testing

@testable import TLS

@Suite struct TicketTests {
  /// Connects, lets the ticket arrive, ends. Returns what the server and the client saw.
  private func connect(_ server: TLSServerContext, _ client: TLSClientContext) throws -> (server: Recorder, client: Recorder) {
    let wire = try Wire(server: server, client: client)
    defer { wire.end() }
    try wire.pump()
    return (wire.server.recorder, wire.client.recorder)
  }

  @Test func aSessionIsResumedAndStillKnowsItsPeer() throws {
    let world = try World()
    let server = try world.server()
    let credential = try world.credential()
    let client = try world.client(credential)
    let first = try connect(server, client)
    #expect(first.server.completed?.resumed == false)
    for _ in 0..<3 {
      let next = try connect(server, client)
      #expect(next.server.completed?.resumed == true && next.client.completed?.resumed == true)
      #expect(next.server.completed?.peer == credential.certificate)
      #expect(next.client.completed?.peer?.subjectCommonName == "server")
    }
  }

  @Test func droppedKeysMakeAFullHandshake() throws {
    let world = try World()
    let tickets = SessionTicketKeys()
    let server = try world.server(tickets: tickets)
    let client = try world.client(world.credential())
    _ = try connect(server, client)
    tickets.drop()
    let next = try connect(server, client)
    #expect(next.server.completed?.resumed == false && next.server.errors.isEmpty)
    #expect(try connect(server, client).server.completed?.resumed == true)
  }

  @Test func anotherContextDoesNotResumeWithTheSameKeys() throws {
    let world = try World()
    let tickets = SessionTicketKeys()
    let own = try world.serverCredential()
    let client = try world.client(world.credential())
    _ = try connect(world.server(tickets: tickets, credential: own), client)
    let next = try connect(world.server(tickets: tickets, credential: own), client)
    #expect(next.server.completed?.resumed == false && next.server.errors.isEmpty)
  }

  @Test func anExpiredCertificateDoesNotResume() async throws {
    let world = try World()
    let server = try world.server()
    // Time enough for the first handshake on a busy machine.
    let short = try world.credential(until_s: 20)
    let client = try world.client(short)
    #expect(try connect(server, client).server.completed != nil)
    for _ in 0..<600 where world.clock.now_s() <= short.certificate.notAfter_s { try await Task.sleep(nanoseconds: 100_000_000) }
    let next = try connect(server, client)
    #expect(next.server.completed == nil)
    #expect(next.server.tlsErrors.first?.code == "certificate-expired" && next.server.tlsErrors.first?.alert == .certificateExpired)
  }

  @Test func thePolicyIsAskedAgain() throws {
    let world = try World()
    let revoked = Flag()
    let server = try world.server(policy: { certificate in revoked.value ? CertificateRefusal(.revoked, "\(certificate) was revoked") : nil })
    let client = try world.client(world.credential())
    _ = try connect(server, client)
    #expect(try connect(server, client).server.completed?.resumed == true)
    revoked.set()
    let next = try connect(server, client)
    #expect(next.server.completed == nil && next.server.tlsErrors.first?.alert == .certificateRevoked)
  }

  @Test func keysRotateByAge() throws {
    let keys = SessionTicketKeys(rotation_ms: 1000)
    let first = try #require(keys.sealingKey(now_ms: 10_000))
    #expect(keys.sealingKey(now_ms: 10_999)?.name == first.name)
    let second = try #require(keys.sealingKey(now_ms: 11_000))
    #expect(second.name != first.name)
    func opens(_ key: SessionTicketKeys.Key, _ now_ms: UInt64) -> Bool? {
      key.name.withUnsafeBytes { keys.openingKey(name: $0, now_ms: now_ms)?.isOld }
    }
    #expect(opens(first, 11_500) == true && opens(second, 11_500) == false)
    #expect(opens(first, 12_000) == nil && opens(second, 12_000) == true)
    keys.drop()
    #expect(opens(second, 12_000) == nil)
  }

  @Test func theEndOfAnAuthorityEndsItsSessions() throws {
    let world = try World()
    let leaf = try world.credential().certificate
    let verifier = PeerVerifier(trust: .authority, requiredUsage: World.usage, name: nil, policy: nil, clock: world.clock)
    #expect(verifier.refusalAtResumption(leaf, chainEnd_s: leaf.notAfter_s) == nil)
    #expect(verifier.refusalAtResumption(leaf, chainEnd_s: world.clock.now_s() - 1)?.kind == .expired)
  }
}
