internal import COpenSSL
public import Foundations

/// An X.509 certificate (RFC 5280), parsed once: what it says are plain values.
public final class Certificate: @unchecked Sendable, Hashable, CustomStringConvertible {
  /// The largest encoding that is parsed; a certificate of Haechi has about 700 bytes.
  public static let maximumDERBytes = 16_384

  /// Owned and never changed after `init`; OpenSSL guards what it caches inside.
  package let handle: OpaquePointer
  /// The certificate's encoding (DER).
  public let der: [UInt8]
  /// The subject's common name, nil for none.
  public let subjectCommonName: String?
  /// The subject's `serialNumber` attribute, nil for none.
  public let subjectSerialNumber: String?
  /// The whole subject in one line (RFC 2253), for logs and errors.
  public let subject: String
  /// The whole issuer in one line (RFC 2253), for logs and errors.
  public let issuer: String
  /// First second of validity, since 1970-01-01T00:00:00Z.
  public let notBefore_s: Int64
  /// Last second of validity, since 1970-01-01T00:00:00Z; 253402300799 (99991231235959Z) stands for no end (802.1AR 8.7).
  public let notAfter_s: Int64
  /// URIs in the subjectAltName, in order.
  public let sanURIs: [String]
  /// DNS names in the subjectAltName, in order.
  public let sanDNSNames: [String]
  /// Addresses in the subjectAltName, in order.
  public let sanAddresses: [NetworkAddress]
  /// The hardware that it is the identity of (RFC 4108), as an IDevID has it: the hardware's type and its serial number, nil for none or more than one.
  public let hardwareModule: (type: ASN1ObjectIdentifier, serialNumber: [UInt8])?
  /// Extended key usages, in order; empty where the extension is absent.
  public let ekuOIDs: [ASN1ObjectIdentifier]
  /// Whether basicConstraints makes it an authority.
  public let isAuthority: Bool
  /// Whether subject and issuer are the same name (which says nothing about who signed).
  public let isSelfIssued: Bool
  /// The key that it certifies; nil where that is neither P-256 nor Ed25519.
  public let publicKey: PublicKey?
  /// SHA-256 of the subject's SubjectPublicKeyInfo, whatever its algorithm; 32 bytes.
  public let publicKeyDigest: [UInt8]
  private let extensions: [(identifier: ASN1ObjectIdentifier, value: [UInt8])]

  /// SHA-256 of the encoding; 32 bytes.
  public var sha256Fingerprint: [UInt8] { sha256(der) }
  public var description: String { subject }

  public static func == (a: Certificate, b: Certificate) -> Bool { a.der == b.der }
  public func hash(into hasher: inout Hasher) { hasher.combine(der) }

