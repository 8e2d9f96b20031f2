// What happens at a device, as a list and as a stream.

/// A change of grade; also the data of the stream event `grade`.
public struct GradeEventDocument: Codable, Sendable, Equatable {
  public var grade: String
  public var cause: String
  public var evidence: String
  public var event: UInt64
  public var uptimeMilliseconds: UInt64

  public init(grade: String, cause: String, evidence: String, event: UInt64, uptimeMilliseconds: UInt64) {
    self.grade = grade
    self.cause = cause
    self.evidence = evidence
    self.event = event
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}

/// A change of the link to the broker; also the data of the stream event `cloud`.
public struct CloudEventDocument: Codable, Sendable, Equatable {
  /// As in `CloudDocument`.
  public var state: String
  /// Why, where it is a failure.
  public var code: String?
  public var reason: String?
  public var uptimeMilliseconds: UInt64

  public init(state: String, code: String?, reason: String?, uptimeMilliseconds: UInt64) {
    self.state = state
    self.code = code
    self.reason = reason
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}

/// What became of a claim; also the data of the stream event `claim`.
public struct ClaimEventDocument: Codable, Sendable, Equatable {
  public enum Outcome: String, Codable, Sendable, CaseIterable {
    case proofWrong = "proof-wrong"
    /// So many proofs were wrong that none is looked at for an hour.
    case locked
    case claimed
    /// Of an owned device, by its label: its owner and everything of theirs is gone.
    case wiped
  }

  public var outcome: Outcome
  /// As in `LockOutDocument`.
  public var failures: Int
  public var waitMilliseconds: UInt64
  public var uptimeMilliseconds: UInt64

  public init(outcome: Outcome, failures: Int, waitMilliseconds: UInt64, uptimeMilliseconds: UInt64) {
    self.outcome = outcome
    self.failures = failures
    self.waitMilliseconds = waitMilliseconds
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}

/// The storage does not take what is to be kept, or takes it again; also the data of the stream event `storage`.
public struct StorageEventDocument: Codable, Sendable, Equatable {
  /// `storage-full`, `storage-read-only` or `storage-failing`, as the answers that tell of it have for their code; then `storage-writable`.
  public var state: String
  /// What can be done, where it is a fault.
  public var reason: String?
  public var uptimeMilliseconds: UInt64

  public init(state: String, reason: String?, uptimeMilliseconds: UInt64) {
    self.state = state
    self.reason = reason
    self.uptimeMilliseconds = uptimeMilliseconds
  }
}

/// One thing that happened: exactly one of `input`, `grade`, `cloud`, `claim`, `storage`, `peer` and `discovery` is there, as `kind` says.
public struct EventDocument: Codable, Sendable, Equatable {
  /// What happened.
  public enum Happening: Sendable, Equatable {
    case input(InputDocument)
    case grade(GradeEventDocument)
    case cloud(CloudEventDocument)
    case claim(ClaimEventDocument)
    case storage(StorageEventDocument)
    case peer(PeerEventDocument)
    case discovery(DiscoveryEventDocument)
  }

  /// Counts up from 1 within one run of the runtime, without gaps.
  public var sequence: UInt64
  public var uptimeMilliseconds: UInt64
  public var kind: String
  public var input: InputDocument?
  public var grade: GradeEventDocument?
  public var cloud: CloudEventDocument?
  public var claim: ClaimEventDocument?
  public var storage: StorageEventDocument?
  public var peer: PeerEventDocument?
  public var discovery: DiscoveryEventDocument?

  public init(sequence: UInt64, uptimeMilliseconds: UInt64, _ happening: Happening) {
    self.sequence = sequence
    self.uptimeMilliseconds = uptimeMilliseconds
    switch happening {
    case .input(let input):
      kind = "input"
      self.input = input
    case .grade(let grade):
      kind = "grade"
      self.grade = grade
    case .cloud(let cloud):
      kind = "cloud"
      self.cloud = cloud
    case .claim(let claim):
      kind = "claim"
      self.claim = claim
    case .storage(let storage):
      kind = "storage"
      self.storage = storage
    case .peer(let peer):
      kind = "peer"
      self.peer = peer
    case .discovery(let discovery):
      kind = "discovery"
      self.discovery = discovery
    }
  }
}

/// `GET /v1/events`: the newest events, oldest first.
public struct EventsDocument: Codable, Sendable, Equatable {
  public var events: [EventDocument]
  /// How many older ones were forgotten.
  public var forgotten: UInt64

  public init(events: [EventDocument], forgotten: UInt64) {
    self.events = events
    self.forgotten = forgotten
  }
}
