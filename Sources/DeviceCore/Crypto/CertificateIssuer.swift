internal import COpenSSL

/// An authority's certificate and key: signs certificates.
public struct CertificateIssuer: Sendable {
  public let certificate: Certificate
  let key: PrivateKey

  /// - Throws: `certificate-refused` where `certificate` is no authority or `key` is not its key.
  public init(certificate: Certificate, key: PrivateKey) throws(CryptoError) {
    guard certificate.isAuthority else {
      throw CryptoError(code: "certificate-refused", reason: "\(certificate.subject) is not an authority and cannot sign certificates")
    }
    guard certificate.publicKeyDigest == key.publicKey.digest else {
      throw CryptoError(code: "certificate-refused", reason: "the private key does not belong to \(certificate.subject)")
    }
    self.certificate = certificate
    self.key = key
  }

  /// A certificate of `publicKey` that says what `template` says.
  ///
  /// - Throws: `malformed-input` where the template cannot be written, `openssl-failed`.
  public func issue(_ template: CertificateTemplate, publicKey: PublicKey) throws(CryptoError) -> Certificate {
    try make(template, subjectKey: publicKey, issuer: certificate, signer: key)
  }

  /// A certificate of `key` that is signed by `key` itself.
  ///
  /// - Throws: `malformed-input` where the template cannot be written, `openssl-failed`.
  public static func selfSigned(_ template: CertificateTemplate, key: PrivateKey) throws(CryptoError) -> Certificate {
    try make(template, subjectKey: key.publicKey, issuer: nil, signer: key)
  }
}

/// Fills a new X509 and signs it; `issuer` nil makes it self-signed.
private func make(
  _ template: CertificateTemplate, subjectKey: PublicKey, issuer: Certificate?, signer: PrivateKey
) throws(CryptoError) -> Certificate {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  guard template.notBefore_s <= template.notAfter_s, (0...noEnd_s).contains(template.notBefore_s), template.notAfter_s <= noEnd_s else {
    throw CryptoError(code: "malformed-input", reason: "a certificate's validity ends after it begins, between 1970 and 9999")
  }
  guard let x509 = X509_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a certificate") }
  defer { X509_free(x509) }
  try fill(x509, template, subjectKey: subjectKey, issuer: issuer)
  guard X509_sign(x509, signer.handle, signer.algorithm == .p256 ? EVP_sha256() : nil) > 0 else {
    throw OpenSSL.failure("openssl-failed", "the certificate could not be signed")
  }
  // Parsed again from its own bytes, so that what is handed out is what any reader sees.
  guard let der = encode({ i2d_X509(x509, $0) }) else { throw OpenSSL.failure("openssl-failed", "the certificate could not be encoded") }
  return try Certificate(der: der)
}

private func fill(_ x509: OpaquePointer, _ template: CertificateTemplate, subjectKey: PublicKey, issuer: Certificate?) throws(CryptoError) {
  // 159 random bits: positive, never zero, at most 20 bytes (RFC 5280 section 4.1.2.2).
  var serial = try randomBytes(20)
  serial[0] = serial[0] & 0x7f | 0x40
  let number = BN_bin2bn(serial, CInt(serial.count), nil)
  defer { BN_free(number) }
  guard X509_set_version(x509, 2) == 1, BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nil,
    ASN1_TIME_adj(X509_getm_notBefore(x509), 0, CInt(template.notBefore_s / 86_400), CLong(template.notBefore_s % 86_400)) != nil,
    ASN1_TIME_adj(X509_getm_notAfter(x509), 0, CInt(template.notAfter_s / 86_400), CLong(template.notAfter_s % 86_400)) != nil,
    X509_set_pubkey(x509, subjectKey.handle) == 1
  else { throw OpenSSL.failure("openssl-failed", "the certificate's fields could not be set") }
  guard let name = X509_NAME_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a name") }
  defer { X509_NAME_free(name) }
  try template.subject.write(to: name)
  guard X509_set_subject_name(x509, name) == 1,
    X509_set_issuer_name(x509, issuer.map { X509_get_subject_name($0.handle) } ?? name) == 1
  else { throw OpenSSL.failure("openssl-failed", "the certificate's names could not be set") }
  try addConstraints(x509, template.kind)
  try addKeyIdentifiers(x509, subjectKey: subjectKey, issuer: issuer)
  if !template.extendedKeyUsages.isEmpty { try addExtendedKeyUsages(x509, template.extendedKeyUsages) }
  if !template.names.isEmpty {
    let names = try generalNames(template.names)
    defer { GENERAL_NAMES_free(names) }
    try add(x509, NID_subject_alt_name, UnsafeMutableRawPointer(names), critical: false)
  }
  for addition in template.extensions { try addOther(x509, addition) }
}

private func add(_ x509: OpaquePointer, _ identifier: CInt, _ value: UnsafeMutableRawPointer?, critical: Bool) throws(CryptoError) {
  guard X509_add1_ext_i2d(x509, identifier, value, critical ? 1 : 0, UInt(X509V3_ADD_DEFAULT)) == 1 else {
    throw OpenSSL.failure("openssl-failed", "an extension could not be added")
  }
}

