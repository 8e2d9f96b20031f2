internal import COpenSSL

/// A certification request (PKCS#10, RFC 2986) whose own signature was verified: who made it holds the key.
public struct CertificateRequest: Sendable {
  /// The largest encoding that is parsed.
  public static let maximumDERBytes = 8192

  /// The request's encoding (DER).
  public let der: [UInt8]
  /// The subject's common name, nil for none.
  public let subjectCommonName: String?
  public let sanURIs: [String]
  public let sanDNSNames: [String]
  /// The key that a certificate is asked for.
  public let publicKey: PublicKey

  /// The request as PEM (RFC 7468).
  public var pem: String { pemText(der, label: "CERTIFICATE REQUEST") }

  /// A new request for `key`.
  ///
  /// - Throws: `malformed-input` where a name cannot be written, `openssl-failed`.
  public static func make(
    key: PrivateKey, subject: DistinguishedName, names: [SubjectAlternativeName]
  ) throws(CryptoError) -> CertificateRequest {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let request = X509_REQ_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a request") }
    defer { X509_REQ_free(request) }
    guard let name = X509_NAME_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a name") }
    defer { X509_NAME_free(name) }
    try subject.write(to: name)
    guard X509_REQ_set_version(request, 0) == 1, X509_REQ_set_subject_name(request, name) == 1, X509_REQ_set_pubkey(request, key.handle) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the request's fields could not be set")
    }
    if !names.isEmpty {
      let general = try generalNames(names)
      defer { GENERAL_NAMES_free(general) }
      var extensions: OpaquePointer?
      defer { if let extensions { OPENSSL_sk_pop_free(extensions, { X509_EXTENSION_free($0.map { OpaquePointer($0) }) }) } }
      guard X509V3_add1_i2d(&extensions, NID_subject_alt_name, UnsafeMutableRawPointer(general), 0, UInt(X509V3_ADD_DEFAULT)) == 1,
        X509_REQ_add_extensions(request, extensions) == 1
      else { throw OpenSSL.failure("openssl-failed", "the request's names could not be added") }
    }
    guard X509_REQ_sign(request, key.handle, key.algorithm == .p256 ? EVP_sha256() : nil) > 0, let der = encode({ i2d_X509_REQ(request, $0) }) else {
      throw OpenSSL.failure("openssl-failed", "the request could not be signed")
    }
    return try CertificateRequest(der: der)
  }

  /// - Parameter pem: text that holds exactly one request.
  /// - Throws: `malformed-input`, `too-large`, `unsupported-key`, `signature-invalid`.
  public init(pem: String) throws(CryptoError) {
    guard let der = try pemBlocks(pem, label: "CERTIFICATE REQUEST", maximumCount: 1).first else {
      throw CryptoError(code: "malformed-input", reason: "the text holds no certificate request in PEM")
    }
    try self.init(der: der)
  }

  /// - Parameter der: one request, at most `maximumDERBytes`, nothing after it.
  /// - Throws: `malformed-input`, `too-large`, `unsupported-key`, `signature-invalid`.
  public init(der: [UInt8]) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= Self.maximumDERBytes else {
      throw CryptoError(code: "too-large", reason: "a certificate request has at most \(Self.maximumDERBytes) bytes, not \(der.count)")
    }
    let request = try decode(der, "certificate request") { d2i_X509_REQ(nil, $0, $1) }
    defer { X509_REQ_free(request) }
    guard let key = X509_REQ_get0_pubkey(request), let keyDER = encode({ i2d_PUBKEY(key, $0) }) else {
      throw OpenSSL.failure("malformed-input", "the certificate request's key cannot be read")
    }
    publicKey = try PublicKey(der: keyDER)
    guard X509_REQ_verify(request, key) == 1 else {
      throw OpenSSL.failure("signature-invalid", "the certificate request is not signed by its own key")
    }
    self.der = der
    subjectCommonName = text(of: NID_commonName, in: X509_REQ_get_subject_name(request))
    let names = try requestedNames(request)
    sanURIs = names.compactMap { if case .uri(let text) = $0 { text } else { nil } }
    sanDNSNames = names.compactMap { if case .dns(let text) = $0 { text } else { nil } }
    OpenSSL.clearErrors()
  }
}

private func requestedNames(_ request: OpaquePointer) throws(CryptoError) -> [SubjectAlternativeName] {
  guard let extensions = X509_REQ_get_extensions(request) else { return [] }
  defer { OPENSSL_sk_pop_free(extensions, { X509_EXTENSION_free($0.map { OpaquePointer($0) }) }) }
  var critical: CInt = 0
  guard let names = X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, nil) else {
    guard critical == -1 else { throw OpenSSL.failure("malformed-input", "the certificate request's names cannot be read") }
    return []
  }
  defer { GENERAL_NAMES_free(OpaquePointer(names)) }
  return try subjectAlternativeNames(OpaquePointer(names))
}
