public import Crypto

/// What a leaf certificate of one kind looks like here, beyond what OpenSSL's verification asks of every certificate: a value, so that the whole
/// of the policy can be read and tested in one place. Whoever deviates is refused, even where the deviation would be harmless: a certificate
/// that only its own issuer understands is one that two readers may understand differently.
public struct LeafPolicy: Hashable, Sendable {
  /// For sentences: `a person's certificate`.
  public let what: String
  /// The extended key usage that only this kind has.
  public let usage: ASN1ObjectIdentifier
  /// The extended key usages that it has besides, all of them and no others.
  public let otherUsages: Set<ASN1ObjectIdentifier>
  /// How many names of any kind the subjectAltName holds; nil for any number.
  public let nameCount: Int?

  /// A person of an owner: the one name is the URI.
  public static let person = LeafPolicy(
    what: "a person's certificate", usage: HaechiObjectIdentifier.personUsage, otherUsages: [.clientAuthentication], nameCount: 1)
  /// A maker's station.
  public static let station = LeafPolicy(
    what: "a station's certificate", usage: HaechiObjectIdentifier.stationUsage, otherUsages: [.clientAuthentication], nameCount: nil)
  /// A device of an owner.
  public static let operationalDevice = LeafPolicy(
    what: "a device's certificate", usage: HaechiObjectIdentifier.deviceUsage, otherUsages: [.serverAuthentication, .clientAuthentication],
    nameCount: 3)

  /// Why `certificate` is not of this kind, nil where it is. Who it names is the profile's matter, its chain and dates are the verifier's.
  public func refusal(of certificate: Certificate) -> CertificateRefusal? {
    let subject = certificate.subject
    guard certificate.ekuOIDs.contains(usage) else { return CertificateRefusal(.purpose, "\(subject) is not \(what)") }
    guard certificate.ekuOIDs.count == otherUsages.count + 1, Set(certificate.ekuOIDs) == otherUsages.union([usage]) else {
      return CertificateRefusal(.purpose, "\(subject) has extended key usages that \(what) has not: \(certificate.ekuOIDs)")
    }
    guard certificate.signsOnly, !certificate.isAuthority else {
      return CertificateRefusal(.purpose, "\(subject) has another key usage than digitalSignature, which \(what) has alone")
    }
    guard certificate.version == 3 else { return CertificateRefusal(.profile, "\(subject) is of X.509 version \(certificate.version), not 3") }
    guard certificate.publicKey != nil else { return CertificateRefusal(.profile, "the key of \(subject) is neither P-256 nor Ed25519") }
    guard let algorithm = certificate.signatureAlgorithm, Self.signatureAlgorithms.contains(algorithm) else {
      return CertificateRefusal(
        .profile, "\(subject) is signed with \(certificate.signatureAlgorithm?.text ?? "an unknown algorithm"), not with ECDSA and SHA-256 or Ed25519")
    }
    guard certificate.serial != nil else {
      return CertificateRefusal(.profile, "the serial number of \(subject) is not a positive number of at most \(CertificateSerial.maximum_bytes) bytes")
    }
    if let nameCount, certificate.alternativeNameCount != nameCount {
      return CertificateRefusal(.profile, "\(subject) has \(certificate.alternativeNameCount) alternative names, and \(what) has \(nameCount)")
    }
    return nil
  }

  /// What our own authorities sign with.
  private static let signatureAlgorithms: Set<ASN1ObjectIdentifier> = [.ecdsaWithSHA256, .ed25519]
}
