internal import COpenSSL

/// A certificate that its authority has withdrawn.
public struct RevokedCertificate: Hashable, Sendable {
  public let serial: CertificateSerial
  /// When, in seconds since 1970 UTC.
  public let revoked_s: Int64

  public init(serial: CertificateSerial, revoked_s: Int64) {
    self.serial = serial
    self.revoked_s = revoked_s
  }
}

/// A certificate revocation list (RFC 5280 section 5), parsed once: what it says are plain values.
///
/// Only the plain form is read: a full list of one authority with a CRLNumber, without reasons, deltas or other issuers. What is not understood
/// whole is refused, because half a list would let somebody in. Its dates are not looked at: its number says which of two lists is the newer,
/// so a device whose clock was lost still hears of every withdrawal.
public final class CertificateRevocationList: @unchecked Sendable, Equatable {
  /// The largest encoding that is parsed: some 270 certificates.
  public static let maximumDERBytes = 11_000

  /// Owned and never changed after `init`.
  private let handle: OpaquePointer
  /// The list's encoding (DER).
  public let der: [UInt8]
  /// Grows with each list of the authority: 1…
  public let number: UInt64
  /// In the order of the list.
  public let revoked: [RevokedCertificate]
  private let serials: Set<CertificateSerial>

  public static func == (a: CertificateRevocationList, b: CertificateRevocationList) -> Bool { a.der == b.der }

  /// - Parameter der: one list, at most `maximumDERBytes`, nothing after it. Whose it is, is still to be checked: `refusal(issuer:)`.
  /// - Throws: `malformed-input`, `too-large`.
  public convenience init(der: [UInt8]) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= Self.maximumDERBytes else {
      throw CryptoError(code: "too-large", reason: "a revocation list has at most \(Self.maximumDERBytes) bytes, not \(der.count)")
    }
    try self.init(adopting: try decode(der, "revocation list") { d2i_X509_CRL(nil, $0, $1) })
  }

  /// - Parameter pem: text that holds exactly one list (`X509 CRL`, RFC 7468 section 6).
  /// - Throws: `malformed-input`, `too-large`.
  public convenience init(pem: String) throws(CryptoError) {
    let blocks = try pemBlocks(pem, label: Self.pemLabel, maximumCount: 1)
    guard let der = blocks.first else { throw CryptoError(code: "malformed-input", reason: "the text holds no revocation list in PEM") }
    try self.init(der: der)
  }

  /// Takes over `handle`, also where it throws.
  fileprivate init(adopting handle: OpaquePointer) throws(CryptoError) {
    do throws(CryptoError) {
      guard let der = encode({ i2d_X509_CRL(handle, $0) }), der.count <= Self.maximumDERBytes else {
        throw OpenSSL.failure("too-large", "a revocation list has at most \(Self.maximumDERBytes) bytes: it is full")
      }
      guard X509_CRL_get_version(handle) == 1 else {
        throw CryptoError(code: "malformed-input", reason: "the revocation list is not of version 2")
      }
      self.der = der
      number = try readNumber(handle)
      revoked = try readEntries(handle)
      serials = Set(revoked.map(\.serial))
      guard serials.count == revoked.count else {
        throw CryptoError(code: "malformed-input", reason: "the revocation list names a certificate twice")
      }
      self.handle = handle
      OpenSSL.clearErrors()
    } catch {
      X509_CRL_free(handle)
      throw error
    }
  }

  deinit { X509_CRL_free(handle) }

  private static let pemLabel = "X509 CRL"

  /// The list as PEM (RFC 7468).
  public var pem: String { pemText(der, label: Self.pemLabel) }

  /// Why it is not a list of `issuer`, nil where `issuer` signed it.
  public func refusal(issuer: Certificate) -> CertificateRefusal? {
    OpenSSL.clearErrors()
    defer { OpenSSL.clearErrors() }
    guard X509_NAME_cmp(X509_CRL_get_issuer(handle), X509_get_subject_name(issuer.handle)) == 0 else {
      return CertificateRefusal(.untrusted, "the revocation list is one of \(line(of: X509_CRL_get_issuer(handle))), not of \(issuer.subject)")
    }
    guard [NID_ecdsa_with_SHA256, NID_ED25519].contains(X509_CRL_get_signature_nid(handle)), let key = issuer.publicKey,
      X509_CRL_verify(handle, key.handle) == 1
    else { return CertificateRefusal(.invalid, "the revocation list is not signed by \(issuer.subject)") }
    return nil
  }

  /// Whether it withdraws the certificate of that serial number, whoever issued it.
  public func revokes(_ serial: CertificateSerial) -> Bool { serials.contains(serial) }

  /// Whether it withdraws `certificate`, which must be of the same authority to be.
  public func revokes(_ certificate: Certificate) -> Bool {
    guard X509_NAME_cmp(X509_CRL_get_issuer(handle), X509_get_issuer_name(certificate.handle)) == 0, let serial = certificate.serial else { return false }
    return serials.contains(serial)
  }
}

