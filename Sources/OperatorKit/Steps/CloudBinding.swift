internal import Crypto
internal import Foundations
internal import Identity

/// What binding a device to a broker gave.
public struct BoundCloud: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// `HOST:PORT`.
  public let broker: String
  /// The subject of the broker's CA.
  public let authority: String
  /// How the device's connection was when it answered; it connects on its own from then on.
  public let cloud: CloudState
}

/// The admin's step that tells a device its broker, by a statement that the device's supervisor believes: the one destination outside.
public struct CloudBinding: Sendable {
  private let device: OwnedDevice
  private let broker: KnownBroker
  private let signer: StatementSigner

  /// - Throws: `not-permitted` where the operator is no admin.
  public init(_ device: OwnedDevice, broker: KnownBroker) throws(OperatorError) {
    self.device = device
    self.broker = broker
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "bind a device to a broker")
  }

  /// Binds the device, and remembers the broker for `haechi cloud watch`.
  ///
  /// - Throws: what the connection throws; `refused-by-device` where the device does not believe the statement.
  public func run() async throws(OperatorError) -> BoundCloud {
    let bound = try await device.with { (client) throws(OperatorError) in try await Self.bind(client, try client.device, broker, signer) }
    var remembered = broker
    remembered.ownerFolder = device.owner.folder
    remembered.person = device.credential.chain.first?.subjectCommonName
    try remembered.save(device.home)
    return bound
  }

  /// The step over an open connection to `device`.
  static func bind(
    _ client: DeviceClient, _ device: DeviceIdentifier, _ broker: KnownBroker, _ signer: StatementSigner
  ) async throws(OperatorError) -> BoundCloud {
    let destination = broker.destination
    let first = try await signer.state(client)
    let (_, cloud) = try await signer.order(
      OwnerStatement.bindCloud, body: destination.encoded, from: first, over: client, to: device
    ) { (proof) throws(OperatorError) in
      let order = CloudOrder(host: destination.host, port: Int(destination.port), authority: broker.authority.pem, proof: proof)
      return try await client.send(CloudState.self, DeviceRequest(.put, "/v1/cloud", body: try encode(order)))
    }
    guard cloud.host == destination.host, cloud.port == Int(destination.port) else {
      throw OperatorError(
        "bad-answer",
        "\(client.connection.endpoint) was bound to \(destination) and says '\(printable((cloud.host ?? "nothing").prefix(80))):\(cloud.port ?? 0)'; see: haechi logs"
      )
    }
    return BoundCloud(deviceId: device.text, broker: broker.address, authority: broker.authority.subject, cloud: cloud)
  }
}

extension DeviceClient {
  /// The device at the other end, by the certificate that the handshake accepted.
  var device: DeviceIdentifier {
    get throws(OperatorError) {
      guard let peer = connection.peer, let found = try? OperationalDeviceProfile.check(peer) else {
        throw OperatorError("wrong-device", "\(connection.endpoint) has no certificate of an owned device")
      }
      return found.device
    }
  }
}
