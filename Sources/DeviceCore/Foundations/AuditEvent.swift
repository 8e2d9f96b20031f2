/// One word of an audit entry: 1…48 bytes of printable ASCII without spaces.
///
/// There is no way to make one of a `String`, of bytes or of a secret: what is written is a literal of the program's, or a word of a closed set.
public struct AuditWord: Hashable, Sendable, CustomStringConvertible {
  public static let maximum_bytes = 48
  public let text: String

  public init(_ literal: StaticString) { self.init(cutting: literal.description) }
  public init(_ grade: Grade) { self.init(cutting: grade.word) }
  public init(_ cause: GradeCause) { self.init(cutting: cause.word) }

  /// As it was stored; nil where it is no word.
  init?(stored bytes: some Collection<UInt8>) {
    guard (1...Self.maximum_bytes).contains(bytes.count), bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    text = String(decoding: bytes, as: UTF8.self)
  }

  private init(cutting text: String) {
    let bytes = text.utf8.prefix(Self.maximum_bytes).map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "_") }
    self.text = bytes.isEmpty ? "-" : String(decoding: bytes, as: UTF8.self)
  }

  public var description: String { text }
}

/// One thing that happened, as the audit log keeps it: a kind of a closed set, and at most four numbers and words.
public struct AuditEvent: Hashable, Sendable {
  public static let maximumValues = 4
  /// The longest `encoded`.
  public static let maximum_bytes = 2 + maximumValues * (2 + AuditWord.maximum_bytes)

  public enum Kind: UInt8, Sendable, CaseIterable {
    // The supervisor's own.
    /// The log itself adds what went before: `first`, `after-shutdown` or `unannounced` (a power cut, or a supervisor that ended).
    case boot = 1
    /// Why: `power-off`, `wiped`, …
    case shutdown
    /// Which start since boot, and why.
    case runtimeStarted
    /// How, and the exit status or the number of the signal.
    case runtimeEnded
    /// The new grade and its cause.
    case grade
    case ownerPinned
    /// Which kind.
    case statementAccepted, statementRefused
    /// The owner's data goes, and with it the entries before this one.
    case wiped
    case revocations
    /// The owner asked for the log.
    case exported
    /// The log could not be written for so many tries.
    case unwritable
    /// So many entries were asked for too fast to be kept.
    case withheld
    /// The kernel crashed so often since the boot before, by the records that it left.
    case kernelCrashed
    /// What became of an order about the disk's recovery key: `made`, `removed`, `failed`.
    case recoveryKey = 32
    /// So many files lay in the runtime's identity folder that are none of its own, and were not kept; told once in a start of the machine.
    case undeclaredFiles
    // What the runtime tells.
    /// It serves: the life-cycle state.
    case serving = 64
    case provisioned, claimed
    /// Wrong proofs in a row.
    case claimRefused, lockedOut
    case credentialRenewed
    /// Which part of what is stored.
    case storageDamaged
    /// Whether the log may be read from now on.
    case exportSwitched
    // The log's own: made by it alone.
    /// The oldest entries were dropped, for room or by a wipe: first and last sequence number.
    case dropped = 128
    /// Entries are missing that had been acknowledged: first and last sequence number.
    case missing
    /// A signature over all before it.
    case checkpoint

    /// Whether the runtime may report it; all other kinds are facts of others.
    public var isRuntimes: Bool { (64..<128).contains(rawValue) }
    /// Whether only the log itself makes it.
    public var isLogs: Bool { rawValue >= 128 }

    /// The word of the API and the command line.
    public var word: String {
      switch self {
      case .boot: "boot"
      case .shutdown: "shutdown"
      case .runtimeStarted: "runtime-started"
      case .runtimeEnded: "runtime-ended"
      case .grade: "grade"
      case .ownerPinned: "owner-pinned"
      case .statementAccepted: "statement-accepted"
      case .statementRefused: "statement-refused"
      case .wiped: "wiped"
      case .revocations: "revocations"
      case .exported: "exported"
      case .unwritable: "unwritable"
      case .withheld: "withheld"
      case .kernelCrashed: "kernel-crashed"
      case .recoveryKey: "recovery-key"
      case .undeclaredFiles: "undeclared-files"
      case .serving: "serving"
      case .provisioned: "provisioned"
      case .claimed: "claimed"
      case .claimRefused: "claim-refused"
      case .lockedOut: "locked-out"
      case .credentialRenewed: "credential-renewed"
      case .storageDamaged: "storage-damaged"
      case .exportSwitched: "export-switched"
      case .dropped: "dropped"
      case .missing: "missing"
      case .checkpoint: "checkpoint"
      }
    }
  }

  public enum Value: Hashable, Sendable {
    case number(UInt64)
    case word(AuditWord)
  }

  public let kind: Kind
  /// At most `maximumValues`.
  public let values: [Value]

  /// What comes after the fourth value is not kept.
  public init(_ kind: Kind, _ values: Value...) {
    self.kind = kind
    self.values = Array(values.prefix(Self.maximumValues))
  }

  private init(kind: Kind, values: [Value]) {
    self.kind = kind
    self.values = values
  }

  /// Kind (1 byte), count of values (1 byte), then each: 1 and 8 bytes of a number (big endian), or 2, a length byte and a word.
  public var encoded: [UInt8] {
    var bytes = [kind.rawValue, UInt8(truncatingIfNeeded: values.count)]
    for value in values {
      switch value {
      case .number(let number): bytes += [1] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: number >> (UInt64($0) * 8)) }
      case .word(let word): bytes += [2, UInt8(truncatingIfNeeded: word.text.utf8.count)] + Array(word.text.utf8)
      }
    }
    return bytes
  }

  /// nil for anything but exactly one event in its one form.
  public init?(encoded bytes: some Collection<UInt8>) {
    var rest = Array(bytes)[...]
    guard let number = rest.popFirst(), let kind = Kind(rawValue: number), let count = rest.popFirst(), count <= Self.maximumValues else { return nil }
    var values: [Value] = []
    for _ in 0..<count {
      switch rest.popFirst() {
      case 1:
        guard rest.count >= 8 else { return nil }
        values.append(.number(rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }))
        rest = rest.dropFirst(8)
      case 2:
        guard let length = rest.popFirst(), rest.count >= Int(length), let word = AuditWord(stored: rest.prefix(Int(length))) else { return nil }
        values.append(.word(word))
        rest = rest.dropFirst(Int(length))
      default: return nil
      }
    }
    guard rest.isEmpty else { return nil }
    self.init(kind: kind, values: values)
  }
}
