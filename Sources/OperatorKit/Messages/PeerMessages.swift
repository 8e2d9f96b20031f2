/// `GET /v1/credential`: the certificate that a device shows, and how its renewal stands.
public struct CredentialState: Codable, Equatable, Sendable {
  public struct Certificate: Codable, Equatable, Sendable {
    /// In hexadecimal.
    public var serialNumber: String
    /// RFC 3339, UTC.
    public var notBefore: String
    public var notAfter: String
  }
  public var certificate: Certificate
  /// `none`, `offered` or `proving`.
  public var renewal: String
  /// What is on trial.
  public var candidate: Certificate?
  /// Until the trial ends without success.
  public var remainingMilliseconds: UInt64?
  /// What the present one replaced since the device's runtime started.
  public var previous: Certificate?
}

/// `POST /v1/credential/renewal`
struct RenewalOffer: Codable, Sendable {
  var deviceId: String
  var certificateRequest: String
  var identity: ClaimOffer.IdentityProof
}

/// `PUT /v1/credential/renewal`
struct RenewalOrder: Codable, Sendable { var certificateChain: String }

/// Another device of the same owner's, as a device knows it.
public struct PeerState: Codable, Equatable, Sendable {
  /// The last value that it gave.
  public struct Reading: Codable, Equatable, Sendable {
    public var name: String
    public var value: Double
    public var unit: String
    /// By the peer's clock, RFC 3339, UTC.
    public var time: String
    public var simulated: Bool
    /// When it arrived, milliseconds since the asking device's kernel started.
    public var uptimeMilliseconds: UInt64
  }
  public struct Failure: Codable, Equatable, Sendable {
    public var code: String
    public var reason: String
  }

  public var deviceId: String
  /// `asking` or `approved`.
  public var state: String
  public var address: String?
  public var port: Int?
  /// What it may do: `readings:<name>`.
  public var scope: [String]
  /// `none`, `undeclared`, `waiting`, `connecting`, `connected` or `refused`.
  public var link: String
  public var protocolVersion: Int?
  public var error: Failure?
  public var readings: [Reading]
}

/// `GET /v1/peers`
public struct PeerList: Codable, Equatable, Sendable { public var peers: [PeerState] }

/// The body of `PUT /v1/peers/{id}`.
struct PeerOrder: Codable, Sendable {
  var address: String?
  var port: Int?
  var scope: [String]
  var event: UInt64
  var nonce: String
  var certificate: String
  var signature: String

  init(address: String?, port: Int?, scope: [String], proof: StatementProof) {
    self.address = address
    self.port = port
    self.scope = scope
    event = proof.event
    nonce = proof.nonce
    certificate = proof.certificate
    signature = proof.signature
  }
}

/// Something changed about a peer.
public struct PeerEvent: Codable, Equatable, Sendable {
  public var deviceId: String
  /// `asking`, `approved`, `removed`, `connected` or `refused`.
  public var state: String
  public var code: String?
  public var reason: String?
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}

extension DeviceClient {
  /// `GET /v1/credential`
  public func credential() async throws(OperatorError) -> CredentialState { try await get(CredentialState.self, "/v1/credential") }
  /// `GET /v1/peers`
  public func peers() async throws(OperatorError) -> [PeerState] { try await get(PeerList.self, "/v1/peers").peers }
}
