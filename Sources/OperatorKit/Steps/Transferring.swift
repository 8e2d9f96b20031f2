internal import Foundations
internal import Identity

/// What giving a device up gave.
public struct TransferredDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// Whose it was.
  public let ownerId: String
  public let lifeCycleState: String
}

/// The admin's last step with a device: it is wiped, forgets its owner and restarts, by a statement that its supervisor believes. Whoever holds its label
/// claims it next.
public struct Transferring: Sendable {
  private let device: OwnedDevice
  private let signer: StatementSigner

  /// - Throws: `unknown-device` where only an address is known: whichever device of the owner's answered there would be wiped; `not-permitted` where the
  ///   operator is no admin.
  public init(_ device: OwnedDevice) throws(OperatorError) {
    guard device.deviceId != nil else {
      throw OperatorError(
        "unknown-device", "only a known device is given up, and nothing is known of \(device.name); name it by its id or alias (see: haechi devices)")
    }
    self.device = device
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "give a device up")
  }

  /// - Throws: what the connection throws; `refused-by-device` where the device does not believe the statement.
  public func run() async throws(OperatorError) -> TransferredDevice {
    let answer = try await device.with { (client) throws(OperatorError) in
      let id = try client.device
      let first = try await signer.state(client)
      return try await signer.order(OwnerStatement.transfer, from: first, over: client, to: id) { (proof) throws(OperatorError) in
        try await client.send(LifeCycleAnswer.self, DeviceRequest(.post, "/v1/transfer", body: try encode(proof)))
      }.answer
    }
    guard answer.lifeCycleState == "provisioned", answer.ownerId == nil else {
      throw OperatorError(
        "bad-answer", "\(device.endpoint) took its release and is '\(printable(answer.lifeCycleState.prefix(40)))' now instead of provisioned; see it again")
    }
    // It is a known device still, of nobody.
    try DeviceBook.update(device.home) { (book) throws(OperatorError) in
      guard var known = book.devices.first(where: { $0.deviceId == answer.deviceId }) else { return }
      known.ownerId = nil
      try book.remember(known)
    }
    return TransferredDevice(deviceId: answer.deviceId, ownerId: device.owner.ownerId, lifeCycleState: answer.lifeCycleState)
  }
}
