// The bodies of what devices of one owner are to each other, as docs/openapi.json describes them.

/// `PUT /v1/peers/{name}`: this device is a peer from now on.
public struct PeerRequest: RequestDocument, SignedRequest, Codable, Equatable {
  public static let fieldNames: Set<String> = ["address", "port", "scope", "event", "nonce", "certificate", "signature"]
  /// Where it is reached, a numeric address; absent for a peer that only comes by itself.
  public var address: String?
  public var port: UInt16?
  /// What it may do here: `readings:<name>`.
  public var scope: [String]
  public var event: UInt64
  public var nonce: String
  public var certificate: String
  public var signature: String

  public init(address: String?, port: UInt16?, scope: [String], event: UInt64, nonce: String, certificate: String, signature: String) {
    self.address = address
    self.port = port
    self.scope = scope
    self.event = event
    self.nonce = nonce
    self.certificate = certificate
    self.signature = signature
  }
}

/// `DELETE /v1/peers/{name}` and `POST /v1/transfer`: nothing but the statement.
public struct StatementRequest: RequestDocument, SignedRequest, Codable, Equatable {
  public static let fieldNames: Set<String> = ["event", "nonce", "certificate", "signature"]
  public var event: UInt64
  public var nonce: String
  public var certificate: String
  public var signature: String

  public init(event: UInt64, nonce: String, certificate: String, signature: String) {
    self.event = event
    self.nonce = nonce
    self.certificate = certificate
    self.signature = signature
  }
}

/// `GET /v1/peers`
public struct PeersDocument: Codable, Sendable, Equatable {
  public var peers: [PeerDocument]
  public init(peers: [PeerDocument]) { self.peers = peers }
}

/// Another device of the same owner's, as this one knows it.
public struct PeerDocument: Codable, Sendable, Equatable {
  /// What it said last.
  public struct Reading: Codable, Sendable, Equatable {
    public var name: String
    public var value: Double
    public var unit: String
    /// By the peer's clock, RFC 3339, UTC.
    public var time: String
    public var simulated: Bool
    /// When it arrived here.
    public var uptimeMilliseconds: UInt64

    public init(name: String, value: Double, unit: String, time: String, simulated: Bool, uptimeMilliseconds: UInt64) {
      self.name = name
      self.value = value
      self.unit = unit
      self.time = time
      self.simulated = simulated
      self.uptimeMilliseconds = uptimeMilliseconds
    }
  }
  /// Why it is not reached.
  public struct Failure: Codable, Sendable, Equatable {
    public var code: String
    public var reason: String

    public init(code: String, reason: String) {
      self.code = code
      self.reason = reason
    }
  }

  public var deviceId: String
  /// `asking` or `approved`.
  public var state: String
  public var address: String?
  public var port: UInt16?
  public var scope: [String]
  /// `none` where there is no address; `undeclared` until the supervisor lets packets go there; `waiting`, `connecting`, `connected` or `refused`.
  public var link: String
  /// What both sides agreed on, while `connected`.
  public var protocolVersion: Int?
  public var error: Failure?
  public var readings: [Reading]

  public init(
    deviceId: String, state: String, address: String?, port: UInt16?, scope: [String], link: String, protocolVersion: Int?, error: Failure?,
    readings: [Reading]
  ) {
    self.deviceId = deviceId
    self.state = state
    self.address = address
    self.port = port
    self.scope = scope
    self.link = link
    self.protocolVersion = protocolVersion
    self.error = error
    self.readings = readings
  }
}

/// Something changed about a peer; also the data of the stream event `peer`.
public struct PeerEventDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  /// `asking`, `approved` or `removed`; or how the link to it is, as in `PeerDocument`.
  public var state: String
  /// Why, where it is a failure.
  public var code: String?
  public var reason: String?
  public var uptimeMilliseconds: UInt64

  public init(deviceId: String, state: String, code: String?, reason: String?, uptimeMilliseconds: UInt64) {
    self.deviceId = deviceId
    self.state = state
    self.code = code
    self.reason = reason
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}

/// What a peer asks for with `GET /v1/peer/hello`.
public struct PeerHelloQuery: Sendable, Equatable {
  /// The protocol versions that it speaks.
  public var versions: [Int]
  public var capabilities: [String]

  public init(versions: [Int], capabilities: [String]) {
    self.versions = versions
    self.capabilities = capabilities
  }
}

/// `GET /v1/peer/hello`: what the device answers a peer.
public struct PeerHelloDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  /// What it speaks.
  public var versions: [Int]
  public var capabilities: [String]
  /// What both have in common: the highest version, and the capabilities.
  public var version: Int
  public var agreed: [String]
  /// `asking` or `approved`.
  public var state: String
  /// The readings that the peer may have.
  public var readings: [String]

  public init(deviceId: String, versions: [Int], capabilities: [String], version: Int, agreed: [String], state: String, readings: [String]) {
    self.deviceId = deviceId
    self.versions = versions
    self.capabilities = capabilities
    self.version = version
    self.agreed = agreed
    self.state = state
    self.readings = readings
  }
}
