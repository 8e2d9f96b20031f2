internal import Foundations
internal import Identity

/// What switching a device's discovery did.
public struct SwitchedDiscovery: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let on: Bool
  /// How it was when the device answered; it goes on by itself.
  public let state: String
}

/// The admin's word whether a device announces itself to its neighbours, by a statement that the device's supervisor believes: it opens the network for
/// multicast DNS, and closes it.
public struct DiscoverySwitching: Sendable {
  private let device: OwnedDevice
  private let signer: StatementSigner

  /// - Throws: `not-permitted` where the operator is no admin.
  public init(_ device: OwnedDevice) throws(OperatorError) {
    self.device = device
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "switch a device's discovery")
  }

  /// - Throws: what the connection throws; `refused-by-device` where the device does not believe the statement.
  public func run(on: Bool) async throws(OperatorError) -> SwitchedDiscovery {
    try await device.with { (client) throws(OperatorError) in
      let id = try client.device
      let (_, answer) = try await signer.order(
        OwnerStatement.setDiscovery, body: [on ? 1 : 0], from: try await signer.state(client), over: client, to: id
      ) { (proof) throws(OperatorError) in
        try await client.send(DiscoverySwitch.self, DeviceRequest(.put, "/v1/discovery", body: try encode(DiscoveryOrder(on: on, proof: proof))))
      }
      guard answer.on == on else {
        throw OperatorError(
          "bad-answer", "\(client.connection.endpoint) was told to switch discovery \(on ? "on" : "off") and says the opposite; see: haechi logs")
      }
      return SwitchedDiscovery(deviceId: id.text, on: on, state: answer.state)
    }
  }
}
