/// `GET /v1/guard`: how much of the network the device takes part in, and why.
public struct GuardState: Codable, Equatable, Sendable {
  /// `normal`, `restricted`, `quarantined` or `locked`.
  public var grade: String
  /// The kind of evidence: `none`, `authentication-failures`, `crash-loop`, …
  public var cause: String
  /// What was seen; empty where nothing is the matter.
  public var evidence: String
  /// Counts the changes of grade since the device started.
  public var event: UInt64
  /// When it began, microseconds since the device's kernel started.
  public var sinceMicroseconds: UInt64
  /// When it ends without new evidence; absent where it does not end by itself.
  public var decaysInMilliseconds: UInt64?
  /// What a statement about this event must repeat: 64 hexadecimal digits.
  public var nonce: String
}

/// `GET /v1/cloud`: how the device's connection to its broker is.
public struct CloudState: Codable, Equatable, Sendable {
  /// `unbound`, `waiting`, `connecting`, `connected` or `suspended`.
  public var state: String
  public var host: String?
  public var port: Int?
  /// Why the last try failed.
  public var error: Failure?
  /// Messages since the device started: sent, acknowledged by the broker, and given up.
  public var published: UInt64
  public var acknowledged: UInt64
  public var dropped: UInt64
  /// How often a connection was made.
  public var connections: UInt64

  public struct Failure: Codable, Equatable, Sendable {
    public var code: String
    public var reason: String
  }
}

/// The grade changed.
public struct GradeEvent: Codable, Equatable, Sendable {
  public var grade: String
  public var cause: String
  public var evidence: String
  public var event: UInt64
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}

/// The connection to the broker changed.
public struct CloudEvent: Codable, Equatable, Sendable {
  public var state: String
  public var code: String?
  public var reason: String?
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}

/// The device's storage takes nothing, or takes what is to be kept again.
public struct StorageEvent: Codable, Equatable, Sendable {
  /// `storage-full`, `storage-read-only`, `storage-failing` or `storage-writable`.
  public var state: String
  /// What can be done.
  public var reason: String?
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}

/// One event of the device, as `GET /v1/events` lists it. Of `input`, `grade`, `cloud`, `claim`, `storage`, `peer` and `discovery` the one that `kind` names is there.
public struct EventRecord: Codable, Equatable, Sendable {
  public var sequence: UInt64
  public var uptimeMilliseconds: UInt64
  public var kind: String
  public var input: Input?
  public var grade: GradeEvent?
  public var cloud: CloudEvent?
  public var claim: ClaimEvent?
  public var storage: StorageEvent?
  public var peer: PeerEvent?
  public var discovery: DiscoveryEvent?

  /// What happened; nil for a kind that a later device has.
  var event: DeviceEvent? {
    switch kind {
    case "input": input.map { .input($0) }
    case "grade": grade.map { .grade($0) }
    case "cloud": cloud.map { .cloud($0) }
    case "claim": claim.map { .claim($0) }
    case "storage": storage.map { .storage($0) }
    case "peer": peer.map { .peer($0) }
    case "discovery": discovery.map { .discovery($0) }
    default: nil
    }
  }
}

/// `GET /v1/events`: the newest events, and how many older ones the device no longer has.
public struct EventPage: Codable, Equatable, Sendable {
  public var events: [EventRecord]
  public var forgotten: UInt64
}

/// One event as it comes; in JSON `{"kind":"grade","grade":{…}}`.
public enum DeviceEvent: Encodable, Equatable, Sendable {
  case input(Input)
  case grade(GradeEvent)
  case cloud(CloudEvent)
  case claim(ClaimEvent)
  case storage(StorageEvent)
  case peer(PeerEvent)
  case discovery(DiscoveryEvent)

  private enum Field: String, CodingKey { case kind, input, grade, cloud, claim, storage, peer, discovery }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Field.self)
    switch self {
    case .input(let input):
      try fields.encode("input", forKey: .kind)
      try fields.encode(input, forKey: .input)
    case .grade(let grade):
      try fields.encode("grade", forKey: .kind)
      try fields.encode(grade, forKey: .grade)
    case .cloud(let cloud):
      try fields.encode("cloud", forKey: .kind)
      try fields.encode(cloud, forKey: .cloud)
    case .claim(let claim):
      try fields.encode("claim", forKey: .kind)
      try fields.encode(claim, forKey: .claim)
    case .storage(let storage):
      try fields.encode("storage", forKey: .kind)
      try fields.encode(storage, forKey: .storage)
    case .peer(let peer):
      try fields.encode("peer", forKey: .kind)
      try fields.encode(peer, forKey: .peer)
    case .discovery(let discovery):
      try fields.encode("discovery", forKey: .kind)
      try fields.encode(discovery, forKey: .discovery)
    }
  }
}

/// An admin's signature, and what it repeats of the device's words: the body of `POST /v1/guard/release`.
struct StatementProof: Codable, Sendable {
  var event: UInt64
  /// 64 hexadecimal digits.
  var nonce: String
  /// The signer's certificate, PEM.
  var certificate: String
  /// Hexadecimal digits.
  var signature: String
}

/// The body of `PUT /v1/cloud`.
struct CloudOrder: Codable, Sendable {
  var host: String
  var port: Int
  /// The certificate of the CA whose broker it is, PEM.
  var authority: String
  var event: UInt64
  var nonce: String
  var certificate: String
  var signature: String

  init(host: String, port: Int, authority: String, proof: StatementProof) {
    self.host = host
    self.port = port
    self.authority = authority
    event = proof.event
    nonce = proof.nonce
    certificate = proof.certificate
    signature = proof.signature
  }
}
