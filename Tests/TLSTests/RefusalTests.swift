import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import TLS
import Testing

/// Every client that a server must refuse gets an alert, and neither side's application sees a byte of the other.
@Suite struct RefusalTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: String
    let alert: TLSAlert
    let client: @Sendable (World) throws -> World.Credential?
  }

  static let byAuthority: [Case] = [
    Case(testDescription: "no certificate", code: "certificate-missing", alert: .certificateRequired) { _ in nil },
    Case(testDescription: "expired", code: "certificate-expired", alert: .certificateExpired) { try $0.credential(from_s: -7200, until_s: -60) },
    Case(testDescription: "not yet valid", code: "certificate-not-yet-valid", alert: .badCertificate) { try $0.credential(from_s: 3600) },
    Case(testDescription: "another authority of the same name", code: "certificate-untrusted", alert: .unknownCA) { _ in try World().credential() },
    Case(testDescription: "another authority", code: "certificate-untrusted", alert: .unknownCA) { _ in try World("other").credential() },
    Case(testDescription: "self-signed", code: "certificate-untrusted", alert: .unknownCA) { try $0.credential(selfSigned: true) },
    Case(testDescription: "without our usage", code: "certificate-purpose", alert: .unsupportedCertificate) {
      try $0.credential(usages: [.clientAuthentication])
    },
    Case(testDescription: "not for clients", code: "certificate-purpose", alert: .unsupportedCertificate) {
      try $0.credential(usages: [.serverAuthentication, World.usage])
    },
  ]

  @Test(arguments: byAuthority) func isRefusedByAnAuthority(_ refused: Case) throws {
    let world = try World()
    try check(refused, world, trust: nil)
  }

  @Test func anAuthorityWithAWrongSignatureOfItsOwnIsNoAuthority() throws {
    let world = try World()
    var der = world.authority.certificate.der
    // The last byte is one of the signature's.
    der[der.count - 1] ^= 1
    let broken = try Certificate(der: der)
    let error = #expect(throws: TLSError.self) { _ = try world.server(trust: .authority([broken], requiredUsage: World.usage)) }
    #expect(error?.code == "context-invalid" && error?.reason.contains("self-signed") == true)
  }

  static let selfSigned: [Case] = [
    Case(testDescription: "no certificate", code: "certificate-missing", alert: .certificateRequired) { _ in nil },
    Case(testDescription: "expired", code: "certificate-expired", alert: .certificateExpired) {
      try $0.credential(from_s: -7200, until_s: -60, selfSigned: true)
    },
    Case(testDescription: "not yet valid", code: "certificate-not-yet-valid", alert: .badCertificate) { try $0.credential(from_s: 3600, selfSigned: true) },
    Case(testDescription: "signed by an authority", code: "certificate-untrusted", alert: .unknownCA) { try $0.credential() },
    Case(testDescription: "not for clients", code: "certificate-purpose", alert: .unsupportedCertificate) {
      try $0.credential(usages: [.serverAuthentication], selfSigned: true)
    },
  ]

  @Test(arguments: selfSigned) func isRefusedWhereSelfSignedIsAsked(_ refused: Case) throws {
    try check(refused, World(), trust: .selfSigned)
  }

  private func check(_ refused: Case, _ world: World, trust: ClientTrust?) throws {
    let wire = try Wire(server: world.server(trust: trust), client: world.client(refused.client(world)), seed: 3, largestFragment: 700)
    defer { wire.end() }
    let toServer = wire.write(Array("GET / HTTP/1.1\r\n\r\n".utf8), from: wire.client.channel)
    let toClient = wire.write(Array("secret".utf8), from: wire.server.channel)
    try wire.pump()
    _ = toServer
    let error = try #require(wire.server.recorder.tlsErrors.first)
    #expect(wire.server.recorder.tlsErrors.count == 1)
    #expect(error.code == refused.code && error.side == .local && error.alert == refused.alert, "\(error)")
    #expect(wire.server.recorder.received.isEmpty && wire.server.recorder.completed == nil)
    #expect(wire.client.recorder.received.isEmpty)
    #expect(throws: TLSError.self) { try toClient.wait() }
    let told = try #require(wire.client.recorder.tlsErrors.first)
    #expect(told.code == "peer-alert" && told.side == .peer && told.alert == refused.alert, "\(told)")
    #expect(wire.server.recorder.inactive && wire.client.recorder.inactive)
  }

  @Test func thePolicyHasTheLastWord() throws {
    let world = try World()
    let server = try world.server(policy: { certificate in
      certificate.subjectCommonName == "mallory" ? CertificateRefusal(.revoked, "\(certificate.subject) was revoked") : nil
    })
    let refused = try Wire(server: server, client: world.client(world.credential("mallory")))
    defer { refused.end() }
    try refused.pump()
    #expect(refused.server.recorder.tlsErrors.first?.alert == .certificateRevoked)
    #expect(refused.server.recorder.tlsErrors.first?.certificateSubject == "CN=mallory")
    let accepted = try Wire(server: server, client: world.client(world.credential("alice")))
    defer { accepted.end() }
    try accepted.pump()
    #expect(accepted.server.recorder.completed?.peer?.subjectCommonName == "alice")
  }

  @Test func aSelfSignedClientIsAcceptedWhereAsked() throws {
    let world = try World()
    let wire = try Wire(
      server: world.server(trust: .selfSigned), client: world.client(world.credential("claimant", usages: [.clientAuthentication], selfSigned: true)))
    defer { wire.end() }
    try wire.pump()
    #expect(wire.server.recorder.completed?.peer?.subjectCommonName == "claimant")
  }

  @Test func timeIsJudgedByTheClockAndItsFloor() throws {
    let world = try World()
    let later = WallClock(floor_s: world.clock.now_s() + 2 * 86_400)
    let wire = try Wire(server: world.server(clock: later), client: world.client(world.credential()))
    defer { wire.end() }
    try wire.pump()
    #expect(wire.server.recorder.tlsErrors.first?.code == "certificate-expired")
  }

  // MARK: what a client must refuse

  @Test func aClientRefusesAServerOfAnotherAuthorityNameOrKey() throws {
    let world = try World()
    let own = try world.serverCredential()
    let server = try world.server(credential: own)
    let person = try world.credential()
    let other = try World("other")
    let refusing: [(ServerTrust, String, TLSAlert)] = [
      (.authority([other.authority.certificate], name: .dns("haechi-test")), "certificate-untrusted", .unknownCA),
      (.authority([world.authority.certificate], name: .dns("haechi-other")), "certificate-profile", .badCertificate),
      (.authority([world.authority.certificate], name: .uri("haechi://other")), "certificate-profile", .badCertificate),
      (.publicKeyDigest(Array(person.certificate.publicKeyDigest)), "certificate-untrusted", .unknownCA),
      (.selfSigned, "certificate-untrusted", .unknownCA),
    ]
    for (trust, code, alert) in refusing {
      let wire = try Wire(server: server, client: world.client(person, trust: trust))
      defer { wire.end() }
      _ = wire.write([1, 2, 3], from: wire.client.channel)
      try wire.pump()
      let error = try #require(wire.client.recorder.tlsErrors.first)
      #expect(error.code == code && error.alert == alert && error.side == .local, "\(error)")
      #expect(wire.server.recorder.received.isEmpty && wire.server.recorder.completed == nil)
      #expect(wire.server.recorder.tlsErrors.first?.alert == alert)
    }
    let accepting: [ServerTrust] = [
      .authority([world.authority.certificate], name: .uri("haechi://test")), .authorityAnyName([world.authority.certificate]),
      .publicKeyDigest(own.certificate.publicKeyDigest), .publicKeyDigest(Array(own.certificate.publicKeyDigest.prefix(10))),
    ]
    for trust in accepting {
      let wire = try Wire(server: server, client: world.client(person, trust: trust))
      defer { wire.end() }
      try wire.pump()
      #expect(wire.client.recorder.completed != nil && wire.server.recorder.completed != nil)
    }
  }

  // MARK: what is not TLS 1.3

  @Test func plaintextIsDropped() throws {
    let world = try World()
    for (text, code) in [
      ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plaintext-http"), ("SSH-2.0-OpenSSH_9.2\r\n", "not-tls"), ("\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", "not-tls"),
    ] {
      let wire = try Wire(server: world.server(), client: world.client(world.credential()))
      defer { wire.end() }
      wire.server.channel.pipeline.fireChannelRead(ByteBuffer(string: text))
      wire.server.channel.pipeline.fireChannelReadComplete()
      #expect(wire.server.recorder.tlsErrors.map(\.code) == [code])
      #expect(wire.server.recorder.received.isEmpty && wire.server.recorder.inactive)
    }
  }
}
