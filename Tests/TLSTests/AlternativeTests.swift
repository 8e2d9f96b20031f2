import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite("A server's second certificate, and a server whose own has ended") struct AlternativeTests {
  private func handshake(_ server: TLSServerContext, _ client: TLSClientContext) throws -> (server: Recorder, client: Recorder) {
    let wire = try Wire(server: server, client: client)
    defer { wire.end() }
    try wire.pump()
    return (wire.server.recorder, wire.client.recorder)
  }

  @Test("is shown to whoever asks for it by name, and to nobody else", arguments: [nil, "other", "next.example", "NEXT"])
  func byName(name: String?) throws {
    let world = try World()
    let (own, next) = (try world.serverCredential(), try world.serverCredential())
    let server = try TLSServerContext(
      chain: [own.certificate], key: own.key, trust: .authority([world.authority.certificate], requiredUsage: World.usage), clock: world.clock,
      tickets: SessionTicketKeys(), alternative: .init(serverName: "next.example", chain: [next.certificate], key: next.key))
    let person = try world.credential()
    let client = try TLSClientContext(
      chain: [person.certificate], key: person.key, trust: .authorityAnyName([world.authority.certificate]), clock: world.clock, serverName: name,
      remembersSessions: false)
    let seen = try handshake(server, client)
    let asks = name == "next.example"
    #expect(seen.client.completed?.peer == (asks ? next.certificate : own.certificate))
    #expect(seen.server.completed?.showedAlternative == asks)
    #expect(seen.server.completed?.peer == person.certificate)
  }

  @Test("that does not belong to its key makes no context")
  func wrongKey() throws {
    let world = try World()
    let (own, next) = (try world.serverCredential(), try world.serverCredential())
    #expect(throws: TLSError.self) {
      _ = try TLSServerContext(
        chain: [own.certificate], key: own.key, trust: .authority([world.authority.certificate], requiredUsage: World.usage), clock: world.clock,
        tickets: SessionTicketKeys(), alternative: .init(serverName: "next.example", chain: [next.certificate], key: own.key))
    }
  }

  @Test("one that has ended is accepted where that is asked for, and is everything else that it must be")
  func ended() throws {
    let world = try World()
    let person = try world.credential()
    func outcome(_ credential: World.Credential, _ trust: ServerTrust) throws -> String? {
      let client = try TLSClientContext(chain: [person.certificate], key: person.key, trust: trust, clock: world.clock, remembersSessions: false)
      let seen = try handshake(try world.server(credential: credential), client)
      return seen.client.completed == nil ? seen.client.tlsErrors.first?.code : nil
    }
    func credential(_ world: World, until_s: Int64, usages: [ASN1ObjectIdentifier] = [.serverAuthentication], from_s: Int64 = -3_600) throws -> World.Credential
    {
      try world.credential("server", usages: usages, names: [.dns("haechi-test")], from_s: from_s, until_s: until_s)
    }
    let strict = ServerTrust.authority([world.authority.certificate], name: .dns("haechi-test"))
    let lenient = ServerTrust.authorityEvenExpired([world.authority.certificate], name: .dns("haechi-test"))
    let ended = try credential(world, until_s: -60)
    #expect(try outcome(ended, strict) == "certificate-expired")
    #expect(try outcome(ended, lenient) == nil)
    #expect(try outcome(credential(world, until_s: 60), lenient) == nil)
    #expect(try outcome(credential(world, until_s: 7_200, from_s: 3_600), lenient) == "certificate-not-yet-valid")
    #expect(try outcome(credential(World("another"), until_s: -60), lenient) == "certificate-untrusted")
    #expect(try outcome(credential(world, until_s: -60, usages: [.clientAuthentication]), lenient) == "certificate-purpose")
    #expect(
      try outcome(ended, .authorityEvenExpired([world.authority.certificate], name: .dns("another-name"))) == "certificate-profile")
    #expect(throws: TLSError.self) {
      _ = try TLSClientContext(chain: [], key: nil, trust: .authorityEvenExpired([], name: .dns("haechi-test")), clock: world.clock)
    }
  }
}
