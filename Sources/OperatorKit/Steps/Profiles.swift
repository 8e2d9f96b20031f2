internal import Crypto
internal import Foundations

/// The certificates that the operator's side signs and reads, with errors that say whose they are.
enum Profiles {
  private static let arc = "2.25.86869528671686314334224178961834048173"
  static let deviceUsage = ASN1ObjectIdentifier(known: arc + ".1.1")
  static let personUsage = ASN1ObjectIdentifier(known: arc + ".1.2")
  static let stationUsage = ASN1ObjectIdentifier(known: arc + ".1.3")
  static let roleExtension = ASN1ObjectIdentifier(known: arc + ".2.1")
  static let roles = ["viewer", "operator", "admin"]

  /// Two clocks differ: what is signed now must be valid on a device whose clock is up to an hour behind.
  private static let backdating_s: Int64 = 3600
  private static let day_s: Int64 = 86_400
  /// How long an operational or a person's certificate lasts.
  private static let lifetime_s: Int64 = 90 * day_s
  /// An authority of trial and development, and an owner's: long enough that no device outlives it unseen.
  private static let authorityLifetime_s: Int64 = 20 * 365 * day_s

  // MARK: authorities

  static func makerCA(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 1), subject: DistinguishedName(commonName: "Haechi throwaway maker \(hexadecimal(key.publicKey.digest.prefix(4)))"),
        notBefore_s: now_s - backdating_s, notAfter_s: now_s + authorityLifetime_s), key)
  }

  static func ownerCA(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 0), subject: DistinguishedName(commonName: "Haechi owner \(hexadecimal(key.publicKey.digest.prefix(10)))"),
        notBefore_s: now_s - backdating_s, notAfter_s: now_s + authorityLifetime_s), key)
  }

  /// The owner id of an owner CA: the first 10 bytes of the SHA-256 of its key, hexadecimal.
  static func ownerId(_ certificate: Certificate) -> String { hexadecimal(certificate.publicKeyDigest.prefix(10)) }

  static func issuer(_ certificate: Certificate, _ key: PrivateKey) throws(OperatorError) -> CertificateIssuer {
    do {
      return try CertificateIssuer(certificate: certificate, key: key)
    } catch {
      throw unsigned(error)
    }
  }

  // MARK: leaves

  static func station(issuer: CertificateIssuer, key: PublicKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try issue(
      issuer,
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: "Haechi throwaway station"), notBefore_s: now_s - backdating_s,
        notAfter_s: min(now_s + authorityLifetime_s, issuer.certificate.notAfter_s), extendedKeyUsages: [stationUsage, .clientAuthentication]), key)
  }

  static func iDevID(
    issuer: CertificateIssuer, key: PublicKey, deviceId: DeviceIdentifier, serialNumber: String, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    try issue(
      issuer,
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: deviceId.text, serialNumber: serialNumber), notBefore_s: now_s - backdating_s, notAfter_s: noEnd_s,
        extendedKeyUsages: [deviceUsage, .serverAuthentication, .clientAuthentication], names: [.uri(makersDeviceURI(deviceId)), .dns(deviceId.hostName)]), key)
  }

  static func lDevID(
    issuer: CertificateIssuer, key: PublicKey, ownerId: String, deviceId: DeviceIdentifier, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    try issue(
      issuer,
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: deviceId.text), notBefore_s: now_s - backdating_s, notAfter_s: now_s + lifetime_s,
        extendedKeyUsages: [deviceUsage, .serverAuthentication, .clientAuthentication],
        names: [.uri(deviceURI(ownerId: ownerId, deviceId: deviceId)), .dns(deviceId.hostName), .dns(deviceId.hostName + ".local")]), key)
  }

  static func person(
    issuer: CertificateIssuer, key: PublicKey, ownerId: String, name: String, role: String, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    guard roles.contains(role), let value = derUTF8String(role) else {
      throw OperatorError("bad-argument", "'\(printable(role.prefix(40)))' is no role; there are: \(roles.joined(separator: ", "))")
    }
    return try issue(
      issuer,
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: name), notBefore_s: now_s - backdating_s, notAfter_s: now_s + lifetime_s,
        extendedKeyUsages: [personUsage, .clientAuthentication], names: [.uri("haechi://\(ownerId)/person/\(name)")],
        extensions: [.init(identifier: roleExtension, value: value, isCritical: false)]), key)
  }

  /// A key of this moment, which a device lets in only to be claimed.
  static func claimant(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try selfSigned(
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: "Haechi claimant"), notBefore_s: now_s - backdating_s, notAfter_s: now_s + day_s,
        extendedKeyUsages: [.clientAuthentication]), key)
  }

  // MARK: what comes from a device

  /// A device's certificate request, its own signature verified; P-256, as the profiles of devices want it.
  static func request(_ pem: String, from endpoint: Endpoint) throws(OperatorError) -> CertificateRequest {
    let request: CertificateRequest
    do {
      request = try CertificateRequest(pem: pem)
    } catch {
      throw OperatorError("bad-answer", "the field 'certificateRequest' that \(endpoint) sent is no certificate request that can be signed", cause: error)
    }
    guard request.publicKey.algorithm == .p256 else {
      throw OperatorError("bad-answer", "\(endpoint) asks for a certificate for a key of \(request.publicKey.algorithm.rawValue); a device's key is of P-256")
    }
    return request
  }

  static func makersDeviceURI(_ deviceId: DeviceIdentifier) -> String { "haechi://maker/device/\(deviceId.text)" }
  static func deviceURI(ownerId: String, deviceId: DeviceIdentifier) -> String { "haechi://\(ownerId)/device/\(deviceId.text)" }

  /// Whether a certificate is that of a device as its maker knows it: nil, or why not. Its id must be the digest of its key.
  static func refusalOfMakersDevice(_ certificate: Certificate) -> CertificateRefusal? {
    guard let id = DeviceIdentifier(publicKeyDigest: certificate.publicKeyDigest), certificate.sanURIs == [makersDeviceURI(id)] else {
      return CertificateRefusal(.profile, "the certificate \(certificate.subject) is not a maker's certificate of a device")
    }
    return refusalOfUsage(certificate)
  }

  /// Whether a certificate is that of a device of this owner: nil, or why not.
  static func refusalOfOwnedDevice(_ certificate: Certificate, ownerId: String) -> CertificateRefusal? {
    guard ownedDeviceId(certificate, ownerId: ownerId) != nil else {
      return CertificateRefusal(.profile, "the certificate \(certificate.subject) is not that of a device of owner \(ownerId)")
    }
    return refusalOfUsage(certificate)
  }

  private static func refusalOfUsage(_ certificate: Certificate) -> CertificateRefusal? {
    guard !certificate.ekuOIDs.contains(deviceUsage) else { return nil }
    return CertificateRefusal(.purpose, "the certificate \(certificate.subject) was not made for a device")
  }

  /// The device of this owner that a certificate names; nil for anything else.
  static func ownedDeviceId(_ certificate: Certificate, ownerId: String) -> DeviceIdentifier? {
    guard certificate.sanURIs.count == 1, let uri = certificate.sanURIs.first, uri.hasPrefix("haechi://\(ownerId)/device/") else { return nil }
    guard let id = DeviceIdentifier(uri.dropFirst("haechi://\(ownerId)/device/".count)), deviceURI(ownerId: ownerId, deviceId: id) == uri else { return nil }
    return id
  }

  /// The role in a person's certificate; nil where it has none that is known.
  static func role(of certificate: Certificate) -> String? {
    guard let value = certificate.extensionValue(roleExtension), let role = utf8String(der: value), roles.contains(role) else { return nil }
    return role
  }

  // MARK: signing

  private static func issue(_ issuer: CertificateIssuer, _ template: CertificateTemplate, _ key: PublicKey) throws(OperatorError) -> Certificate {
    do {
      return try issuer.issue(template, publicKey: key)
    } catch {
      throw unsigned(error)
    }
  }

  private static func selfSigned(_ template: CertificateTemplate, _ key: PrivateKey) throws(OperatorError) -> Certificate {
    do {
      return try CertificateIssuer.selfSigned(template, key: key)
    } catch {
      throw unsigned(error)
    }
  }

  private static func unsigned(_ error: CryptoError) -> OperatorError {
    OperatorError("bad-argument", "a certificate could not be signed", cause: error)
  }
}
