public import Crypto
public import Foundations

/// The certificate of a device's own key for its whole life (IDevID, IEEE 802.1AR): signed by the maker, or before that by itself.
public enum InitialDeviceProfile {
  /// What the device's request (PKCS#10) and its certificate are named.
  public static func names(_ device: DeviceIdentifier) -> [SubjectAlternativeName] {
    [.uri(IdentityURI.makerDevice(device).text), .dns(device.hostName)]
  }

  /// The device's identifier: made of its key.
  public static func identifier(_ key: PublicKey) -> DeviceIdentifier {
    guard let device = DeviceIdentifier(publicKeyDigest: key.digest) else { preconditionFailure("a SHA-256 digest has 32 bytes") }
    return device
  }

  /// The request for the certificate of `key`.
  public static func request(key: PrivateKey) throws(CryptoError) -> CertificateRequest {
    let device = identifier(key.publicKey)
    return try CertificateRequest.make(key: key, subject: DistinguishedName(commonName: device.text), names: names(device))
  }

  /// What the maker's authority signs. It has no end (802.1AR section 8.7), and names the hardware twice, as 802.1AR sections 8.6 and 8.10.4 ask:
  /// by the subject's serialNumber and by a hardwareModuleName (RFC 4108).
  ///
  /// - Parameters:
  ///   - serialNumber: the maker's, 1…64 ASCII characters.
  ///   - hardwareType: the maker's name for the model of the hardware.
  public static func template(
    device: DeviceIdentifier, serialNumber: String, hardwareType: ASN1ObjectIdentifier = HaechiObjectIdentifier.hardwareType, now_s: Int64
  ) -> CertificateTemplate {
    var template = template(device: device, subject: DistinguishedName(commonName: device.text, serialNumber: serialNumber), now_s: now_s)
    template.names.append(.hardwareModule(type: hardwareType, serialNumber: Array(serialNumber.utf8)))
    return template
  }

  /// The self-signed certificate of a blank device.
  public static func selfSigned(key: PrivateKey, now_s: Int64) throws(CryptoError) -> Certificate {
    let device = identifier(key.publicKey)
    return try CertificateIssuer.selfSigned(
      template(device: device, subject: DistinguishedName(commonName: device.text), now_s: now_s), key: key)
  }

  private static func template(device: DeviceIdentifier, subject: DistinguishedName, now_s: Int64) -> CertificateTemplate {
    CertificateTemplate(
      kind: .leaf, subject: subject, notBefore_s: now_s - backdating_s, notAfter_s: noEnd_s,
      extendedKeyUsages: [HaechiObjectIdentifier.deviceUsage, .serverAuthentication, .clientAuthentication], names: names(device))
  }

  /// The device that `certificate` belongs to, self-signed or not, or a refusal. The chain is the caller's to verify.
  public static func check(_ certificate: Certificate) throws(CertificateRefusal) -> DeviceIdentifier {
    guard certificate.ekuOIDs.contains(HaechiObjectIdentifier.deviceUsage) else {
      throw CertificateRefusal(.purpose, "\(certificate.subject) is not a device's certificate")
    }
    guard let device = DeviceIdentifier(publicKeyDigest: certificate.publicKeyDigest), !certificate.isAuthority,
      certificate.subjectCommonName == device.text, certificate.sanURIs == [IdentityURI.makerDevice(device).text],
      certificate.sanDNSNames == [device.hostName]
    else { throw CertificateRefusal(.profile, "\(certificate.subject) is not named after its own key, as a device's first certificate is") }
    if let module = certificate.hardwareModule, module.serialNumber != certificate.subjectSerialNumber.map({ Array($0.utf8) }) {
      throw CertificateRefusal(.profile, "\(certificate.subject) has another serial number than the hardware module that it names")
    }
    return device
  }

  /// The device that asks in `request`, or a refusal: its names must be made of its key.
  public static func check(_ request: CertificateRequest) throws(CertificateRefusal) -> DeviceIdentifier {
    let device = identifier(request.publicKey)
    guard request.publicKey.algorithm == .p256, request.subjectCommonName == device.text,
      request.sanURIs == [IdentityURI.makerDevice(device).text], request.sanDNSNames == [device.hostName]
    else { throw CertificateRefusal(.profile, "the request for \(request.subjectCommonName ?? "no name") is not named after its own P-256 key") }
    return device
  }
}

/// The certificate of a device's operational key (LDevID, IEEE 802.1AR), signed by its owner.
public enum OperationalDeviceProfile {
  /// The request for the certificate of the operational `key` of `device`: the owner's name is not known yet.
  public static func request(key: PrivateKey, device: DeviceIdentifier) throws(CryptoError) -> CertificateRequest {
    try CertificateRequest.make(key: key, subject: DistinguishedName(commonName: device.text), names: dnsNames(device).map { .dns($0) })
  }

  /// Refuses a request for the operational key of `device` that is named otherwise.
  public static func check(_ request: CertificateRequest, device: DeviceIdentifier) throws(CertificateRefusal) {
    guard request.publicKey.algorithm == .p256, request.subjectCommonName == device.text, request.sanURIs.isEmpty,
      request.sanDNSNames == dnsNames(device)
    else { throw CertificateRefusal(.profile, "the request for \(request.subjectCommonName ?? "no name") is not that of the device \(device)") }
  }

  /// What the owner's authority signs: 90 days. `now_s`: seconds since 1970 UTC.
  public static func template(owner: OwnerIdentifier, device: DeviceIdentifier, now_s: Int64) -> CertificateTemplate {
    CertificateTemplate(
      kind: .leaf, subject: DistinguishedName(commonName: device.text), notBefore_s: now_s - backdating_s, notAfter_s: now_s - backdating_s + leafValidity_s,
      extendedKeyUsages: [HaechiObjectIdentifier.deviceUsage, .serverAuthentication, .clientAuthentication],
      names: [.uri(IdentityURI.device(owner: owner, device).text)] + dnsNames(device).map { .dns($0) })
  }

  /// The owner and device that `certificate` names, or a refusal. The chain is the caller's to verify.
  public static func check(_ certificate: Certificate) throws(CertificateRefusal) -> (owner: OwnerIdentifier, device: DeviceIdentifier) {
    if let refusal = LeafPolicy.operationalDevice.refusal(of: certificate) { throw refusal }
    guard certificate.sanURIs.count == 1, case .device(let owner, let device)? = IdentityURI(certificate.sanURIs[0]),
      certificate.subjectCommonName == device.text, certificate.sanDNSNames == dnsNames(device)
    else { throw CertificateRefusal(.profile, "\(certificate.subject) is not named as a device of an owner is: \(certificate.sanURIs)") }
    return (owner, device)
  }

  /// The DNS name under which a device shows the certificate that shall replace its own, until that was proved.
  public static func renewalName(_ device: DeviceIdentifier) -> String { device.text + ".renewal" }

  private static func dnsNames(_ device: DeviceIdentifier) -> [String] { [device.hostName, device.hostName + ".local"] }
}
