internal import Crypto
internal import Foundations
internal import Identity
internal import TLS

/// A device that this operator's owner has claimed, and as whom to talk to it.
public struct OwnedDevice: Sendable {
  /// What the operator calls it: its alias, its id, or the address where nothing else is known.
  public let name: String
  /// Where it is.
  public let endpoint: Endpoint
  let home: OperatorHome
  let owner: OwnerFolder
  /// Who the operator is.
  let credential: Credential
  /// Nil where only the address is known: then any device of the owner is right.
  let deviceId: DeviceIdentifier?
  let now_s: Int64

  /// - Parameters:
  ///   - device: an id, an alias or HOST:PORT; nil for the only known device.
  ///   - ownerFolder: nil for the one that claimed it.
  ///   - person: nil for who claimed it.
  /// - Throws: `unknown-device`, `ambiguous-device`, `not-claimed`, `foreign-owner`, `unknown-member`, `certificate-expired`, and what is wrong with a file.
  public init(home: OperatorHome, device: String?, ownerFolder: String? = nil, person: String? = nil, now_s: Int64 = secondsNow())
    throws(OperatorError)
  {
    self.home = home
    self.now_s = now_s
    switch try DeviceBook.load(home).choose(device) {
    case .known(let known):
      guard let ownerId = known.ownerId else {
        throw OperatorError(
          "not-claimed",
          "device \(known.name) is known and has no owner yet; claim it, or end a claim that was cut off, with: haechi claim --device \(known.name)")
      }
      guard let address = known.address, let id = DeviceIdentifier(known.deviceId) else {
        throw OperatorError(
          "unknown-device",
          "device \(known.name) is no longer at its last address, where another one answers now; say where it is with --device HOST:PORT")
      }
      owner = try OwnerFolder.open(ownerFolder ?? known.ownerFolder ?? home.ownerFolder)
      guard owner.ownerId == ownerId else {
        throw OperatorError(
          "foreign-owner",
          "device \(known.name) belongs to owner \(ownerId), and \(owner.folder) holds owner \(owner.ownerId); name the right folder with --owner DIR"
        )
      }
      name = known.name
      endpoint = try Endpoint(address)
      deviceId = id
      credential = try owner.credential(person ?? known.person, now_s: now_s)
    case .address(let address):
      owner = try OwnerFolder.open(ownerFolder ?? home.ownerFolder)
      name = address.description
      endpoint = address
      deviceId = nil
      credential = try owner.credential(person, now_s: now_s)
    }
  }

  /// A known device of `owner`, as whoever `credential` is.
  ///
  /// - Throws: `unknown-device` where it is not known here, or no longer at its last address.
  init(home: OperatorHome, device: String, owner: OwnerFolder, credential: Credential, now_s: Int64) throws(OperatorError) {
    guard case .known(let known) = try DeviceBook.load(home).choose(device), let address = known.address, let id = DeviceIdentifier(known.deviceId) else {
      throw OperatorError(
        "unknown-device", "device \(device) is no longer at its last address; say where it is with: haechi status --device HOST:PORT")
    }
    self.home = home
    self.now_s = now_s
    self.owner = owner
    self.credential = credential
    name = known.name
    endpoint = try Endpoint(address)
    deviceId = id
  }

  /// A device that is not known here as this owner's.
  init(home: OperatorHome, _ deviceId: DeviceIdentifier, at endpoint: Endpoint, owner: OwnerFolder, credential: Credential, now_s: Int64) {
    self.home = home
    self.now_s = now_s
    self.owner = owner
    self.credential = credential
    self.endpoint = endpoint
    self.deviceId = deviceId
    name = deviceId.text
  }

  /// Connects as the owner's person and runs `body`.
  ///
  /// - Throws: what the connection and `body` throw; where what answers is not the device, what it is instead as far as that can be known.
  public func with<Value: Sendable>(_ body: (DeviceClient) async throws(OperatorError) -> Value) async throws(OperatorError) -> Value {
    try await with(try security(), body)
  }

