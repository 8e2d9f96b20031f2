public import Crypto
public import Foundations

/// What an admin of the owner orders of a device past its runtime: signed by the admin's own key, bound to one device and to one event of it.
///
/// The device's supervisor names the event and the nonce; a statement about any others is worth nothing, so that none can be used twice.
public struct OwnerStatement: Hashable, Sendable {
  /// Back to `normal`. No body.
  public static let release: UInt8 = 1
  /// The broker is this one from now on. The body is `CloudDestination.encoded`.
  public static let bindCloud: UInt8 = 2
  /// The peers are reached at these places from now on, and nowhere else. The body is `PeerDestinations.encoded`.
  public static let setPeers: UInt8 = 3
  /// The device is given up: its owner is forgotten. No body.
  public static let transfer: UInt8 = 4
  /// The device announces itself to its neighbours, or not any more. The body is one byte, 1 or 0.
  public static let setDiscovery: UInt8 = 5
  /// The device's disk gets this recovery key, in place of the one that it may have. The body is that of `RecoveryKey.sealed`.
  public static let setRecoveryKey: UInt8 = 6
  /// The device's disk has no recovery key any more. No body.
  public static let removeRecoveryKey: UInt8 = 7
  /// Bytes of a nonce.
  public static let nonce_bytes = 32
  /// The longest body: a port and a host name, the places of all peers, or a sealed recovery key.
  public static let bodyMaximum_bytes = max(
    2 + CloudDestination.hostMaximum_bytes, PeerDestinations.encodedMaximum_bytes, RecoveryKey.sealed_bytes)

  /// `release`, `bindCloud`, `setPeers`, `transfer`, `setDiscovery`, `setRecoveryKey`, `removeRecoveryKey`, or what a later version knows.
  public let kind: UInt8
  public let device: DeviceIdentifier
  /// The event that the device's supervisor named.
  public let event: UInt64
  /// The nonce that it named with the event: 32 bytes.
  public let nonce: [UInt8]
  public let body: [UInt8]

  /// nil where `nonce` has not 32 bytes, or `body` is longer than it may be.
  public init?(kind: UInt8, device: DeviceIdentifier, event: UInt64, nonce: [UInt8], body: [UInt8] = []) {
    guard nonce.count == Self.nonce_bytes, body.count <= Self.bodyMaximum_bytes else { return nil }
    self.kind = kind
    self.device = device
    self.event = event
    self.nonce = nonce
    self.body = body
  }

  /// What the signature covers: `haechi-statement-1`, a zero byte, kind (1 byte), device id (10 bytes), event (8 bytes), nonce (32 bytes),
  /// length of the body (2 bytes), body. Numbers are big endian.
  ///
  /// The words in front keep the key's other signatures (TLS, whose own begin with 64 spaces, RFC 8446 section 4.4.3) from ever being one.
  public var signedBytes: [UInt8] {
    var bytes = Array("haechi-statement-1".utf8) + [0, kind]
    // A device identifier is 20 hexadecimal digits, so it always has these bytes.
    bytes += Foundations.bytes(hexadecimal: device.text) ?? []
    bytes += bigEndian(event, count: 8) + nonce + bigEndian(UInt64(body.count), count: 2) + body
    return bytes
  }

  /// The signature of `key`: for P-256 an ECDSA-Sig-Value in DER, for Ed25519 64 bytes.
  ///
  /// - Throws: `openssl-failed`.
  public func sign(with key: PrivateKey) throws(CryptoError) -> [UInt8] { try key.signature(of: signedBytes) }

  /// Checks that an admin of the owner made `signature` over this very statement.
  ///
  /// - Parameters:
  ///   - owner: the owner CA's certificate that was pinned at the claim, DER.
  ///   - certificate: the admin's certificate, DER; it must be signed by exactly that CA, without anything between.
  ///   - revocations: the owner's newest revocation list, DER; empty before the first.
  ///   - time_s: when, in seconds since 1970 UTC: both certificates must be valid then.
  /// - Returns: the admin's name.
  /// - Throws: why it is refused; nothing of the statement may then be believed.
  @discardableResult
  public func verify(
    owner: [UInt8], certificate: [UInt8], signature: [UInt8], revocations: [UInt8] = [], time_s: Int64
  ) throws(StatementRefusal) -> PersonName {
    let authority = try parse(owner, code: "owner-malformed", "the pinned owner CA")
    let leaf = try parse(certificate, code: "certificate-malformed", "the signer's certificate")
    let person: CallerIdentity
    do throws(CertificateRefusal) {
      let identifier = try OwnerAuthorityProfile.check(authority)
      _ = try ChainVerifier(authorities: [authority], purpose: .client).verifiedChain(leaf: leaf, intermediates: [], time_s: time_s)
      person = try PersonProfile.check(leaf, owner: identifier)
    } catch {
      throw StatementRefusal(error.code, error.reason)
    }
    if !revocations.isEmpty { try checkRevocations(revocations, of: leaf) }
    guard case .person(_, let name, .admin) = person else {
      throw StatementRefusal("not-an-admin", "the statement is signed by \(person), and only an admin's counts")
    }
    guard let key = leaf.publicKey, key.isValid(signature: signature, of: signedBytes) else {
      throw StatementRefusal(
        "signature-invalid", "the signature is not that of \(name) over this statement for device \(device), event \(event)")
    }
    return name
  }

  private func checkRevocations(_ der: [UInt8], of leaf: Certificate) throws(StatementRefusal) {
    let list: CertificateRevocationList
    do throws(CryptoError) {
      list = try CertificateRevocationList(der: der)
    } catch {
      throw StatementRefusal("revocations-malformed", "the owner's revocation list cannot be read", cause: error)
    }
    guard !list.revokes(leaf) else {
      throw StatementRefusal(
        CertificateRefusal.Kind.revoked.rawValue, "the certificate of \(leaf.subject) was withdrawn by list \(list.number) of its owner")
    }
  }

  private func parse(_ der: [UInt8], code: String, _ what: String) throws(StatementRefusal) -> Certificate {
    do throws(CryptoError) {
      return try Certificate(der: der)
    } catch {
      throw StatementRefusal(code, "\(what) cannot be read", cause: error)
    }
  }
}

/// Why a statement is not believed.
///
/// Codes: those of `CertificateRefusal`; `owner-malformed`, `certificate-malformed`, `revocations-malformed`, `not-an-admin`, `signature-invalid`.
public struct StatementRefusal: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  init(_ code: String, _ reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}

/// The lowest `count` bytes of `value`, the highest of them first.
private func bigEndian(_ value: UInt64, count: Int) -> [UInt8] {
  (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (UInt64($0) * 8)) }
}
