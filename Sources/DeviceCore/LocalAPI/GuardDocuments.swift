// The bodies of the guard and the cloud link, as docs/openapi.json describes them.

/// `GET /v1/guard`: the device's grade, and what a statement about it must repeat.
public struct GuardDocument: Codable, Sendable, Equatable {
  /// `normal`, `restricted`, `quarantined` or `locked`.
  public var grade: String
  public var cause: String
  /// What was seen; empty where nothing is the matter.
  public var evidence: String
  /// Counts the changes of grade since the machine started, and from that of a quarantine on that outlived its start.
  public var event: UInt64
  /// When it began, since the kernel started; 0 where that was before.
  public var sinceMicroseconds: UInt64
  /// When it ends by itself unless there is new evidence; absent where only the owner ends it.
  public var decaysInMilliseconds: UInt32?
  /// 64 hexadecimal digits: new with each event and each statement that was accepted.
  public var nonce: String

  public init(
    grade: String, cause: String, evidence: String, event: UInt64, sinceMicroseconds: UInt64, decaysInMilliseconds: UInt32?, nonce: String
  ) {
    self.grade = grade
    self.cause = cause
    self.evidence = evidence
    self.event = event
    self.sinceMicroseconds = sinceMicroseconds
    self.decaysInMilliseconds = decaysInMilliseconds
    self.nonce = nonce
  }
}

/// What every signed statement brings: which event it is about, who signed it, and the signature.
public protocol SignedRequest {
  /// The event and the nonce of `GET /v1/guard`.
  var event: UInt64 { get }
  /// 64 hexadecimal digits.
  var nonce: String { get }
  /// The signing admin's, PEM.
  var certificate: String { get }
  /// In hexadecimal: an ECDSA-Sig-Value in DER, or 64 bytes of Ed25519.
  var signature: String { get }
}

/// `POST /v1/guard/release`
public struct ReleaseRequest: RequestDocument, SignedRequest, Codable, Equatable {
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

/// `PUT /v1/cloud`
public struct CloudRequest: RequestDocument, SignedRequest, Codable, Equatable {
  public static let fieldNames: Set<String> = ["host", "port", "authority", "event", "nonce", "certificate", "signature"]
  /// A DNS name or a numeric address: what the broker's certificate must be for.
  public var host: String
  public var port: UInt16
  /// The CA that signs the broker's certificate, PEM.
  public var authority: String
  public var event: UInt64
  public var nonce: String
  public var certificate: String
  public var signature: String

  public init(host: String, port: UInt16, authority: String, event: UInt64, nonce: String, certificate: String, signature: String) {
    self.host = host
    self.port = port
    self.authority = authority
    self.event = event
    self.nonce = nonce
    self.certificate = certificate
    self.signature = signature
  }
}

/// `GET /v1/cloud`: how the link to the broker is.
public struct CloudDocument: Codable, Sendable, Equatable {
  /// The last failure, until a connection stands.
  public struct Failure: Codable, Sendable, Equatable {
    public var code: String
    public var reason: String

    public init(code: String, reason: String) {
      self.code = code
      self.reason = reason
    }
  }

  /// `unbound`, `waiting`, `connecting`, `connected` or `suspended`.
  public var state: String
  public var host: String?
  public var port: UInt16?
  public var error: Failure?
  /// Messages that were handed to a connection, those that the broker acknowledged, and those that came while there was none.
  public var published: UInt64
  public var acknowledged: UInt64
  public var dropped: UInt64
  /// Connections since the runtime started.
  public var connections: UInt64

  public init(
    state: String, host: String?, port: UInt16?, error: Failure?, published: UInt64, acknowledged: UInt64, dropped: UInt64, connections: UInt64
  ) {
    self.state = state
    self.host = host
    self.port = port
    self.error = error
    self.published = published
    self.acknowledged = acknowledged
    self.dropped = dropped
    self.connections = connections
  }
}
