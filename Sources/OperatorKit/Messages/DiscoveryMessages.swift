/// How a device's announcing is, as it answers to the owner's word.
public struct DiscoverySwitch: Codable, Equatable, Sendable {
  public var on: Bool
  /// As in `DeviceStatus.Network.discovery`.
  public var state: String
}

/// Something happened to a device's announcing.
public struct DiscoveryEvent: Codable, Equatable, Sendable {
  /// `conflict`: a neighbour has the device's name, and it announces nothing any more.
  public var state: String
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}

/// The body of `PUT /v1/discovery`.
struct DiscoveryOrder: Codable, Sendable {
  var on: Bool
  var event: UInt64
  var nonce: String
  var certificate: String
  var signature: String

  init(on: Bool, proof: StatementProof) {
    self.on = on
    event = proof.event
    nonce = proof.nonce
    certificate = proof.certificate
    signature = proof.signature
  }
}
