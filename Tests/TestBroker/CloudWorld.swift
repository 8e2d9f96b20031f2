public import Crypto
public import Foundations
public import Identity

/// Authorities and credentials of a test: an owner with devices and people, and whoever signs the broker.
public struct CloudWorld: Sendable {
  public let clock = WallClock(floor_s: 1_700_000_000)
  public let owner: CertificateIssuer
  public let ownerIdentifier: OwnerIdentifier
  /// Signs the broker's certificate.
  public let brokerAuthority: CertificateIssuer

  /// A certificate and its key.
  public struct Credential: Sendable {
    public let certificate: Certificate
    public let key: PrivateKey
  }
  /// A device of the owner's.
  public struct TestDevice: Sendable {
    public let identifier: DeviceIdentifier
    public let credential: Credential
  }

  public init() throws {
    let key = try PrivateKey.generateP256()
    owner = try CertificateIssuer(certificate: try OwnerAuthorityProfile.make(key: key, now_s: clock.now_s()), key: key)
    ownerIdentifier = OwnerIdentifier(publicKey: key.publicKey)
    brokerAuthority = try Self.authority("broker authority", clock)
  }

  /// Somebody who can sign.
  public static func authority(_ name: String, _ clock: WallClock) throws -> CertificateIssuer {
    let key = try PrivateKey.generateP256()
    let template = CertificateTemplate(
      kind: .authority(pathLength: 0), subject: .init(commonName: name), notBefore_s: clock.now_s() - 30 * 86_400, notAfter_s: clock.now_s() + 30 * 86_400)
    return try CertificateIssuer(certificate: CertificateIssuer.selfSigned(template, key: key), key: key)
  }

  public func device() throws -> TestDevice {
    let key = try PrivateKey.generateP256()
    let identifier = InitialDeviceProfile.identifier(key.publicKey)
    let template = OperationalDeviceProfile.template(owner: ownerIdentifier, device: identifier, now_s: clock.now_s())
    return TestDevice(identifier: identifier, credential: Credential(certificate: try owner.issue(template, publicKey: key.publicKey), key: key))
  }

  public func person(_ name: String) throws -> Credential {
    let key = try PrivateKey.generateP256()
    guard let personName = PersonName(name) else { throw CryptoError(code: "malformed-input", reason: "\(name) is no person's name") }
    let template = PersonProfile.template(owner: ownerIdentifier, name: personName, role: .operator, now_s: clock.now_s())
    return Credential(certificate: try owner.issue(template, publicKey: key.publicKey), key: key)
  }

  /// A plain server certificate.
  public func broker(
    names: [SubjectAlternativeName] = [.dns("broker.test"), .address(NetworkAddress(ipv4: 0x7f00_0001))], from_s: Int64 = -3_600, until_s: Int64 = 86_400,
    by issuer: CertificateIssuer? = nil
  ) throws -> Credential {
    let key = try PrivateKey.generateP256()
    let template = CertificateTemplate(
      kind: .leaf, subject: .init(commonName: "broker"), notBefore_s: clock.now_s() + from_s, notAfter_s: clock.now_s() + until_s,
      extendedKeyUsages: [.serverAuthentication], names: names)
    return Credential(certificate: try (issuer ?? brokerAuthority).issue(template, publicKey: key.publicKey), key: key)
  }
}
