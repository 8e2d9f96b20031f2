internal import COpenSSL

// What a profile asks of a certificate's form, beyond what every reader of one needs.

extension Certificate {
  /// 3 for a certificate with extensions (X.509 version 3).
  public var version: Int { Int(X509_get_version(handle)) + 1 }

  /// nil where the authority gave a number that RFC 5280 section 4.1.2.2 forbids: zero, negative, or longer than 20 bytes.
  public var serial: CertificateSerial? { CertificateSerial(integer: X509_get0_serialNumber(handle)) }

  /// The algorithm of the authority's signature, nil for one that OpenSSL does not know.
  public var signatureAlgorithm: ASN1ObjectIdentifier? { ASN1ObjectIdentifier(object: OBJ_nid2obj(X509_get_signature_nid(handle))) }

  /// Whether keyUsage is there and says digitalSignature and nothing else.
  public var signsOnly: Bool { X509_get_key_usage(handle) == UInt32(X509v3_KU_DIGITAL_SIGNATURE) }

  /// How many authorities may stand below this one; nil where basicConstraints set no limit.
  public var pathLength: Int? {
    let length = X509_get_pathlen(handle)
    return length < 0 ? nil : Int(length)
  }

  /// Names of every kind in the subjectAltName, also of those kinds that are not read here.
  public var alternativeNameCount: Int {
    guard let names = X509_get_ext_d2i(handle, NID_subject_alt_name, nil, nil) else { return 0 }
    defer { GENERAL_NAMES_free(OpaquePointer(names)) }
    return Int(OPENSSL_sk_num(OpaquePointer(names)))
  }
}

extension ASN1ObjectIdentifier {
  /// `ecdsa-with-SHA256` (RFC 5758 section 3.2).
  public static let ecdsaWithSHA256 = ASN1ObjectIdentifier(known: "1.2.840.10045.4.3.2")
  /// `id-Ed25519` (RFC 8410 section 3).
  public static let ed25519 = ASN1ObjectIdentifier(known: "1.3.101.112")
}
