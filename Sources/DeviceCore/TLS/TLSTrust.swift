public import Crypto
internal import Foundations

/// A look at a peer's certificate after its chain was verified: nil lets it in, a refusal names what is wrong.
/// Called in every handshake and again whenever a session is resumed, on an event loop: it must not wait.
public typealias CertificatePolicy = @Sendable (Certificate) -> CertificateRefusal?

/// Whose certificates a server accepts. There is no way to accept none or any.
public enum ClientTrust: Sendable {
  /// Chains to one of `authorities` whose leaf has the extended key usage `requiredUsage` (and clientAuth).
  case authority([Certificate], requiredUsage: ASN1ObjectIdentifier)
  /// A self-signed, currently valid leaf of a P-256 or Ed25519 key, and no other certificate with it. The handshake proves that the
  /// client holds the key: whose key it is, is for the caller to find out.
  case selfSigned
  /// As `authority`, and for as long as `admits` says so, also what `selfSigned` accepts: whether a leaf is self-signed
  /// (`Certificate.isSelfSigned`) then tells the two apart, and nothing that it says of itself. `requiredUsage` is asked of the first only.
  case authorityOrSelfSigned([Certificate], requiredUsage: ASN1ObjectIdentifier, admits: @Sendable () -> Bool)
}

/// How a client knows its server.
public enum ServerTrust: Sendable {
  /// A chain to one of `authorities` whose leaf has the name `name` in its subjectAltName.
  case authority([Certificate], name: SubjectAlternativeName)
  /// A chain to one of `authorities`, whatever its name; the policy is to look at it.
  case authorityAnyName([Certificate])
  /// As `authority`, but that the leaf's end is not looked at: for the owner who comes to renew it, and for nothing else.
  case authorityEvenExpired([Certificate], name: SubjectAlternativeName)
  /// The key whose SubjectPublicKeyInfo's SHA-256 begins with these 10…32 bytes, whoever signed its certificate: for a
  /// device that is known by its label or identifier.
  case publicKeyDigest([UInt8])
  /// A self-signed certificate of an unknown key. The server is NOT authenticated: anyone between could be it. Only for a station's
  /// bench, where the next step compares the key with what the device's label says.
  case selfSigned
  /// Any certificate whose key the server holds. The server is NOT authenticated by TLS: nothing secret may be sent until it has proved itself
  /// over this very connection, by a signature over its exporter (`TLSHandler.channelBinding`).
  case provedLater
}

/// Checks the peer's chain in a handshake, and its leaf again when a session is resumed.
struct PeerVerifier: Sendable {
  enum Trust: Sendable {
    case authority
    case authorityEvenExpired
    case selfSigned
    case authorityOrSelfSigned(admits: @Sendable () -> Bool)
    case publicKeyDigest([UInt8])
    case any

    var needsAuthority: Bool {
      switch self {
      case .authority, .authorityEvenExpired: true
      default: false
      }
    }
  }
  let trust: Trust
  let requiredUsage: ASN1ObjectIdentifier?
  let name: SubjectAlternativeName?
  let policy: CertificatePolicy?
  let clock: WallClock

  /// What is judged by the leaf alone: its usage, its name, the caller's policy.
  func refusalByPolicy(_ leaf: Certificate) -> CertificateRefusal? {
    guard leaf.publicKey != nil else {
      return CertificateRefusal(.profile, "the key of the certificate \(leaf.subject) is neither P-256 nor Ed25519")
    }
    if let requiredUsage, !leaf.ekuOIDs.contains(requiredUsage), !isAdmittedSelfSigned(leaf) {
      return CertificateRefusal(.purpose, "the certificate \(leaf.subject) lacks the extended key usage \(requiredUsage)")
    }
    switch name {
    case .uri(let uri)? where !leaf.sanURIs.contains(uri):
      return CertificateRefusal(.profile, "the certificate \(leaf.subject) is not for \(uri) but for \(leaf.sanURIs)")
    case .dns(let name)? where !leaf.sanDNSNames.contains(where: { $0.lowercased() == name.lowercased() }):
      return CertificateRefusal(.profile, "the certificate \(leaf.subject) is not for \(name) but for \(leaf.sanDNSNames)")
    case .address(let address)? where !leaf.sanAddresses.contains(address):
      return CertificateRefusal(
        .profile, "the certificate \(leaf.subject) is not for \(address) but for \(leaf.sanAddresses.map(\.description) + leaf.sanDNSNames)")
    default: break
    }
    return policy?(leaf)
  }

  private func isAdmittedSelfSigned(_ leaf: Certificate) -> Bool {
    if case .authorityOrSelfSigned(let admits) = trust { admits() && leaf.isSelfSigned } else { false }
  }

  /// What is judged again when a session is resumed: the dates, then the policy.
  ///
  /// - Parameter chainEnd_s: the earliest last day of the chain that was verified when the session was made.
  func refusalAtResumption(_ leaf: Certificate, chainEnd_s: Int64) -> CertificateRefusal? {
    let now_s = clock.now_s()
    if let refusal = leaf.refusal(at: now_s) { return refusal }
    guard now_s <= chainEnd_s else {
      return CertificateRefusal(.expired, "an authority of the certificate \(leaf.subject) expired at \(rfc3339(chainEnd_s))")
    }
    return refusalByPolicy(leaf)
  }
}