  /// As above, with other protection than usual.
  func with<Value: Sendable>(
    _ security: ConnectionSecurity, _ body: (DeviceClient) async throws(OperatorError) -> Value
  ) async throws(OperatorError) -> Value {
    do throws(OperatorError) {
      return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
        try learnAddress(connection)
        return try await body(DeviceClient(connection))
      }
    } catch {
      guard error.code == "wrong-device" else { throw error }
      throw await diagnosis(error)
    }
  }

  /// - Parameters:
  ///   - credential: whom to show to the device; nil for the operator's own.
  ///   - evenExpired: lets a known device in whose certificate has ended or was withdrawn: to renew it, and for nothing else.
  ///   - serverName: which of its certificates the device is to show; nil for the usual one.
  func security(showing credential: Credential? = nil, evenExpired: Bool = false, serverName: String? = nil) throws(OperatorError) -> ConnectionSecurity {
    let owner = owner.identifier
    let authority = self.owner.authority
    let list = evenExpired ? nil : try self.owner.revocationList()
    let trust: ServerTrust
    if let deviceId {
      let name = SubjectAlternativeName.uri(IdentityURI.device(owner: owner, deviceId).text)
      trust = evenExpired ? .authorityEvenExpired([authority], name: name) : .authority([authority], name: name)
    } else {
      trust = .authorityAnyName([authority])
    }
    let peerName =
      deviceId.map { "device \(name == $0.text ? name : "\(name) (\($0))") of your owner \(owner)" } ?? "a device of your owner \(owner)"
    // No time before the one that this device was opened at is believed.
    return try ConnectionSecurity(
      credential: credential ?? self.credential, trust: trust, peerName: peerName, clock: WallClock(floor_s: now_s), serverName: serverName
    ) { certificate in
      if let list, list.revokes(certificate) {
        return CertificateRefusal(.revoked, "the certificate \(certificate.subject) was withdrawn by list \(list.number) of your owner")
      }
      return Profiles.refusalOfOwnedDevice(certificate, owner: owner)
    }
  }

  /// A known device that was reached by a new address is remembered there.
  private func learnAddress(_ connection: DeviceConnection) throws(OperatorError) {
    guard deviceId == nil, let peer = connection.peer, let found = try? OperationalDeviceProfile.check(peer) else { return }
    try DeviceBook.update(home) { (book) throws(OperatorError) in try book.moved(found.device.text, to: endpoint) }
  }

  /// Looks once more at what answers, without trusting it, to say what it is: the same device without an owner, or another one.
  private func diagnosis(_ error: OperatorError) async -> OperatorError {
    guard let deviceId, let digest = bytes(hexadecimal: deviceId.text) else { return error }
    let unclaimed: DeviceInfo
    do throws(OperatorError) {
      let security = try ConnectionSecurity(
        credential: try Claiming.claimant(now_s: now_s), trust: .publicKeyDigest(digest), peerName: "device \(deviceId)",
        policy: Profiles.refusalOfMakersDevice)
      unclaimed = try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
        try await DeviceClient(connection).info()
      }
    } catch {
      // The server's certificate is judged before the client's: an alert now means that the identity key was the right one.
      if error.code == "tls-refused" {
        return OperatorError(
          "not-claimed", "device \(name) at \(endpoint) is blank: it has lost its identity and its owner; provision it and claim it again")
      }
      if error.code == "wrong-device" {
        return OperatorError(
          "wrong-device",
          "what answers at \(endpoint) is not device \(name) as its owner \(owner.ownerId) knows it: it is another device, or it has another owner now; look for it with --device HOST:PORT, or claim what is there"
        )
      }
      return error
    }
    return OperatorError(
      "not-claimed",
      "device \(name) at \(endpoint) is \(printable(unclaimed.lifeCycleState.prefix(40))) and has no owner any more: it was wiped, or restarted without a store; claim it again with: haechi claim --device \(name)"
    )
  }
}
