internal import Crypto
internal import Foundations
internal import Identity

/// What became of bringing the owner's revocation list to one device.
public struct PushedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// Its alias, or its id.
  public let name: String
  /// Whether the device has the list now.
  public let reached: Bool
  /// Why not.
  public let reason: String?
}

/// What became of bringing it to all of them.
public struct RevocationPushReport: Encodable, Sendable, Equatable {
  /// Of the list.
  public let number: UInt64
  public let devices: [PushedDevice]
  /// Whether every known device of the owner has the list.
  public var isComplete: Bool { devices.allSatisfy(\.reached) }
}

/// Brings the owner's revocation list to every device that the operator knows of this owner. A device that cannot be reached goes on believing whom it
/// believed: the report names it, and `haechi member push` tries again.
public struct RevocationPush: Sendable {
  private let home: OperatorHome
  private let owner: OwnerFolder
  private let list: CertificateRevocationList
  private let credential: Credential
  private let now_s: Int64

  /// As one of the owner's admins.
  ///
  /// - Parameter person: nil for the first admin whose certificate counts.
  /// - Throws: `nothing-to-push`, `not-permitted` where there is no admin left.
  public init(home: OperatorHome, owner: OwnerFolder, as person: String? = nil, now_s: Int64 = secondsNow()) throws(OperatorError) {
    let admins = try owner.admins(now_s: now_s).filter { PrivateFiles.exists("\(owner.membersFolder)/\($0).key") }
    guard let name = person ?? admins.first else {
      throw OperatorError(
        "not-permitted",
        "owner \(owner.ownerId) has no admin here who could bring the list to its devices; add one with: haechi member add NAME --role admin")
    }
    try self.init(home: home, owner: owner, credential: try owner.credential(name, now_s: now_s), now_s: now_s)
  }

  /// As an admin for this one hour, where no other is left.
  public init(home: OperatorHome, signing owner: UnlockedOwner, now_s: Int64 = secondsNow()) throws(OperatorError) {
    try self.init(home: home, owner: owner.owner, credential: try owner.momentaryAdmin(now_s: now_s), now_s: now_s)
  }

  private init(home: OperatorHome, owner: OwnerFolder, credential: Credential, now_s: Int64) throws(OperatorError) {
    guard let list = try owner.revocationList() else {
      throw OperatorError("nothing-to-push", "owner \(owner.ownerId) has withdrawn nobody yet, so there is no list to bring to its devices")
    }
    self.home = home
    self.owner = owner
    self.list = list
    self.credential = credential
    self.now_s = now_s
  }

  /// One device after the other.
  ///
  /// - Parameters:
  ///   - withdrawn: the id of a device that the list withdraws, which is not asked.
  ///   - each: is told of each as it goes.
  /// - Throws: what is wrong with the list of known devices.
  public func run(except withdrawn: String? = nil, _ each: (PushedDevice) -> Void = { _ in }) async throws(OperatorError) -> RevocationPushReport {
    var devices: [PushedDevice] = []
    for known in try DeviceBook.load(home).devices where known.ownerId == owner.ownerId && known.deviceId != withdrawn {
      let done = await push(to: known)
      each(done)
      devices.append(done)
    }
    return RevocationPushReport(number: list.number, devices: devices)
  }

  /// To one device, as whom it was opened.
  ///
  /// - Throws: what the connection throws; `refused-by-device`; `bad-answer`.
  static func bring(_ list: CertificateRevocationList?, to device: OwnedDevice) async throws(OperatorError) {
    guard let list else { return }
    let order = RevocationOrder(list: list.pem)
    let state = try await device.with { (client) throws(OperatorError) in
      try await client.send(RevocationState.self, DeviceRequest(.put, "/v1/revocations", body: try encode(order)))
    }
    guard state.number == list.number else {
      throw OperatorError("bad-answer", "\(device.endpoint) took list \(list.number) and says that it has list \(state.number)")
    }
  }

  private func push(to known: KnownDevice) async -> PushedDevice {
    do throws(OperatorError) {
      let device = try OwnedDevice(home: home, device: known.deviceId, owner: owner, credential: credential, now_s: now_s)
      try await Self.bring(list, to: device)
      return PushedDevice(deviceId: known.deviceId, name: known.name, reached: true, reason: nil)
    } catch {
      return PushedDevice(deviceId: known.deviceId, name: known.name, reached: false, reason: error.reason)
    }
  }
}

/// `GET /v1/revocations`.
struct RevocationState: Codable, Sendable {
  /// 0 before the first list.
  var number: UInt64
  /// Serial numbers, hexadecimal.
  var revoked: [String]
}

/// The body of `PUT /v1/revocations`.
struct RevocationOrder: Codable, Sendable {
  /// PEM.
  var list: String
}