private func addConstraints(_ x509: OpaquePointer, _ kind: CertificateTemplate.Kind) throws(CryptoError) {
  guard let usage = ASN1_BIT_STRING_new() else { throw OpenSSL.failure("openssl-failed", "no memory for an extension") }
  defer { ASN1_BIT_STRING_free(usage) }
  guard let constraints = BASIC_CONSTRAINTS_new() else { throw OpenSSL.failure("openssl-failed", "no memory for an extension") }
  defer { BASIC_CONSTRAINTS_free(constraints) }
  switch kind {
  case .leaf:
    ASN1_BIT_STRING_set_bit(usage, 0, 1)  // digitalSignature
  case .authority(let pathLength):
    guard (0...8).contains(pathLength), let length = ASN1_INTEGER_new() else {
      throw CryptoError(code: "malformed-input", reason: "an authority has 0 to 8 authorities below it")
    }
    ASN1_INTEGER_set(length, pathLength)
    constraints.pointee.pathlen = length  // freed with the constraints
    constraints.pointee.ca = 0xff
    ASN1_BIT_STRING_set_bit(usage, 5, 1)  // keyCertSign
    ASN1_BIT_STRING_set_bit(usage, 6, 1)  // cRLSign
  }
  try add(x509, NID_basic_constraints, constraints, critical: true)
  try add(x509, NID_key_usage, usage, critical: true)
}

/// A key's identifier: the leftmost 160 bits of the SHA-256 of its bits (RFC 7093 section 2, method 1).
private func keyIdentifier(_ x509: OpaquePointer) throws(CryptoError) -> [UInt8] {
  var digest = [UInt8](repeating: 0, count: 32)
  var count: CUnsignedInt = 0
  guard X509_pubkey_digest(x509, EVP_sha256(), &digest, &count) == 1 else { throw OpenSSL.failure("openssl-failed", "a key has no digest") }
  return Array(digest.prefix(20))
}

private func addKeyIdentifiers(_ x509: OpaquePointer, subjectKey: PublicKey, issuer: Certificate?) throws(CryptoError) {
  func octets(_ bytes: [UInt8]) throws(CryptoError) -> UnsafeMutablePointer<ASN1_OCTET_STRING> {
    guard let string = ASN1_OCTET_STRING_new(), ASN1_OCTET_STRING_set(string, bytes, CInt(bytes.count)) == 1 else {
      throw OpenSSL.failure("openssl-failed", "no memory for an extension")
    }
    return string
  }
  let own = try octets(try keyIdentifier(x509))
  defer { ASN1_OCTET_STRING_free(own) }
  try add(x509, NID_subject_key_identifier, own, critical: false)
  guard let authority = AUTHORITY_KEYID_new() else { throw OpenSSL.failure("openssl-failed", "no memory for an extension") }
  defer { AUTHORITY_KEYID_free(authority) }
  // The issuer's own subjectKeyIdentifier where it has one: a reader compares just these two.
  if let issuer, let present = X509_get0_subject_key_id(issuer.handle) {
    authority.pointee.keyid = ASN1_OCTET_STRING_dup(present)
  } else {
    authority.pointee.keyid = try octets(try keyIdentifier(issuer?.handle ?? x509))
  }
  try add(x509, NID_authority_key_identifier, authority, critical: false)
}

private func addExtendedKeyUsages(_ x509: OpaquePointer, _ usages: [ASN1ObjectIdentifier]) throws(CryptoError) {
  guard let stack = OPENSSL_sk_new_null() else { throw OpenSSL.failure("openssl-failed", "no memory for an extension") }
  defer { EXTENDED_KEY_USAGE_free(stack) }
  for usage in usages {
    try usage.withObject { (object) throws(CryptoError) in
      _ = OPENSSL_sk_push(stack, UnsafeRawPointer(OBJ_dup(object)))
    }
  }
  try add(x509, NID_ext_key_usage, UnsafeMutableRawPointer(stack), critical: false)
}

private func addOther(_ x509: OpaquePointer, _ addition: CertificateTemplate.Extension) throws(CryptoError) {
  try addition.identifier.withObject { (object) throws(CryptoError) in
    guard X509_get_ext_by_OBJ(x509, object, -1) < 0, let value = ASN1_OCTET_STRING_new() else {
      throw CryptoError(code: "malformed-input", reason: "the extension \(addition.identifier) is there twice")
    }
    defer { ASN1_OCTET_STRING_free(value) }
    guard ASN1_OCTET_STRING_set(value, addition.value, CInt(addition.value.count)) == 1,
      let entry = X509_EXTENSION_create_by_OBJ(nil, object, addition.isCritical ? 1 : 0, value)
    else { throw OpenSSL.failure("openssl-failed", "the extension \(addition.identifier) could not be made") }
    defer { X509_EXTENSION_free(entry) }
    guard X509_add_ext(x509, entry, -1) == 1 else { throw OpenSSL.failure("openssl-failed", "the extension \(addition.identifier) could not be added") }
  }
}
