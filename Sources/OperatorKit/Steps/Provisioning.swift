internal import Crypto
internal import Foundations
internal import TLS

/// What provisioning a device gave.
public struct ProvisionedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let serialNumber: String
  /// SHA-256 of the device's key (SubjectPublicKeyInfo), hexadecimal: for the label.
  public let keyDigest: String
  public let address: String
  public let lifeCycleState: String
}

/// The station's step: gives a blank device its IDevID certificate.
public struct Provisioning: Sendable {
  private let home: OperatorHome
  private let station: Station
  private let now_s: Int64

  /// - Throws: what is wrong with the station's files.
  public init(home: OperatorHome, stationFolder: String, now_s: Int64 = secondsNow()) throws(OperatorError) {
    self.home = home
    self.now_s = now_s
    station = try Station(stationFolder, now_s: now_s)
  }

  /// Provisions the blank device at `endpoint` and remembers it.
  ///
  /// - Parameter serialNumber: 1…64 printable ASCII characters; nil takes the device id in capital letters.
  public func run(endpoint: Endpoint, serialNumber: String?) async throws(OperatorError) -> ProvisionedDevice {
    if let serialNumber { try Self.check(serialNumber) }
    let security = try ConnectionSecurity(
      credential: station.credential, trust: .selfSigned, peerName: "a blank device", policy: Profiles.refusalOfMakersDevice)
    let done: ProvisionedDevice
    do throws(OperatorError) {
      done = try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
        try await provision(connection, serialNumber: serialNumber)
      }
    } catch {
      throw Self.advice(error, endpoint)
    }
    try MakerFolder.remember(station.issuer.certificate, home)
    try DeviceBook.update(home) { (book) throws(OperatorError) in
      try book.remember(KnownDevice(deviceId: done.deviceId, address: endpoint.description, serialNumber: done.serialNumber))
    }
    return done
  }

  private func provision(_ connection: DeviceConnection, serialNumber: String?) async throws(OperatorError) -> ProvisionedDevice {
    let endpoint = connection.endpoint
    let client = DeviceClient(connection)
    let offer = try await client.get(ProvisioningOffer.self, "/v1/provisioning")
    let request = try Profiles.request(offer.certificateRequest, from: endpoint)
    // The handshake proved one key; a certificate for another would give an identity to something that is not at the wire.
    guard let peer = connection.peer, request.publicKey.digest == peer.publicKeyDigest else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) asks for a certificate for another key than the one that it proved in the handshake; nothing was signed")
    }
    let deviceId = try Profiles.deviceId(request, from: endpoint)
    guard offer.deviceId == deviceId.text else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) calls itself '\(printable(offer.deviceId.prefix(40)))', which is not the digest of its key; nothing was signed")
    }
    let serialNumber = serialNumber ?? deviceId.text.uppercased()
    let certificate = try Profiles.iDevID(
      issuer: station.issuer, key: request.publicKey, deviceId: deviceId, serialNumber: serialNumber, now_s: now_s)
    let order = ProvisioningOrder(serialNumber: serialNumber, certificateChain: certificate.pem)
    let answer = try await client.send(LifeCycleAnswer.self, DeviceRequest(.put, "/v1/provisioning", body: try encode(order)))
    guard answer.deviceId == deviceId.text, answer.lifeCycleState == "provisioned" else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) took its certificate and is now '\(printable(answer.lifeCycleState.prefix(40)))' instead of provisioned; see its log")
    }
    return ProvisionedDevice(
      deviceId: deviceId.text, serialNumber: serialNumber, keyDigest: hexadecimal(request.publicKey.digest), address: endpoint.description,
      lifeCycleState: answer.lifeCycleState)
  }

  /// What a refusal means while a device is being provisioned.
  private static func advice(_ error: OperatorError, _ endpoint: Endpoint) -> OperatorError {
    switch error.code {
    case "wrong-device" where error.cause is CertificateRefusal || error.reason.contains("self-signed"):
      OperatorError(
        "wrong-device",
        "\(endpoint) is not blank: it has a certificate that is not self-signed, so it was provisioned already; claim it with: haechi claim --device \(endpoint)",
        cause: error.cause)
    case "tls-refused":
      OperatorError(
        "tls-refused",
        "\(error.reason). The device's firmware pins another maker's CA than this station's, or the device is not blank any more",
        cause: error.cause)
    default: error
    }
  }

  /// A serial number is printed on a label and lies in a certificate.
  static func check(_ serialNumber: String) throws(OperatorError) {
    let plain = serialNumber.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    guard plain, (1...64).contains(serialNumber.utf8.count) else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(serialNumber.prefix(64)))' cannot be a serial number: use 1 to 64 letters, digits and signs of ASCII, without spaces")
    }
  }
}
