public import Crypto
import Foundations

/// A maker's station, which provisions devices.
public enum StationProfile {
  /// A year: a station is on the maker's premises, and is renewed there.
  public static let validity_s: Int64 = 365 * 86_400

  /// What the maker's authority signs. `name`: 1…64 characters. `now_s`: seconds since 1970 UTC.
  public static func template(name: String, now_s: Int64) -> CertificateTemplate {
    CertificateTemplate(
      kind: .leaf, subject: DistinguishedName(commonName: name), notBefore_s: now_s - backdating_s, notAfter_s: now_s + validity_s,
      extendedKeyUsages: [HaechiObjectIdentifier.stationUsage, .clientAuthentication])
  }

  /// The station that `certificate` belongs to, or a refusal. The chain is the caller's to verify.
  public static func check(_ certificate: Certificate) throws(CertificateRefusal) -> CallerIdentity {
    if let refusal = LeafPolicy.station.refusal(of: certificate) { throw refusal }
    guard let name = certificate.subjectCommonName else {
      throw CertificateRefusal(.profile, "the station's certificate \(certificate.subject) has no common name")
    }
    return .station(name: name)
  }
}

/// A person of an owner, or a person's tool.
public enum PersonProfile {
  /// What the owner's authority signs. `validity_s`: how long, 90 days unless said otherwise. `now_s`: seconds since 1970 UTC.
  public static func template(
    owner: OwnerIdentifier, name: PersonName, role: Role, validity_s: Int64 = leafValidity_s, now_s: Int64
  ) -> CertificateTemplate {
    CertificateTemplate(
      kind: .leaf, subject: DistinguishedName(commonName: name.text), notBefore_s: now_s - backdating_s, notAfter_s: now_s - backdating_s + validity_s,
      extendedKeyUsages: [HaechiObjectIdentifier.personUsage, .clientAuthentication],
      names: [.uri(IdentityURI.person(owner: owner, name).text)], extensions: [role.certificateExtension])
  }

  /// The person of `owner` that `certificate` names, with a known role, or a refusal. The chain is the caller's to verify.
  public static func check(_ certificate: Certificate, owner: OwnerIdentifier) throws(CertificateRefusal) -> CallerIdentity {
    if let refusal = LeafPolicy.person.refusal(of: certificate) { throw refusal }
    guard certificate.sanURIs.count == 1, case .person(let named, let name)? = IdentityURI(certificate.sanURIs[0]),
      certificate.subjectCommonName == name.text
    else {
      throw CertificateRefusal(.profile, "\(certificate.subject) is not named as a person of an owner is, twice the same: \(certificate.sanURIs)")
    }
    guard named == owner else {
      throw CertificateRefusal(.profile, "\(certificate.subject) is a person of the owner \(named), not of \(owner)")
    }
    guard let role = Role(certificate: certificate) else { throw CertificateRefusal(.profile, "\(certificate.subject) has no role that is known here") }
    return .person(owner: owner, name: name, role: role)
  }
}

/// Somebody who wants to claim a device and is known by a key alone.
public enum ClaimantProfile {
  /// A day: it is made for one claim.
  public static let validity_s: Int64 = 86_400

  /// A self-signed client certificate for `key`. `now_s`: seconds since 1970 UTC.
  public static func make(key: PrivateKey, now_s: Int64) throws(CryptoError) -> Certificate {
    try CertificateIssuer.selfSigned(
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: "Haechi claimant"), notBefore_s: now_s - backdating_s, notAfter_s: now_s + validity_s,
        extendedKeyUsages: [.clientAuthentication]),
      key: key)
  }

  /// The claimant whose self-signed certificate was accepted. That it is self-signed is the caller's to verify.
  public static func check(_ certificate: Certificate) -> CallerIdentity {
    .claimant(fingerprint: hexadecimal(certificate.sha256Fingerprint))
  }
}
