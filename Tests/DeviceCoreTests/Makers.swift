import Crypto
import Foundations
import Identity
import LocalAPI

let testClock = WallClock(floor_s: 1_700_000_000)

/// A maker with its authority and a station.
struct Maker {
  let issuer: CertificateIssuer
  let stationKey: PrivateKey
  let station: Certificate

  init(name: String = "Test maker") throws {
    let key = try PrivateKey.generateP256()
    issuer = try CertificateIssuer(certificate: try MakerAuthorityProfile.make(name: name, key: key, now_s: testClock.now_s()), key: key)
    stationKey = try PrivateKey.generateP256()
    station = try issuer.issue(StationProfile.template(name: "station 1", now_s: testClock.now_s()), publicKey: stationKey.publicKey)
  }

  var authority: Certificate { issuer.certificate }

  /// The IDevID chain for a request, PEM; `padding_bytes` as an owner's.
  func sign(_ requestPEM: String, serialNumber: String, padding_bytes: Int = 0) throws -> String {
    let request = try CertificateRequest(pem: requestPEM)
    let device = try InitialDeviceProfile.check(request)
    var template = InitialDeviceProfile.template(device: device, serialNumber: serialNumber, now_s: testClock.now_s())
    if padding_bytes > 0 { template.extensions.append(Owner.padding(padding_bytes)) }
    return try issuer.issue(template, publicKey: request.publicKey).pem
  }
}

/// An owner with an authority, who signs devices and people.
struct Owner {
  let issuer: CertificateIssuer
  let identifier: OwnerIdentifier

  /// - Parameter padding_bytes: of an extension that nobody needs.
  init(padding_bytes: Int = 0) throws {
    let key = try PrivateKey.generateP256()
    let plain = try OwnerAuthorityProfile.make(key: key, now_s: testClock.now_s())
    let padded = try CertificateIssuer.selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 0), subject: DistinguishedName(commonName: plain.subjectCommonName ?? ""), notBefore_s: plain.notBefore_s,
        notAfter_s: plain.notAfter_s, extensions: [Self.padding(padding_bytes)]), key: key)
    issuer = try CertificateIssuer(certificate: padding_bytes > 0 ? padded : plain, key: key)
    identifier = OwnerIdentifier(publicKey: key.publicKey)
  }

  static func padding(_ count_bytes: Int) -> CertificateTemplate.Extension {
    CertificateTemplate.Extension(
      identifier: HaechiObjectIdentifier.role,
      value: [0x04, 0x82, UInt8(count_bytes >> 8), UInt8(count_bytes & 255)] + [UInt8](repeating: 0, count: count_bytes), isCritical: false)
  }

  func sign(_ requestPEM: String, device: DeviceIdentifier) throws -> String {
    let request = try CertificateRequest(pem: requestPEM)
    try OperationalDeviceProfile.check(request, device: device)
    return try issuer.issue(
      OperationalDeviceProfile.template(owner: identifier, device: device, now_s: testClock.now_s()), publicKey: request.publicKey
    ).pem
  }

  func person(_ name: String, _ role: Role) throws -> (certificate: Certificate, key: PrivateKey) {
    let key = try PrivateKey.generateP256()
    guard let personName = PersonName(name) else { throw CryptoError(code: "malformed-input", reason: "\(name) is no person's name") }
    let template = PersonProfile.template(owner: identifier, name: personName, role: role, now_s: testClock.now_s())
    return (try issuer.issue(template, publicKey: key.publicKey), key)
  }
}

/// A label whose code has become its key already: the device never sees the way there.
struct Label {
  let clientKey: SecretBytes
  let document: LabelDocument

  init() throws {
    let key = try randomSecret(32)
    clientKey = key
    document = LabelDocument(
      salt: hexadecimal(try randomBytes(16)), n: 1 << 15, r: 8, p: 1, storedKey: hexadecimal(key.withUnsafeBytes { sha256($0) }))
  }

  /// As a member of a provisioning request.
  var json: String {
    "{\"salt\":\"\(document.salt)\",\"n\":\(document.n),\"r\":\(document.r),\"p\":\(document.p),\"storedKey\":\"\(document.storedKey)\"}"
  }

  /// Hexadecimal.
  func proof(_ device: DeviceIdentifier, _ binding: [UInt8], _ owner: Owner) throws -> String {
    hexadecimal(
      try LabelProof.make(clientKey: clientKey, context: LabelProof.context(device: device, binding: binding, owner: owner.issuer.certificate)))
  }
}
