import Crypto
import Foundations
import NIOCore
import TLS

/// Authorities and certificates for the tests, and contexts made of them.
struct World: Sendable {
  static let usage = ASN1ObjectIdentifier(known: "2.25.86869528671686314334224178961834048173.1.2")
  let authority: CertificateIssuer
  let clock = WallClock(floor_s: 1_700_000_000)

  init(_ name: String = "test authority") throws {
    let now_s = clock.now_s()
    let key = try PrivateKey.generateP256()
    let template = CertificateTemplate(
      kind: .authority(pathLength: 0), subject: .init(commonName: name), notBefore_s: now_s - 7 * 86_400, notAfter_s: now_s + 7 * 86_400)
    authority = try CertificateIssuer(certificate: CertificateIssuer.selfSigned(template, key: key), key: key)
  }

  /// A credential of this world's authority, or a self-signed one.
  struct Credential: Sendable {
    let certificate: Certificate
    let key: PrivateKey
  }

  func credential(
    _ name: String = "client", usages: [ASN1ObjectIdentifier] = [.clientAuthentication, World.usage], names: [SubjectAlternativeName] = [],
    from_s: Int64 = -3600, until_s: Int64 = 86_400, algorithm: KeyAlgorithm = .p256, selfSigned: Bool = false
  ) throws -> Credential {
    let now_s = clock.now_s()
    let key = try PrivateKey.generate(algorithm)
    let template = CertificateTemplate(
      kind: .leaf, subject: .init(commonName: name), notBefore_s: now_s + from_s, notAfter_s: now_s + until_s, extendedKeyUsages: usages, names: names)
    let certificate = try selfSigned ? CertificateIssuer.selfSigned(template, key: key) : authority.issue(template, publicKey: key.publicKey)
    return Credential(certificate: certificate, key: key)
  }

  func serverCredential(_ algorithm: KeyAlgorithm = .p256) throws -> Credential {
    try credential("server", usages: [.serverAuthentication], names: [.dns("haechi-test"), .uri("haechi://test")], algorithm: algorithm)
  }

  func server(
    trust: ClientTrust? = nil, policy: CertificatePolicy? = nil, clock: WallClock? = nil, tickets: SessionTicketKeys = SessionTicketKeys(),
    credential: Credential? = nil
  ) throws -> TLSServerContext {
    let own = try credential ?? serverCredential()
    return try TLSServerContext(
      chain: [own.certificate], key: own.key, trust: trust ?? .authority([authority.certificate], requiredUsage: World.usage), policy: policy,
      clock: clock ?? self.clock, tickets: tickets)
  }

  func client(_ credential: Credential?, trust: ServerTrust? = nil) throws -> TLSClientContext {
    try TLSClientContext(
      chain: credential.map { [$0.certificate] } ?? [], key: credential?.key,
      trust: trust ?? .authority([authority.certificate], name: .dns("haechi-test")), clock: clock)
  }
}

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