private func readNumber(_ handle: OpaquePointer) throws(CryptoError) -> UInt64 {
  for index in 0..<max(X509_CRL_get_ext_count(handle), 0) {
    let identifier = X509_CRL_get_ext(handle, index).map { OBJ_obj2nid(X509_EXTENSION_get_object($0)) }
    guard identifier == NID_crl_number || identifier == NID_authority_key_identifier else {
      throw CryptoError(code: "malformed-input", reason: "the revocation list has an extension that is not known here: only full lists are taken")
    }
  }
  var number: UInt64 = 0
  guard let found = X509_CRL_get_ext_d2i(handle, NID_crl_number, nil, nil) else {
    throw OpenSSL.failure("malformed-input", "the revocation list has not one CRLNumber")
  }
  let integer = found.assumingMemoryBound(to: ASN1_INTEGER.self)
  defer { ASN1_INTEGER_free(integer) }
  guard ASN1_INTEGER_get_uint64(&number, integer) == 1, number > 0 else {
    throw OpenSSL.failure("malformed-input", "the revocation list's CRLNumber is not 1 to \(UInt64.max)")
  }
  return number
}

private func readEntries(_ handle: OpaquePointer) throws(CryptoError) -> [RevokedCertificate] {
  guard let stack = X509_CRL_get_REVOKED(handle) else { return [] }
  var entries: [RevokedCertificate] = []
  for index in 0..<max(OPENSSL_sk_num(stack), 0) {
    guard let entry = OPENSSL_sk_value(stack, index).map({ OpaquePointer($0) }), X509_REVOKED_get_ext_count(entry) <= 0,
      let serial = CertificateSerial(integer: X509_REVOKED_get0_serialNumber(entry)), let revoked_s = seconds(X509_REVOKED_get0_revocationDate(entry))
    else {
      throw CryptoError(code: "malformed-input", reason: "the revocation list has an entry that is more than a serial number and a time")
    }
    entries.append(RevokedCertificate(serial: serial, revoked_s: revoked_s))
  }
  return entries
}

extension CertificateIssuer {
  /// The authority's list of what it has withdrawn, without an end: the next one takes its place.
  ///
  /// - Parameters:
  ///   - number: 1…, higher than that of each list before.
  ///   - revoked: each serial number once.
  ///   - now_s: seconds since 1970 UTC.
  /// - Throws: `malformed-input`, `too-large` where the list is full, `openssl-failed`.
  public func revocationList(number: UInt64, revoked: [RevokedCertificate], now_s: Int64) throws(CryptoError) -> CertificateRevocationList {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let list = X509_CRL_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a revocation list") }
    defer { X509_CRL_free(list) }
    guard X509_CRL_set_version(list, 1) == 1, X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate.handle)) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the revocation list's fields could not be set")
    }
    try withTime(now_s) { X509_CRL_set1_lastUpdate(list, $0) }
    try withTime(noEnd_s) { X509_CRL_set1_nextUpdate(list, $0) }
    for entry in revoked { try add(entry, to: list) }
    X509_CRL_sort(list)
    try addExtensions(list, number: number)
    guard X509_CRL_sign(list, key.handle, key.algorithm == .p256 ? EVP_sha256() : nil) > 0, let der = encode({ i2d_X509_CRL(list, $0) }) else {
      throw OpenSSL.failure("openssl-failed", "the revocation list could not be signed")
    }
    // Parsed again from its own bytes, so that what is handed out is what any reader sees.
    return try CertificateRevocationList(der: der)
  }

  private func add(_ entry: RevokedCertificate, to list: OpaquePointer) throws(CryptoError) {
    guard let revoked = X509_REVOKED_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a revocation list") }
    var isAdded = false
    defer { if !isAdded { X509_REVOKED_free(revoked) } }
    let serial = try entry.serial.makeInteger()
    defer { ASN1_INTEGER_free(serial) }
    guard X509_REVOKED_set_serialNumber(revoked, serial) == 1 else { throw OpenSSL.failure("openssl-failed", "a serial number could not be set") }
    try withTime(entry.revoked_s) { X509_REVOKED_set_revocationDate(revoked, $0) }
    guard X509_CRL_add0_revoked(list, revoked) == 1 else { throw OpenSSL.failure("openssl-failed", "an entry could not be added") }
    isAdded = true
  }

  private func addExtensions(_ list: OpaquePointer, number: UInt64) throws(CryptoError) {
    guard let integer = ASN1_INTEGER_new(), let authority = AUTHORITY_KEYID_new() else {
      throw OpenSSL.failure("openssl-failed", "no memory for an extension")
    }
    defer {
      ASN1_INTEGER_free(integer)
      AUTHORITY_KEYID_free(authority)
    }
    guard ASN1_INTEGER_set_uint64(integer, number) == 1, X509_CRL_add1_ext_i2d(list, NID_crl_number, integer, 0, UInt(X509V3_ADD_DEFAULT)) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the number could not be added")
    }
    guard let own = X509_get0_subject_key_id(certificate.handle) else { return }
    authority.pointee.keyid = ASN1_OCTET_STRING_dup(own)
    guard X509_CRL_add1_ext_i2d(list, NID_authority_key_identifier, authority, 0, UInt(X509V3_ADD_DEFAULT)) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the authority's key identifier could not be added")
    }
  }
}

/// Lends `time_s` (seconds since 1970 UTC) as OpenSSL's to `body`, which gives 1 for success.
private func withTime(_ time_s: Int64, _ body: (UnsafeMutablePointer<ASN1_TIME>) -> CInt) throws(CryptoError) {
  guard (0...noEnd_s).contains(time_s), let time = ASN1_TIME_adj(nil, 0, CInt(time_s / 86_400), CLong(time_s % 86_400)) else {
    throw CryptoError(code: "malformed-input", reason: "a revocation list's times lie between 1970 and 9999")
  }
  defer { ASN1_TIME_free(time) }
  guard body(time) == 1 else { throw OpenSSL.failure("openssl-failed", "a time could not be set") }
}
