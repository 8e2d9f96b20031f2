internal import Crypto
internal import Foundations
internal import Identity

/// Identity's profiles of certificates as the operator's side uses them, with errors that name the device or the file's maker.
enum Profiles {
  // MARK: authorities

  static func makerCA(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    let name = "Haechi throwaway maker \(hexadecimal(key.publicKey.digest.prefix(4)))"
    return try signed { () throws(CryptoError) in try MakerAuthorityProfile.make(name: name, key: key, now_s: now_s) }
  }

  static func ownerCA(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try signed { () throws(CryptoError) in try OwnerAuthorityProfile.make(key: key, now_s: now_s) }
  }

  static func issuer(_ certificate: Certificate, _ key: PrivateKey) throws(OperatorError) -> CertificateIssuer {
    try signed { () throws(CryptoError) in try CertificateIssuer(certificate: certificate, key: key) }
  }

  // MARK: leaves

  static func station(issuer: CertificateIssuer, key: PublicKey, now_s: Int64) throws(OperatorError) -> Certificate {
    let template = StationProfile.template(name: "Haechi throwaway station", now_s: now_s)
    return try signed { () throws(CryptoError) in try issuer.issue(template, publicKey: key) }
  }

  static func iDevID(
    issuer: CertificateIssuer, key: PublicKey, deviceId: DeviceIdentifier, serialNumber: String, hardwareType: ASN1ObjectIdentifier, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    let template = InitialDeviceProfile.template(device: deviceId, serialNumber: serialNumber, hardwareType: hardwareType, now_s: now_s)
    return try signed { () throws(CryptoError) in try issuer.issue(template, publicKey: key) }
  }

  static func lDevID(
    issuer: CertificateIssuer, key: PublicKey, owner: OwnerIdentifier, deviceId: DeviceIdentifier, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    let template = OperationalDeviceProfile.template(owner: owner, device: deviceId, now_s: now_s)
    return try signed { () throws(CryptoError) in try issuer.issue(template, publicKey: key) }
  }

  static func person(
    issuer: CertificateIssuer, key: PublicKey, owner: OwnerIdentifier, name: PersonName, role: Role, validity_s: Int64, now_s: Int64
  ) throws(OperatorError) -> Certificate {
    let template = PersonProfile.template(owner: owner, name: name, role: role, validity_s: validity_s, now_s: now_s)
    return try signed { () throws(CryptoError) in try issuer.issue(template, publicKey: key) }
  }

  static func claimant(key: PrivateKey, now_s: Int64) throws(OperatorError) -> Certificate {
    try signed { () throws(CryptoError) in try ClaimantProfile.make(key: key, now_s: now_s) }
  }

  // MARK: what comes from a device

  /// A device's certificate request; its own signature is verified.
  static func request(_ pem: String, from endpoint: Endpoint) throws(OperatorError) -> CertificateRequest {
    do {
      return try CertificateRequest(pem: pem)
    } catch {
      throw OperatorError(
        "bad-answer", "the field 'certificateRequest' that \(endpoint) sent is no certificate request that can be signed", cause: error)
    }
  }

  /// The device that a blank device's request is for: its names must be made of its own key.
  static func deviceId(_ request: CertificateRequest, from endpoint: Endpoint) throws(OperatorError) -> DeviceIdentifier {
    do {
      return try InitialDeviceProfile.check(request)
    } catch {
      throw OperatorError(
        "bad-answer", "the certificate request that \(endpoint) sent is not that of a blank device; nothing was signed", cause: error)
    }
  }

  /// Checks the request for a device's operational key.
  static func checkOperational(_ request: CertificateRequest, _ deviceId: DeviceIdentifier, from endpoint: Endpoint) throws(OperatorError) {
    do {
      try OperationalDeviceProfile.check(request, device: deviceId)
    } catch {
      throw OperatorError(
        "bad-answer", "the certificate request that \(endpoint) sent is not for its operational key; nothing was signed", cause: error)
    }
  }

  /// Whether a certificate is that of a device as its maker knows it: nil, or why not. Its id is the digest of its key.
  static func refusalOfMakersDevice(_ certificate: Certificate) -> CertificateRefusal? {
    do {
      _ = try InitialDeviceProfile.check(certificate)
      return nil
    } catch {
      return error
    }
  }

  /// Whether a certificate is that of a device of `owner`: nil, or why not.
  static func refusalOfOwnedDevice(_ certificate: Certificate, owner: OwnerIdentifier) -> CertificateRefusal? {
    do {
      let found = try OperationalDeviceProfile.check(certificate)
      return found.owner == owner
        ? nil : CertificateRefusal(.profile, "\(certificate.subject) is a device of the owner \(found.owner), not of \(owner)")
    } catch {
      return error
    }
  }

  private static func signed<Value>(_ body: () throws(CryptoError) -> Value) throws(OperatorError) -> Value {
    do {
      return try body()
    } catch {
      throw OperatorError("bad-argument", "a certificate could not be signed", cause: error)
    }
  }
}
