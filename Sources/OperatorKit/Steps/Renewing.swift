internal import Crypto
internal import Foundations
internal import Identity

/// What renewing a device's certificate gave.
public struct RenewedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// Of the certificate that it shows now, in hexadecimal.
  public let serialNumber: String
  /// RFC 3339, UTC.
  public let validUntil: String
  /// Whether the one before had ended already.
  public let wasExpired: Bool
  /// Of the owner's revocation list that withdraws the one before, which the device has now; nil where nothing was left to withdraw.
  public let revocationList: UInt64?
  /// Why the one before could not be withdrawn, or the device not be told: it counts with other devices until it ends.
  public let notWithdrawn: String?
}

/// The admin's step before (or after) a device's operational certificate ends: a fresh key, a new certificate of the owner CA, and the handshake that
/// proves it. Until that is done the device goes on with the one that it has.
public struct Renewing: Sendable {
  /// The device writes the new credential in a moment; a slow medium takes seconds.
  static let patience_s = 30
  static let pause_ms = 200

  private let device: OwnedDevice
  private let deviceId: DeviceIdentifier
  private let owner: UnlockedOwner

  /// Asks for the owner's passphrase, before anything is sent.
  ///
  /// - Throws: `unknown-device` where only an address is known: then nothing tells an ended certificate from a false one; `passphrase-wrong`,
  ///   `passphrase-needed`.
  public init(_ device: OwnedDevice, passphrases: any PassphraseSource) throws(OperatorError) {
    guard let deviceId = device.deviceId else {
      throw OperatorError(
        "unknown-device", "only a known device is renewed, and nothing is known of \(device.name); name it by its id or alias (see: haechi devices)")
    }
    self.device = device
    self.deviceId = deviceId
    owner = try device.owner.unlock(passphrases)
  }

  /// Renews.
  ///
  /// - Throws: what the connections throw; `device-unproved` where what answers has the device's certificate and not its identity; `bad-answer` where
  ///   the device does not do what it should.
  public func run() async throws(OperatorError) -> RenewedDevice {
    let (certificate, former) = try await device.with(try device.security(evenExpired: true)) { (client) throws(OperatorError) in
      try await install(client)
    }
    // The proof: a connection in which the device shows the new certificate, and this tool accepts it.
    let name = OperationalDeviceProfile.renewalName(deviceId)
    try await device.with(try device.security(serverName: name)) { (client) throws(OperatorError) in
      guard client.connection.peer?.publicKeyDigest == certificate.publicKeyDigest else {
        throw OperatorError("bad-answer", "\(device.endpoint) does not show its new certificate when it is asked for \(name); the old one stays in use")
      }
      try await waitUntilInUse(client, certificate)
    }
    // And as everybody sees it.
    try await device.with { (client) throws(OperatorError) in
      guard client.connection.peer?.publicKeyDigest == certificate.publicKeyDigest else {
        throw OperatorError("bad-answer", "\(device.endpoint) says that it uses its new certificate and shows another; see: haechi logs")
      }
    }
    var number: UInt64?
    var notWithdrawn: String?
    do throws(OperatorError) {
      number = try owner.withdrawFormer(of: deviceId, shown: former, present: certificate, now_s: device.now_s)
      if number != nil { try await RevocationPush.bring(owner.owner.revocationList(), to: device) }
    } catch {
      notWithdrawn = error.reason
    }
    return RenewedDevice(
      deviceId: deviceId.text, serialNumber: hexadecimal(certificate.serialNumber), validUntil: rfc3339(certificate.notAfter_s),
      wasExpired: former.notAfter_s < device.now_s, revocationList: number, notWithdrawn: notWithdrawn)
  }

  private func install(_ client: DeviceClient) async throws(OperatorError) -> (Certificate, former: Certificate) {
    let endpoint = device.endpoint
    guard let peer = client.connection.peer else { throw OperatorError("wrong-device", "\(endpoint) has no certificate") }
    let offer = try await client.send(RenewalOffer.self, DeviceRequest(.post, "/v1/credential/renewal"))
    let request = try Profiles.request(offer.certificateRequest, from: endpoint)
    guard offer.deviceId == deviceId.text, request.publicKey.digest != peer.publicKeyDigest else {
      throw OperatorError("bad-answer", "\(endpoint) asks for a certificate for another device, or for the key that it has already; nothing was signed")
    }
    try Profiles.checkOperational(request, deviceId, from: endpoint)
    let binding = try await client.connection.binding(label: LabelProof.exporterLabel)
    guard Self.proves(offer.identity, deviceId, IdentityProof.signedBytes(device: deviceId, binding: binding, request: request)) else {
      throw OperatorError(
        "device-unproved",
        "what answers at \(endpoint) has a certificate of device \(deviceId) and not the key of its whole life: that certificate's key may have been stolen; nothing was signed"
      )
    }
    let certificate = try owner.issue(request.publicKey, for: deviceId, now_s: device.now_s)
    let order = RenewalOrder(certificateChain: certificate.pem)
    let state = try await client.send(CredentialState.self, DeviceRequest(.put, "/v1/credential/renewal", body: try encode(order)))
    guard state.renewal == "proving" else {
      throw OperatorError("bad-answer", "\(endpoint) took its new certificate and its renewal is '\(printable(state.renewal.prefix(40)))'; see: haechi logs")
    }
    return (certificate, peer)
  }

  /// Whether the device signed `bytes` with the key that its id names.
  static func proves(_ identity: ClaimOffer.IdentityProof, _ device: DeviceIdentifier, _ signed: [UInt8]) -> Bool {
    guard let leaf = (try? Certificate.chain(pem: identity.certificateChain))?.first, let key = leaf.publicKey,
      DeviceIdentifier(publicKeyDigest: key.digest) == device, let signature = bytes(hexadecimal: identity.signature)
    else { return false }
    return key.isValid(signature: signature, of: signed)
  }

  private func waitUntilInUse(_ client: DeviceClient, _ certificate: Certificate) async throws(OperatorError) {
    let wanted = hexadecimal(certificate.serialNumber)
    for _ in 0..<(Self.patience_s * 1_000 / Self.pause_ms) {
      if try await client.credential().certificate.serialNumber == wanted { return }
      do {
        try await Task.sleep(for: .milliseconds(Self.pause_ms))
      } catch {
        throw OperatorError("connection-lost", "the renewal was broken off; the device decides by itself which certificate it keeps", cause: error)
      }
    }
    throw OperatorError(
      "bad-answer", "\(device.endpoint) does not take its new certificate into use within \(Self.patience_s) s; see: haechi logs. The old one stays in use")
  }
}
