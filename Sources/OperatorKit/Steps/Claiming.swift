internal import Crypto
internal import Foundations
internal import Identity
internal import TLS

/// What claiming a device gave.
public struct ClaimedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let serialNumber: String?
  public let address: String
  public let ownerId: String
  public let ownerFolder: String
  /// Whether the owner CA was made for this claim.
  public let ownerIsNew: Bool
  /// Whether the device's identity was checked against a maker's CA; else it was checked against its device id alone.
  public let makerChecked: Bool
  public let person: String
  public let lifeCycleState: String
}

/// The owner's step: gives a provisioned device its owner and its operational certificate.
public struct Claiming: Sendable {
  private let home: OperatorHome
  private let ownerFolder: String?
  private let makerCAFile: String?
  private let now_s: Int64

  /// - Parameters:
  ///   - ownerFolder: nil for the usual one of `home`.
  ///   - makerCAFile: the CA certificate of the device's maker; nil to use those that are known.
  public init(home: OperatorHome, ownerFolder: String?, makerCAFile: String?, now_s: Int64 = secondsNow()) {
    self.home = home
    self.ownerFolder = ownerFolder
    self.makerCAFile = makerCAFile
    self.now_s = now_s
  }

  /// Claims the device and remembers it.
  ///
  /// - Parameters:
  ///   - device: HOST:PORT, or the id or alias of a known device; nil for the only known one.
  ///   - deviceId: the id that the device must have, as its label shows it; nil to take any device of a trusted maker.
  ///   - person: who the operator is among the owner's people.
  /// - Throws: `unknown-maker` when neither a maker nor an id says which device is the right one.
  public func run(device: String?, deviceId: String? = nil, person: String, alias: String? = nil) async throws(OperatorError)
    -> ClaimedDevice
  {
    let (endpoint, expected) = try target(device, deviceId)
    let person = try OwnerFolder.personName(person).text
    if let alias { try DeviceBook.check(alias: alias) }
    let makers = if let makerCAFile { [try KeyFiles.certificate(makerCAFile)] } else { try MakerFolder.known(home) }
    guard !makers.isEmpty || expected != nil else {
      throw OperatorError(
        "unknown-maker",
        "no maker's CA is known here, so nothing can tell the right device from a false one; give --maker-ca FILE, or the device id from its label with --device-id ID"
      )
    }
    let folder = ownerFolder ?? home.ownerFolder
    let security = try Self.security(makers: makers, expected: expected, now_s: now_s)
    let claimed: Claimed
    do throws(OperatorError) {
      claimed = try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
        try await claim(connection, folder: folder, person: person)
      }
    } catch {
      throw Self.advice(error, endpoint)
    }
    let owner = claimed.owner
    // Remembered before it is tried: from here on the device obeys this owner, whatever happens to the next connection.
    try DeviceBook.update(home) { (book) throws(OperatorError) in
      try book.remember(
        KnownDevice(
          deviceId: claimed.id.text, alias: alias, address: endpoint.description, serialNumber: claimed.info.serialNumber,
          model: claimed.info.model,
          ownerId: owner.ownerId, ownerFolder: ownerFolder, person: person))
    }
    let info = try await OwnedDevice(home: home, device: claimed.id.text, ownerFolder: ownerFolder, person: person).with {
      (client) throws(OperatorError) in
      try await client.info()
    }
    guard info.lifeCycleState == "owned", info.ownerId == owner.ownerId else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) took its owner and then says that it is '\(printable(info.lifeCycleState.prefix(40)))' of owner '\(printable((info.ownerId ?? "nobody").prefix(40)))'; see its log"
      )
    }
    return ClaimedDevice(
      deviceId: claimed.id.text, serialNumber: claimed.info.serialNumber, address: endpoint.description, ownerId: owner.ownerId,
      ownerFolder: folder,
      ownerIsNew: claimed.ownerIsNew, makerChecked: !makers.isEmpty, person: person, lifeCycleState: info.lifeCycleState)
  }

  /// Where to go, and which device must be there.
  private func target(_ device: String?, _ deviceId: String?) throws(OperatorError) -> (Endpoint, DeviceIdentifier?) {
    var expected: DeviceIdentifier?
    if let deviceId {
      guard let id = DeviceIdentifier(deviceId) else {
        throw OperatorError("bad-argument", "'\(printable(deviceId.prefix(40)))' is no device id, which is 20 hexadecimal digits")
      }
      expected = id
    }
    // An address names no device: who was there before need not be there now.
    if let device, DeviceIdentifier(device) == nil, let endpoint = try? Endpoint(device),
      try DeviceBook.load(home).devices.allSatisfy({ $0.alias != device })
    {
      return (endpoint, expected)
    }
    switch try DeviceBook.load(home).choose(device) {
    case .address(let endpoint): return (endpoint, expected)
    case .known(let known):
      guard let address = known.address else {
        throw OperatorError(
          "unknown-device",
          "device \(known.name) is no longer at its last address; say where it is: haechi claim --device HOST:PORT --device-id \(known.deviceId)"
        )
      }
      if let expected, expected.text != known.deviceId {
        throw OperatorError("bad-argument", "--device names device \(known.deviceId) and --device-id another one, \(expected.text)")
      }
      return (try Endpoint(address), DeviceIdentifier(known.deviceId))
    }
  }

  /// A claimant is known by a key of this moment: the device remembers the owner's CA, never this one.
  static func claimant(now_s: Int64) throws(OperatorError) -> Credential {
    let key = try KeyFiles.newKey()
    return Credential(chain: [try Profiles.claimant(key: key, now_s: now_s)], key: key, name: "of the claimant")
  }

  private static func security(makers: [Certificate], expected: DeviceIdentifier?, now_s: Int64) throws(OperatorError) -> ConnectionSecurity {
    let trust: ServerTrust
    if makers.isEmpty, let expected, let digest = bytes(hexadecimal: expected.text) {
      trust = .publicKeyDigest(digest)
    } else {
      trust = .authorityAnyName(makers)
    }
    let peerName = expected.map { "device \($0)" } ?? "an unclaimed device of a maker that you trust"
    return try ConnectionSecurity(credential: try claimant(now_s: now_s), trust: trust, peerName: peerName) { certificate in
      if let refusal = Profiles.refusalOfMakersDevice(certificate) { return refusal }
      guard let expected, DeviceIdentifier(publicKeyDigest: certificate.publicKeyDigest) != expected else { return nil }
      return CertificateRefusal(.profile, "it is device \(DeviceIdentifier(publicKeyDigest: certificate.publicKeyDigest)?.text ?? "?")")
    }
  }

  private struct Claimed: Sendable {
    let id: DeviceIdentifier
    let info: DeviceInfo
    let owner: OwnerFolder
    let ownerIsNew: Bool
  }

  private func claim(_ connection: DeviceConnection, folder: String, person: String) async throws(OperatorError) -> Claimed {
    let endpoint = connection.endpoint
    guard let peer = connection.peer, let deviceId = DeviceIdentifier(publicKeyDigest: peer.publicKeyDigest) else {
      throw OperatorError("wrong-device", "\(endpoint) has no certificate")
    }
    let client = DeviceClient(connection)
    let info = try await client.info()
    let offer = try await client.get(ClaimOffer.self, "/v1/claim")
    guard info.deviceId == deviceId.text, offer.deviceId == deviceId.text else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) calls itself '\(printable(offer.deviceId.prefix(40)))' and its certificate says \(deviceId); nothing was signed")
    }
    let request = try Profiles.request(offer.certificateRequest, from: endpoint)
    guard request.publicKey.digest != peer.publicKeyDigest else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) asks for an operational certificate for its identity key, which must sign nothing else; nothing was signed")
    }
    try Profiles.checkOperational(request, deviceId, from: endpoint)
    // Only now, with the right device at the wire, is there something to own.
    let (owner, isNew) = try OwnerFolder.openOrMake(folder, now_s: now_s)
    try owner.ensureAdmin(person, now_s: now_s)
    let certificate = try Profiles.lDevID(
      issuer: owner.issuer, key: request.publicKey, owner: owner.identifier, deviceId: deviceId, now_s: now_s)
    let order = ClaimOrder(ownerCertificate: owner.issuer.certificate.pem, certificateChain: certificate.pem)
    let answer = try await client.send(LifeCycleAnswer.self, DeviceRequest(.post, "/v1/claim", body: try encode(order)))
    guard answer.deviceId == deviceId.text, answer.lifeCycleState == "owned", answer.ownerId == owner.ownerId else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) took its owner and is now '\(printable(answer.lifeCycleState.prefix(40)))' instead of owned by \(owner.ownerId); see its log"
      )
    }
    return Claimed(id: deviceId, info: info, owner: owner, ownerIsNew: isNew)
  }

  /// What a refusal means while a device is being claimed.
  private static func advice(_ error: OperatorError, _ endpoint: Endpoint) -> OperatorError {
    switch error.code {
    case "wrong-device" where error.reason.contains("self-signed") || error.reason.contains("self signed"):
      OperatorError(
        "wrong-device",
        "\(error.reason). A device that shows a self-signed certificate is blank: provision it first with: haechi provision --device \(endpoint)",
        cause: error.cause)
    case "wrong-device":
      OperatorError(
        "wrong-device", "\(error.reason). Either it is of a maker that is not trusted here (--maker-ca FILE), or it already has an owner",
        cause: error.cause)
    case "tls-refused":
      OperatorError(
        "tls-refused",
        "\(error.reason). A device that is blank must be provisioned first; one that has an owner must be released by that owner",
        cause: error.cause)
    default: error
    }
  }
}
