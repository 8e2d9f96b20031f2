public import Crypto

/// The maker's authority, whose certificate is pinned in the firmware: signs stations and devices.
public enum MakerAuthorityProfile {
  /// 20 years: as long as its devices are made and served.
  public static let validity_s: Int64 = 20 * 365 * 86_400

  /// A self-signed authority. `name`: 1…64 characters. `now_s`: seconds since 1970 UTC.
  public static func make(name: String, key: PrivateKey, now_s: Int64) throws(CryptoError) -> Certificate {
    try CertificateIssuer.selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 1), subject: DistinguishedName(commonName: name), notBefore_s: now_s - backdating_s,
        notAfter_s: now_s + validity_s),
      key: key)
  }

  /// Throws a refusal where `certificate` cannot be a pinned maker's authority.
  public static func check(_ certificate: Certificate) throws(CertificateRefusal) { try checkAuthority(certificate, "a maker's authority") }
}

/// An owner's authority: signs the owner's devices and people. Its name is made of its key.
public enum OwnerAuthorityProfile {
  /// 20 years: longer than a device lives.
  public static let validity_s: Int64 = 20 * 365 * 86_400

  /// A self-signed authority with the common name `Haechi owner <owner id>`. `now_s`: seconds since 1970 UTC.
  public static func make(key: PrivateKey, now_s: Int64) throws(CryptoError) -> Certificate {
    let owner = OwnerIdentifier(publicKey: key.publicKey)
    return try CertificateIssuer.selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 0), subject: DistinguishedName(commonName: commonName(owner)), notBefore_s: now_s - backdating_s,
        notAfter_s: now_s + validity_s),
      key: key)
  }

  /// The owner that `certificate` is the authority of, or a refusal where it is none.
  public static func check(_ certificate: Certificate) throws(CertificateRefusal) -> OwnerIdentifier {
    try checkAuthority(certificate, "an owner's authority")
    // What it signs directly is all there is: a list of serial numbers then says exactly whom it withdraws.
    guard certificate.pathLength == 0 else {
      throw CertificateRefusal(.profile, "\(certificate.subject) allows authorities below it, and an owner's has none (a path length of 0)")
    }
    let owner = OwnerIdentifier(authority: certificate)
    guard certificate.subjectCommonName == commonName(owner) else {
      throw CertificateRefusal(.profile, "the authority \(certificate.subject) is not named \"\(commonName(owner))\" after its key")
    }
    return owner
  }

  private static func commonName(_ owner: OwnerIdentifier) -> String { "Haechi owner \(owner)" }
}

/// A clock that is a little slow must not refuse what was just made: certificates begin an hour ago.
let backdating_s: Int64 = 3600
/// How long an operational or personal certificate is valid: 90 days, so that forgetting one is not for ever.
public let leafValidity_s: Int64 = 90 * 86_400

private func checkAuthority(_ certificate: Certificate, _ what: String) throws(CertificateRefusal) {
  guard let key = certificate.publicKey, key.algorithm == .p256 else {
    throw CertificateRefusal(.profile, "the key of \(certificate.subject) is not P-256, which \(what) has")
  }
  guard certificate.isAuthority else { throw CertificateRefusal(.purpose, "\(certificate.subject) cannot sign certificates and is not \(what)") }
  guard certificate.isSelfIssued, certificate.isSigned(by: key) else {
    throw CertificateRefusal(.untrusted, "\(certificate.subject) is not self-signed, which \(what) is")
  }
}
