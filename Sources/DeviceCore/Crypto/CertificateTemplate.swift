/// What a certificate shall say, before somebody signs it.
public struct CertificateTemplate: Sendable {
  /// An extension that Crypto has no words for.
  public struct Extension: Hashable, Sendable {
    public var identifier: ASN1ObjectIdentifier
    /// What its OCTET STRING wraps: DER.
    public var value: [UInt8]
    public var isCritical: Bool
    public init(identifier: ASN1ObjectIdentifier, value: [UInt8], isCritical: Bool) {
      self.identifier = identifier
      self.value = value
      self.isCritical = isCritical
    }
  }
  /// Whether it may sign others.
  public enum Kind: Hashable, Sendable {
    /// keyUsage digitalSignature.
    case leaf
    /// CA:TRUE, keyUsage keyCertSign and cRLSign, with so many authorities below it (RFC 5280 section 4.2.1.9).
    case authority(pathLength: Int)
  }
  public var kind: Kind
  public var subject: DistinguishedName
  /// First second of validity, since 1970-01-01T00:00:00Z.
  public var notBefore_s: Int64
  /// Last second of validity, since 1970-01-01T00:00:00Z; `noEnd_s` for none.
  public var notAfter_s: Int64
  public var extendedKeyUsages: [ASN1ObjectIdentifier]
  public var names: [SubjectAlternativeName]
  public var extensions: [Extension]

  public init(
    kind: Kind, subject: DistinguishedName, notBefore_s: Int64, notAfter_s: Int64,
    extendedKeyUsages: [ASN1ObjectIdentifier] = [], names: [SubjectAlternativeName] = [], extensions: [Extension] = []
  ) {
    self.kind = kind
    self.subject = subject
    self.notBefore_s = notBefore_s
    self.notAfter_s = notAfter_s
    self.extendedKeyUsages = extendedKeyUsages
    self.names = names
    self.extensions = extensions
  }
}
