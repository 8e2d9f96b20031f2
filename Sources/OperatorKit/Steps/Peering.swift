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
/// the peers' places, and for no others. The statement names every place anew; those that were not told from here are not the device's to add.
public struct Peering: Sendable {
  private let device: OwnedDevice
  private let acceptsPlaces: Bool
  private let signer: StatementSigner

  /// - Parameter acceptsPlaces: also signs places of other peers that the device names and that were not told from here.
  /// - Throws: `not-permitted` where the operator is no admin.
  public init(_ device: OwnedDevice, acceptsPlaces: Bool = false) throws(OperatorError) {
    self.device = device
    self.acceptsPlaces = acceptsPlaces
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
  /// - Throws: `bad-argument`; `places-unknown`; what the connection throws; `refused-by-device`.
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
      var places = try places(known, of: client, except: place == nil ? nil : peer)
      if let place { places[peer.text] = place }
      let destination = places[peer.text]
      return try await order(client, peer, places) { (proof) throws(OperatorError) in
        let order = PeerOrder(address: destination?.address.description, port: destination.map { Int($0.port) }, scope: scope, proof: proof)
        return try await client.send(PeerList.self, DeviceRequest(.put, "/v1/peers/\(peer)", body: try encode(order)))
      }
    }
  }

  /// The device has nothing to do with `peer` any more.
  ///
  /// - Throws: `places-unknown`; what the connection throws; `refused-by-device`, also where it is no peer.
  public func remove(_ peer: String) async throws(OperatorError) -> PeeredDevice {
    let peer = try Self.peer(peer)
    return try await device.with { (client) throws(OperatorError) in
      let places = try places(try await client.peers(), of: client, except: peer)
      return try await order(client, peer, places) { (proof) throws(OperatorError) in
        try await client.send(PeerList.self, DeviceRequest(.delete, "/v1/peers/\(peer)", body: try encode(proof)))
      }
    }
  }

  private typealias Places = [String: PeerDestinations.Destination]

  private func order(
    _ client: DeviceClient, _ peer: DeviceIdentifier, _ places: Places, send: (StatementProof) async throws(OperatorError) -> PeerList
  ) async throws(OperatorError) -> PeeredDevice {
    let id = try client.device
    guard let destinations = PeerDestinations(places.values) else {
      throw OperatorError(
        "bad-argument", "a device reaches at most \(PeerDestinations.maximumCount) peers by itself; let the others come to it (haechi peer approve)")
    }
    let (_, list) = try await signer.order(
      OwnerStatement.setPeers, body: destinations.encoded, from: try await signer.state(client), over: client, to: id, send: send)
    try DeviceBook.update(device.home) { (book) throws(OperatorError) in book.told(id.text, places.mapValues(\.description)) }
    return PeeredDevice(deviceId: id.text, peer: peer.text, peers: list.peers)
  }

  /// Where the device reaches its peers, but for one: as it says, and as it was told from here.
  private func places(_ known: [PeerState], of client: DeviceClient, except peer: DeviceIdentifier?) throws(OperatorError) -> Places {
    let id = try client.device
    let told = try DeviceBook.load(device.home).devices.first { $0.deviceId == id.text }?.places ?? [:]
    var places: Places = [:]
    var unknown: [String] = []
    for entry in known where entry.state == "approved" && entry.deviceId != peer?.text {
      guard let place = Self.place(entry) else { continue }
      places[entry.deviceId] = place
      if told[entry.deviceId] != place.description { unknown.append("\(printable(entry.deviceId.prefix(40))) at \(place)") }
    }
    guard unknown.isEmpty || acceptsPlaces else {
      throw OperatorError(
        "places-unknown",
        "device \(device.name) says that it reaches \(unknown.joined(separator: ", ")), which it was not told from here; nothing was signed. If another admin said so, say --accept-places; if nobody did, its firmware is not to be trusted"
      )
    }
    return places
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
}