  /// - Parameter der: one certificate, at most `maximumDERBytes`, nothing after it.
  /// - Throws: `malformed-input` (also for a broken or doubled extension), `too-large`.
  public convenience init(der: [UInt8]) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= Self.maximumDERBytes else {
      throw CryptoError(code: "too-large", reason: "a certificate has at most \(Self.maximumDERBytes) bytes, not \(der.count)")
    }
    try self.init(adopting: try decode(der, "certificate") { d2i_X509(nil, $0, $1) })
  }

  /// - Parameter pem: text that holds exactly one certificate, at most 32 KiB.
  /// - Throws: `malformed-input`, `too-large`.
  public convenience init(pem: String) throws(CryptoError) {
    let blocks = try pemBlocks(pem, label: "CERTIFICATE", maximumCount: 1)
    guard let der = blocks.first else { throw CryptoError(code: "malformed-input", reason: "the text holds no certificate in PEM") }
    try self.init(der: der)
  }

  /// The certificates of a PEM text in order: 1…`maximumCount`.
  ///
  /// - Throws: `malformed-input` where there is none, too many, or anything else than certificates; `too-large` over 32 KiB each.
  public static func chain(pem: String, maximumCount: Int = 4) throws(CryptoError) -> [Certificate] {
    var chain: [Certificate] = []
    for der in try pemBlocks(pem, label: "CERTIFICATE", maximumCount: maximumCount) { chain.append(try Certificate(der: der)) }
    guard !chain.isEmpty else { throw CryptoError(code: "malformed-input", reason: "the text holds no certificate in PEM") }
    return chain
  }

  /// Takes a reference of its own to a handle that somebody else owns.
  package convenience init(retaining handle: OpaquePointer) throws(CryptoError) {
    OpenSSL.clearErrors()
    X509_up_ref(handle)
    try self.init(adopting: handle)
  }

  /// Takes over `handle`, also where it throws.
  init(adopting handle: OpaquePointer) throws(CryptoError) {
    do throws(CryptoError) {
      guard let der = encode({ i2d_X509(handle, $0) }), der.count <= Self.maximumDERBytes else {
        throw OpenSSL.failure("too-large", "a certificate has at most \(Self.maximumDERBytes) bytes")
      }
      let flags = X509_get_extension_flags(handle)
      guard flags & UInt32(EXFLAG_INVALID) == 0 else {
        throw OpenSSL.failure("malformed-input", "the certificate has a broken extension")
      }
      let subjectName = X509_get_subject_name(handle)
      let extensions = try readExtensions(handle)
      let names = try readNames(handle)
      guard let notBefore = seconds(X509_get0_notBefore(handle)), let notAfter = seconds(X509_get0_notAfter(handle)) else {
        throw OpenSSL.failure("malformed-input", "the certificate's validity is no time")
      }
      // The key as the certificate has it: to encode it anew costs more than all the rest.
      guard let key = X509_get0_pubkey(handle), let keyDER = encode({ i2d_X509_PUBKEY(X509_get_X509_PUBKEY(handle), $0) }) else {
        throw OpenSSL.failure("malformed-input", "the certificate's key cannot be read")
      }
      self.der = der
      self.extensions = extensions
      subjectCommonName = text(of: NID_commonName, in: subjectName)
      subjectSerialNumber = text(of: NID_serialNumber, in: subjectName)
      subject = line(of: subjectName)
      issuer = line(of: X509_get_issuer_name(handle))
      notBefore_s = notBefore
      notAfter_s = notAfter
      sanURIs = names.compactMap { if case .uri(let text) = $0 { text } else { nil } }
      sanDNSNames = names.compactMap { if case .dns(let text) = $0 { text } else { nil } }
      sanAddresses = names.compactMap { if case .address(let address) = $0 { address } else { nil } }
      let modules = names.compactMap { if case .hardwareModule(let type, let serialNumber) = $0 { (type: type, serialNumber: serialNumber) } else { nil } }
      hardwareModule = modules.count == 1 ? modules[0] : nil
      ekuOIDs = try readExtendedKeyUsages(handle)
      isAuthority = flags & UInt32(EXFLAG_CA) != 0
      isSelfIssued = flags & UInt32(EXFLAG_SI) != 0
      let digest = sha256(keyDER)
      publicKey = keyAlgorithm(key).map { PublicKey(retaining: key, algorithm: $0, der: keyDER, digest: digest) }
      publicKeyDigest = digest
      self.handle = handle
      OpenSSL.clearErrors()
    } catch {
      X509_free(handle)
      throw error
    }
  }

  deinit { X509_free(handle) }

  /// The last second of validity of a borrowed `X509`, since 1970-01-01T00:00:00Z; nil where it is no time.
  package static func notAfter_s(of handle: OpaquePointer) -> Int64? { seconds(X509_get0_notAfter(handle)) }

  /// The certificate as PEM (RFC 7468).
  public var pem: String { pemText(der, label: "CERTIFICATE") }

  /// The value of the extension `identifier` (what its OCTET STRING wraps), nil where there is none.
  public func extensionValue(_ identifier: ASN1ObjectIdentifier) -> [UInt8]? {
    extensions.first { $0.identifier == identifier }?.value
  }

  /// Whether `key` made this certificate's signature. Says nothing about validity, purpose or names.
  public func isSigned(by key: PublicKey) -> Bool {
    OpenSSL.clearErrors()
    defer { OpenSSL.clearErrors() }
    return X509_verify(handle, key.handle) == 1
  }

  /// Whether its own key made its signature, in its own name: nobody vouches for it.
  public var isSelfSigned: Bool { isSelfIssued && publicKey.map(isSigned) ?? false }

  /// The number that its issuer gave it (RFC 5280 section 4.1.2.2): big endian, without a sign.
  public var serialNumber: [UInt8] {
    guard let number = X509_get0_serialNumber(handle), let data = ASN1_STRING_get0_data(number) else { return [] }
    return Array(UnsafeBufferPointer(start: data, count: max(0, Int(ASN1_STRING_length(number)))))
  }

  /// Whether it is valid at `time_s` by its own dates: nil, or why not.
  public func refusal(at time_s: Int64) -> CertificateRefusal? {
    if time_s < notBefore_s {
      return CertificateRefusal(.notYetValid, "the certificate \(subject) is not valid before \(rfc3339(notBefore_s)); it is \(rfc3339(time_s))")
    }
    if time_s > notAfter_s {
      return CertificateRefusal(.expired, "the certificate \(subject) expired at \(rfc3339(notAfter_s)); it is \(rfc3339(time_s))")
    }
    return nil
  }
}

