internal import Crypto
internal import Foundations
public import Identity
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
  /// Whether a former owner's data was wiped for it.
  public let wiped: Bool
  public let person: String
  public let lifeCycleState: String
}

/// The owner's step: gives a provisioned device its owner and its operational certificate.
public struct Claiming: Sendable {
  private let home: OperatorHome
  private let ownerFolder: String?
  private let makerCAFile: String?
  private let passphrases: any PassphraseSource
  private let now_s: Int64

  /// - Parameters:
  ///   - ownerFolder: nil for the usual one of `home`.
  ///   - makerCAFile: the CA certificate of the device's maker; nil to use those that are known.
  ///   - passphrases: where the passphrase of the owner's key comes from; a new owner's, too.
  public init(
    home: OperatorHome, ownerFolder: String?, makerCAFile: String?, passphrases: any PassphraseSource, now_s: Int64 = secondsNow()
  ) {
    self.home = home
    self.ownerFolder = ownerFolder
    self.makerCAFile = makerCAFile
    self.passphrases = passphrases
    self.now_s = now_s
  }

  /// Claims the device and remembers it.
  ///
  /// - Parameters:
  ///   - device: HOST:PORT, or the id or alias of a known device; nil for where the label's device was last.
  ///   - label: of the very device that is to be claimed; nothing is sent to any other.
  ///   - person: who the operator is among the owner's members.
  ///   - wipes: whether a device that has an owner is wiped first.
  ///   - patience: how long somebody is given to press the button.
  ///   - tell: what the operator must know or do meanwhile.
  /// - Throws: `unknown-maker` where no maker's CA is known; `label-wrong`, `locked-out`, `button-not-pressed`.
  public func run(
    device: String?, label: DeviceLabel, person: String, alias: String? = nil, wipes: Bool = false, patience: ClaimPatience = ClaimPatience(),
    tell: (ClaimStep) -> Void = { _ in }
  ) async throws(OperatorError) -> ClaimedDevice {
    let endpoint = try target(device, label)
    let person = try OwnerFolder.memberName(person).text
    // An alias that cannot be had must come out before the device changes hands.
    if let alias { try DeviceBook.load(home).checkFree(alias: alias, for: label.deviceId.text) }
    let makers = if let makerCAFile { [try KeyFiles.certificate(makerCAFile)] } else { try MakerFolder.known(home) }
    guard !makers.isEmpty else {
      throw OperatorError("unknown-maker", "no maker's CA is known here, so nothing can tell a genuine device from a false one; give --maker-ca FILE")
    }
    let folder = ownerFolder ?? home.ownerFolder
    let ownerIsNew = !OwnerFolder.exists(folder)
    var prepared = try PreparedOwner(folder, passphrases)
    let security = try Self.security(makers: makers, label: label, now_s: now_s)
    var wiped = false
    if wipes {
      wiped = try await LabelWipe(label: label, makers: makers, patience: patience, now_s: now_s)
        .run(endpoint, owner: { () throws(OperatorError) in try prepared.open(now_s: now_s).owner.authority }, tell: tell)
    }
    // A device that was just wiped restarts first.
    let claimed = try await patience.retrying(for: wiped ? patience.restart_s : 0) { () throws(OperatorError) in
      do throws(OperatorError) {
        return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
          try await claim(connection, &prepared, label: label, person: person, patience: patience, tell: tell)
        }
      } catch {
        if error.code == "wrong-device", let ended = try await endOfClaim(endpoint, folder, label: label, person: person) { return ended }
        throw Self.advice(error, endpoint)
      }
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
    try AuditMemories.forget(home, claimed.id)
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
      ownerIsNew: ownerIsNew, wiped: wiped, person: person, lifeCycleState: info.lifeCycleState)
  }

  /// Where to go. Which device must be there is the label's to say: an address names no device.
  private func target(_ device: String?, _ label: DeviceLabel) throws(OperatorError) -> Endpoint {
    let book = try DeviceBook.load(home)
    if let device, DeviceIdentifier(device) == nil, let endpoint = try? Endpoint(device), book.devices.allSatisfy({ $0.alias != device }) {
      return endpoint
    }
    switch try book.choose(device ?? label.deviceId.text) {
    case .address(let endpoint): return endpoint
    case .known(let known):
      guard known.deviceId == label.deviceId.text else {
        throw OperatorError("bad-argument", "the label is that of device \(label.deviceId), and \(known.name) is device \(known.deviceId)")
      }
      guard let address = known.address else {
        throw OperatorError("unknown-device", "device \(known.name) is no longer at its last address; say where it is with --device HOST:PORT")
      }
      return try Endpoint(address)
    }
  }

  /// A claimant is known by a key of this moment: the device remembers the owner's CA, never this one.
  static func claimant(now_s: Int64) throws(OperatorError) -> Credential {
    let key = try KeyFiles.newKey()
    return Credential(chain: [try Profiles.claimant(key: key, now_s: now_s)], key: key, name: "of the claimant")
  }

  private static func security(makers: [Certificate], label: DeviceLabel, now_s: Int64) throws(OperatorError) -> ConnectionSecurity {
    try ConnectionSecurity(
      credential: try claimant(now_s: now_s), trust: .authorityAnyName(makers), peerName: "the device of this label (\(label.deviceId))"
    ) { certificate in refusal(certificate, label: label) }
  }

  /// Whether an IDevID certificate is that of the label's device: nil, or why not. Another genuine device of the same maker is as wrong as any.
  static func refusal(_ certificate: Certificate, label: DeviceLabel) -> CertificateRefusal? {
    if let refusal = Profiles.refusalOfMakersDevice(certificate) { return refusal }
    guard certificate.publicKeyDigest == label.keyHash else {
      let found = DeviceIdentifier(publicKeyDigest: certificate.publicKeyDigest)?.text ?? "?"
      return CertificateRefusal(.profile, "it is device \(found), and the label's is another")
    }
    guard certificate.subjectSerialNumber == label.serialNumber.text else {
      return CertificateRefusal(
        .profile, "its serial number is \(certificate.subjectSerialNumber ?? "none"), and the label says \(label.serialNumber)")
    }
    return nil
  }

  private struct Claimed: Sendable {
    let id: DeviceIdentifier
    let info: DeviceInfo
    let owner: OwnerFolder
  }

  /// A claim that the device has carried out, and whose answer never came, because its power went or the operator's did: it shows a certificate of this
  /// operator's owner, and the book here knows of none. nil where it is not so.
  private func endOfClaim(_ endpoint: Endpoint, _ folder: String, label: DeviceLabel, person: String) async throws(OperatorError) -> Claimed? {
    let known = try DeviceBook.load(home).devices.first { $0.deviceId == label.deviceId.text }
    guard known?.ownerId == nil, OwnerFolder.exists(folder) else { return nil }
    let owner = try OwnerFolder.open(folder)
    // It is made before the device is ordered anything.
    guard let credential = try? owner.credential(person, now_s: now_s) else { return nil }
    let device = OwnedDevice(home: home, label.deviceId, at: endpoint, owner: owner, credential: credential, now_s: now_s)
    do throws(OperatorError) {
      let info = try await device.with { (client) throws(OperatorError) in try await client.info() }
      return Claimed(id: label.deviceId, info: info, owner: owner)
    } catch {
      // What stands there is not this owner's either: what was said first says it better.
      return nil
    }
  }

  private func claim(
    _ connection: DeviceConnection, _ prepared: inout PreparedOwner, label: DeviceLabel, person: String, patience: ClaimPatience,
    tell: (ClaimStep) -> Void
  ) async throws(OperatorError) -> Claimed {
    let endpoint = connection.endpoint
    guard let peer = connection.peer, let deviceId = DeviceIdentifier(publicKeyDigest: peer.publicKeyDigest) else {
      throw OperatorError("wrong-device", "\(endpoint) has no certificate")
    }
    let client = DeviceClient(connection)
    let info = try await client.info()
    let offer = try await client.get(ClaimOffer.self, "/v1/claim")
    guard info.deviceId == deviceId.text, offer.deviceId == deviceId.text, let certificateRequest = offer.certificateRequest else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) calls itself '\(printable(offer.deviceId.prefix(40)))' its certificate says \(deviceId), and it must offer a certificate request; nothing was signed"
      )
    }
    let request = try Profiles.request(certificateRequest, from: endpoint)
    guard request.publicKey.digest != peer.publicKeyDigest else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) asks for an operational certificate for its identity key, which must sign nothing else; nothing was signed")
    }
    try Profiles.checkOperational(request, deviceId, from: endpoint)
    // Only now, with the right device at the wire, is there something to own.
    let unlocked = try prepared.open(now_s: now_s)
    let owner = unlocked.owner
    try unlocked.ensureAdmin(person, now_s: now_s)
    let certificate = try unlocked.issue(request.publicKey, for: deviceId, now_s: now_s)
    let prover = LabelProver(label: label, client: client, patience: patience)
    let proof = try await prover.proof(for: owner.authority, offer: offer)
    let answer = try await prover.send(
      ClaimOrder(ownerCertificate: owner.authority.pem, certificateChain: certificate.pem, proof: proof), tell: tell)
    guard answer.deviceId == deviceId.text, answer.lifeCycleState == "owned", answer.ownerId == owner.ownerId else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) took its owner and is now '\(printable(answer.lifeCycleState.prefix(40)))' instead of owned by \(owner.ownerId); see its log"
      )
    }
    return Claimed(id: deviceId, info: info, owner: owner)
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
        "wrong-device", "\(error.reason). Either it is of a maker that is not trusted here (--maker-ca FILE), or it already has an owner (--wipe)",
        cause: error.cause)
    case "tls-refused":
      OperatorError(
        "tls-refused",
        "\(error.reason). A device that is blank must be provisioned first; one that has an owner must be wiped first, by its button and its label (--wipe)",
        cause: error.cause)
    default: error
    }
  }
}
