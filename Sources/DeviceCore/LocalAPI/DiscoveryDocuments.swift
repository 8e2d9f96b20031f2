// The bodies of discovery, as docs/openapi.json describes them.

/// `PUT /v1/discovery`: whether the device announces itself to its neighbours, and looks for its peers among them.
public struct DiscoveryRequest: RequestDocument, SignedRequest, Codable, Equatable {
  public static let fieldNames: Set<String> = ["on", "event", "nonce", "certificate", "signature"]
  public var on: Bool
  public var event: UInt64
  public var nonce: String
  public var certificate: String
  public var signature: String

  public init(on: Bool, event: UInt64, nonce: String, certificate: String, signature: String) {
    self.on = on
    self.event = event
    self.nonce = nonce
    self.certificate = certificate
    self.signature = signature
  }
}

/// How the device's announcing is. The words are those of `network.discovery` in `GET /v1/status`.
public enum DiscoveryState: String, Codable, Sendable, CaseIterable {
  /// The owner has not switched it on, or the device is in quarantine.
  case off
  /// On, and there is no address to announce.
  case waiting
  /// It asks whether its names are somebody else's.
  case probing
  case announced
  /// A neighbour has the name; nothing is announced until it is switched on again, or the address changes.
  case conflict
  /// The socket could not be made, or failed; it is tried again.
  case failed
}

/// The answer to `PUT /v1/discovery`.
public struct DiscoveryDocument: Codable, Sendable, Equatable {
  /// The owner's word.
  public var on: Bool
  public var state: DiscoveryState

  public init(on: Bool, state: DiscoveryState) {
    self.on = on
    self.state = state
  }
}

/// Something happened to the device's announcing; also the data of the stream event `discovery`.
public struct DiscoveryEventDocument: Codable, Sendable, Equatable {
  public var state: DiscoveryState
  public var uptimeMilliseconds: UInt64

  public init(state: DiscoveryState, uptimeMilliseconds: UInt64) {
    self.state = state
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}