/// At most this many extensions are read from a certificate.
private let maximumExtensionCount = 32

private func readExtensions(_ handle: OpaquePointer) throws(CryptoError) -> [(identifier: ASN1ObjectIdentifier, value: [UInt8])] {
  let count = X509_get_ext_count(handle)
  guard count <= maximumExtensionCount else {
    throw CryptoError(code: "malformed-input", reason: "a certificate has at most \(maximumExtensionCount) extensions, not \(count)")
  }
  var result: [(identifier: ASN1ObjectIdentifier, value: [UInt8])] = []
  for index in 0..<max(count, 0) {
    guard let entry = X509_get_ext(handle, index), let value = X509_EXTENSION_get_data(entry),
      let identifier = ASN1ObjectIdentifier(object: X509_EXTENSION_get_object(entry))
    else { throw CryptoError(code: "malformed-input", reason: "the certificate has an extension without a name") }
    // RFC 5280 section 4.2: not more than one of each. Two would let two readers see two certificates.
    guard !result.contains(where: { $0.identifier == identifier }) else {
      throw CryptoError(code: "malformed-input", reason: "the certificate has the extension \(identifier) twice")
    }
    result.append((identifier, Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: Int(ASN1_STRING_length(value))))))
  }
  return result
}

private func readNames(_ handle: OpaquePointer) throws(CryptoError) -> [SubjectAlternativeName] {
  var critical: CInt = 0
  guard let names = X509_get_ext_d2i(handle, NID_subject_alt_name, &critical, nil) else {
    // -1: there is none. Anything else: there is one that cannot be read.
    guard critical == -1 else { throw OpenSSL.failure("malformed-input", "the certificate's subjectAltName cannot be read") }
    return []
  }
  defer { GENERAL_NAMES_free(OpaquePointer(names)) }
  return try subjectAlternativeNames(OpaquePointer(names))
}

private func readExtendedKeyUsages(_ handle: OpaquePointer) throws(CryptoError) -> [ASN1ObjectIdentifier] {
  var critical: CInt = 0
  guard let usages = X509_get_ext_d2i(handle, NID_ext_key_usage, &critical, nil) else {
    guard critical == -1 else { throw OpenSSL.failure("malformed-input", "the certificate's extended key usage cannot be read") }
    return []
  }
  let stack = OpaquePointer(usages)
  defer { EXTENDED_KEY_USAGE_free(stack) }
  var result: [ASN1ObjectIdentifier] = []
  for index in 0..<max(OPENSSL_sk_num(stack), 0) {
    guard result.count < maximumExtensionCount, let identifier = ASN1ObjectIdentifier(object: OpaquePointer(OPENSSL_sk_value(stack, index))) else {
      throw CryptoError(code: "malformed-input", reason: "the certificate's extended key usage cannot be read")
    }
    result.append(identifier)
  }
  return result
}
