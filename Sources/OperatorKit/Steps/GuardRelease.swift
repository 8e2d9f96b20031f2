internal import Foundations
internal import Identity

/// What releasing a device did.
public struct ReleasedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// False where nothing was the matter, so that nothing was sent.
  public let released: Bool
  public let before: GuardState
  public let now: GuardState
}

/// The admin's step after a device went quiet: back to `normal`, by a statement that the device's supervisor believes and its runtime cannot make.
public struct GuardRelease: Sendable {
  private let device: OwnedDevice
  private let signer: StatementSigner

  /// - Throws: `not-permitted` where the operator is no admin.
  public init(_ device: OwnedDevice) throws(OperatorError) {
    self.device = device
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "release a device")
  }

  /// - Throws: what the connection throws; `refused-by-device` where the device does not believe the statement.
  public func run() async throws(OperatorError) -> ReleasedDevice {
    try await device.with { (client) throws(OperatorError) in try await Self.release(client, try client.device, signer) }
  }

  /// The step over an open connection to `device`.
  static func release(_ client: DeviceClient, _ device: DeviceIdentifier, _ signer: StatementSigner) async throws(OperatorError) -> ReleasedDevice {
    let first = try await signer.state(client)
    guard first.grade != Grade.normal.word else { return ReleasedDevice(deviceId: device.text, released: false, before: first, now: first) }
    let (before, now) = try await signer.order(OwnerStatement.release, from: first, over: client, to: device) { (proof) throws(OperatorError) in
      try await client.send(GuardState.self, DeviceRequest(.post, "/v1/guard/release", body: try encode(proof)))
    }
    guard now.grade == Grade.normal.word else {
      throw OperatorError(
        "bad-answer",
        "\(client.connection.endpoint) took the release and is '\(printable(now.grade.prefix(40)))' (\(printable(now.cause.prefix(40)))) again; see: haechi logs"
      )
    }
    return ReleasedDevice(deviceId: device.text, released: true, before: before, now: now)
  }
}
