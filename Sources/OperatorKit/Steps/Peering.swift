internal import Crypto
internal import Foundations
internal import Identity

/// What a device knows of its peers after a change.
public struct PeeredDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// About whom it was told.
  public let peer: String
  public let peers: [PeerState]
}

/// The admin's word to one device about another one of the same owner's, by a statement that the device's supervisor believes: it opens the network for
/// the peers' places, and for no others.
public struct Peering: Sendable {
  private let device: OwnedDevice
  private let signer: StatementSigner

  /// - Throws: `not-permitted` where the operator is no admin.
  public init(_ device: OwnedDevice) throws(OperatorError) {
    self.device = device
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "tell a device of a peer")
  }

  /// The id of another device: of one that is known here, or 20 hexadecimal digits.
  ///
  /// - Throws: `unknown-device`, `bad-argument`.
  public static func identifier(_ text: String, home: OperatorHome) throws(OperatorError) -> String {
    if let id = DeviceIdentifier(text) { return id.text }
    guard case .known(let known) = try DeviceBook.load(home).choose(text) else {
      throw OperatorError("unknown-device", "no known device is called '\(printable(text.prefix(40)))'; see: haechi devices")
    }
    return known.deviceId
  }

  /// Makes `peer` a peer of the device, or changes what it may do.
  ///
  /// - Parameters:
  ///   - peer: 20 hexadecimal digits.
  ///   - address: where the device reaches it, a numeric address; nil where it only comes by itself, or stays where it is known.
  ///   - scope: `readings:<name>` each: what the peer may have of the device.
  /// - Throws: `bad-argument`; what the connection throws; `refused-by-device`.
  public func put(_ peer: String, address: Endpoint?, scope: [String]) async throws(OperatorError) -> PeeredDevice {
    let peer = try Self.peer(peer)
    do throws(PeerScopeError) {
      _ = try PeerScope(scope)
    } catch {
      throw OperatorError("bad-argument", error.reason)
    }
    let place = try address.map(Self.place)
    return try await device.with { (client) throws(OperatorError) in
      let known = try await client.peers()
      // Who is asked only for its scope stays where it is.
      let former = known.first { $0.deviceId == peer.text }.flatMap(Self.place)
      let destination = place ?? former
      let body = try Self.destinations(known, except: peer, adding: destination)
      return try await order(client, peer, body) { (proof) throws(OperatorError) in
        let order = PeerOrder(address: destination?.address.description, port: destination.map { Int($0.port) }, scope: scope, proof: proof)
        return try await client.send(PeerList.self, DeviceRequest(.put, "/v1/peers/\(peer)", body: try encode(order)))
      }
    }
  }

  /// The device has nothing to do with `peer` any more.
  ///
  /// - Throws: what the connection throws; `refused-by-device`, also where it is no peer.
  public func remove(_ peer: String) async throws(OperatorError) -> PeeredDevice {
    let peer = try Self.peer(peer)
    return try await device.with { (client) throws(OperatorError) in
      let body = try Self.destinations(try await client.peers(), except: peer, adding: nil)
      return try await order(client, peer, body) { (proof) throws(OperatorError) in
        try await client.send(PeerList.self, DeviceRequest(.delete, "/v1/peers/\(peer)", body: try encode(proof)))
      }
    }
  }

  private func order(
    _ client: DeviceClient, _ peer: DeviceIdentifier, _ body: [UInt8], send: (StatementProof) async throws(OperatorError) -> PeerList
  ) async throws(OperatorError) -> PeeredDevice {
    let id = try client.device
    let (_, list) = try await signer.order(OwnerStatement.setPeers, body: body, from: try await signer.state(client), over: client, to: id, send: send)
    return PeeredDevice(deviceId: id.text, peer: peer.text, peers: list.peers)
  }

  private static func peer(_ text: String) throws(OperatorError) -> DeviceIdentifier {
    guard let id = DeviceIdentifier(text) else {
      throw OperatorError("bad-argument", "'\(printable(text.prefix(40)))' is no device id, which is 20 hexadecimal digits")
    }
    return id
  }

  private static func place(_ endpoint: Endpoint) throws(OperatorError) -> PeerDestinations.Destination {
    guard let address = NetworkAddress(endpoint.host), let port = UInt16(exactly: endpoint.port),
      let destination = PeerDestinations.Destination(address: address, port: port)
    else {
      throw OperatorError("bad-argument", "a peer is reached at a numeric address, and '\(printable(endpoint.host.prefix(80)))' is a name; give --address")
    }
    return destination
  }

  private static func place(_ peer: PeerState) -> PeerDestinations.Destination? {
    guard let address = peer.address.flatMap({ NetworkAddress($0) }), let port = peer.port.flatMap({ UInt16(exactly: $0) }) else { return nil }
    return PeerDestinations.Destination(address: address, port: port)
  }

  /// What the statement is about: every place that the device may reach afterwards.
  private static func destinations(
    _ known: [PeerState], except peer: DeviceIdentifier, adding new: PeerDestinations.Destination?
  ) throws(OperatorError) -> [UInt8] {
    let others = known.filter { $0.state == "approved" && $0.deviceId != peer.text }.compactMap(place)
    guard let destinations = PeerDestinations(others + (new.map { [$0] } ?? [])) else {
      throw OperatorError(
        "bad-argument", "a device reaches at most \(PeerDestinations.maximumCount) peers by itself; let the others come to it (haechi peer approve)")
    }
    return destinations.encoded
  }
}
