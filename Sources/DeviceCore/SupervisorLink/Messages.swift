public import Foundations

// The closed set of messages between the supervisor and the runtime. Each is one packet of exactly
// `SupervisorPacket.size` bytes on a SOCK_SEQPACKET socket pair; `SupervisorPacket` gives each its binary form.

/// A name of a line, a phase or a source: 1 to 31 bytes of printable ASCII without spaces.
public struct ShortName: Hashable, Sendable, CustomStringConvertible {
  public static let maximumBytes = 31
  public let text: String

  /// nil where `text` is empty, longer than 31 bytes, or holds anything but printable ASCII (0x21…0x7e).
  public init?(_ text: some StringProtocol) {
    let bytes = text.utf8
    guard (1...Self.maximumBytes).contains(bytes.count), bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    self.text = String(text)
  }

  private init(literal text: StaticString) { self.text = "\(text)" }

  /// Stands for a name that is not one.
  public static let unnamed = ShortName(literal: "unnamed")

  public var description: String { text }
}

/// How a phase of boot or shutdown ended.
public enum PhaseOutcome: UInt8, Sendable { case done = 0, skipped = 1, failed = 2 }

/// One named step of boot or shutdown, as it went.
public struct PhaseReport: Hashable, Sendable {
  public let name: ShortName
  /// Microseconds since the kernel started (`CLOCK_BOOTTIME`).
  public let started_us: UInt64
  public let duration_us: UInt64
  public let outcome: PhaseOutcome
  /// Why it was skipped or failed, at most 96 bytes of UTF-8; empty when done.
  public let detail: String

  public init(name: ShortName, started_us: UInt64, duration_us: UInt64, outcome: PhaseOutcome, detail: String) {
    self.name = name
    self.started_us = started_us
    self.duration_us = duration_us
    self.outcome = outcome
    self.detail = detail
  }
}

/// Why this runtime was started.
public enum StartCause: UInt8, Sendable {
  /// The first start since the machine (or the host process) began.
  case boot = 0
  /// The one before ended by itself or crashed.
  case ended = 1
  /// The one before was killed because it gave no heartbeat.
  case hung = 2
  /// The one before was killed for breaking the sandbox or the link's rules.
  case violation = 3
}

/// An address and a prefix length, in network byte order.
public struct IPv4Prefix: Hashable, Sendable {
  /// The address as a number: 10.0.2.15 is 0x0a00020f.
  public let address: UInt32
  /// 0…32.
  public let prefixLength: UInt8
  public init?(address: UInt32, prefixLength: UInt8) {
    guard prefixLength <= 32 else { return nil }
    self.address = address
    self.prefixLength = prefixLength
  }
}

/// What the DHCP client was given and the supervisor shall set on the interface.
public struct NetworkLease: Hashable, Sendable {
  public let prefix: IPv4Prefix
  /// The default router, 0 for none.
  public let router: UInt32
  /// Resolvers, 0 for none.
  public let resolvers: [UInt32]
  /// Seconds that the address is valid; `UInt32.max` is for ever (RFC 2131 section 3.3).
  public let valid_s: UInt32
  /// At most 3 resolvers are kept.
  public init(prefix: IPv4Prefix, router: UInt32, resolvers: [UInt32], valid_s: UInt32) {
    self.prefix = prefix
    self.router = router
    self.resolvers = Array(resolvers.prefix(3))
    self.valid_s = valid_s
  }
}

/// What the root of trust said of itself.
public struct RootOfTrustReport: Hashable, Sendable {
  public enum Kind: UInt8, Sendable { case none = 0, tpm2 = 1, development = 2 }
  public let kind: Kind
  /// The maker's four letters as the TPM gives them, for example `IBM ` (TPM_PT_MANUFACTURER); at most 16 bytes.
  public let manufacturer: String
  /// SHA-256 bank of PCR 7 (Secure Boot state), 32 bytes, or empty where there is none.
  public let secureBootState: [UInt8]
  public init(kind: Kind, manufacturer: String, secureBootState: [UInt8]) {
    self.kind = kind
    self.manufacturer = manufacturer
    self.secureBootState = secureBootState
  }
}

/// The owner's recovery key of the storage, as far as the device knows it.
public struct RecoveryKeyReport: Hashable, Sendable {
  /// Bytes of a fingerprint.
  public static let fingerprint_bytes = 8
  public let fingerprint: [UInt8]
  /// When it was ordered, in seconds since 1970, UTC.
  public let ordered_s: Int64

  /// - Parameter fingerprint: exactly 8 bytes; anything else is filled up or cut.
  public init(fingerprint: [UInt8], ordered_s: Int64) {
    self.fingerprint = Array((fingerprint + [UInt8](repeating: 0, count: Self.fingerprint_bytes)).prefix(Self.fingerprint_bytes))
    self.ordered_s = ordered_s
  }
}

/// What became of the storage that outlives the power.
public struct StorageReport: Hashable, Sendable {
  public enum State: UInt8, Sendable, CaseIterable {
    /// Nothing outlives this boot.
    case volatile = 0
    case open = 1
    /// It is missing a part or does not fit together.
    case damaged = 2
    /// It is whole, and its key is not given out to this TPM, firmware or epoch.
    case locked = 3
  }
  /// Bytes of a cipher's name, and of a reason.
  public static let cipherMaximum_bytes = 48
  public static let reasonMaximum_bytes = 160
  public let state: State
  /// As dm-crypt names it; empty unless open. At most 48 bytes of UTF-8.
  public let cipher: String
  /// What its keys are sealed with.
  public let rootOfTrust: RootOfTrustReport.Kind
  /// Of the root of trust: how often the device was made or wiped; 0 unless open.
  public let identityEpoch: UInt64
  /// One sentence on why it is not open, or on what failed all the same, at most 160 bytes of UTF-8; else empty.
  public let reason: String
  /// nil where the owner has none.
  public let recoveryKey: RecoveryKeyReport?
  /// What opening it changed in that.
  public let recoveryChange: RecoveryChange

  /// What became of an order about the recovery key.
  public enum RecoveryChange: UInt8, Sendable, CaseIterable { case none = 0, made = 1, removed = 2, failed = 3 }

  public init(
    state: State, cipher: String = "", rootOfTrust: RootOfTrustReport.Kind = .none, identityEpoch: UInt64 = 0, reason: String = "",
    recoveryKey: RecoveryKeyReport? = nil, recoveryChange: RecoveryChange = .none
  ) {
    self.state = state
    self.cipher = SupervisorPacket.cut(cipher, to: Self.cipherMaximum_bytes)
    self.rootOfTrust = rootOfTrust
    self.identityEpoch = identityEpoch
    self.reason = SupervisorPacket.cut(reason, to: Self.reasonMaximum_bytes)
    self.recoveryKey = recoveryKey
    self.recoveryChange = recoveryChange
  }
}

/// The device's grade, as the supervisor holds it.
public struct GradeReport: Hashable, Sendable {
  /// Bytes of a nonce.
  public static let nonce_bytes = 32
  public let grade: Grade
  public let cause: GradeCause
  /// Counts the changes of grade since boot, 0 before the first; a quarantine that outlived a restart keeps its number, and the count goes on from there.
  public let event: UInt64
  /// When it began, microseconds since the kernel started; 0 where that was before.
  public let at_us: UInt64
  /// Milliseconds after which it ends by itself unless there is new evidence; 0 where only the owner ends it.
  public let decay_ms: UInt32
  /// What a statement about this event must repeat: 32 random bytes, new with each event and each statement that was accepted.
  public let nonce: [UInt8]
  /// What was seen, at most 120 bytes of UTF-8.
  public let evidence: String

  /// - Parameter nonce: exactly 32 bytes; anything else is filled up or cut.
  public init(grade: Grade, cause: GradeCause, event: UInt64, at_us: UInt64, decay_ms: UInt32, nonce: [UInt8], evidence: String) {
    self.grade = grade
    self.cause = cause
    self.event = event
    self.at_us = at_us
    self.decay_ms = decay_ms
    self.nonce = Array((nonce + [UInt8](repeating: 0, count: Self.nonce_bytes)).prefix(Self.nonce_bytes))
    self.evidence = evidence
  }
}

/// What an admin of the owner may order of the supervisor, past the runtime.
public enum StatementKind: UInt8, Sendable, CaseIterable {
  /// Back to `normal`. No body.
  case release = 1
  /// The broker is this one from now on. Body: the port (2 bytes), then the host name.
  case bindCloud = 2
  /// The peers are reached at these places from now on, and nowhere else. Body: `PeerDestinations.encoded`.
  case setPeers = 3
  /// The device is given up: its owner is forgotten, and the machine restarts. No body.
  case transfer = 4
  /// The device announces itself to its neighbours, or not any more. Body: one byte, 1 or 0.
  case setDiscovery = 5
  /// The disk gets another recovery key at the next start of the machine, which comes soon. Body: the key, sealed to the newest `recoveryOffer`.
  case setRecoveryKey = 6
  /// Likewise none any more. No body.
  case removeRecoveryKey = 7
}

/// A statement of the owner's, signed by one of the owner's admins; what its signature covers is in Identity's `OwnerStatement`.
public struct SignedStatement: Hashable, Sendable {
  /// A recovery key of 32 bytes, sealed: the encapsulated key is as long, the tag has 16.
  public static let sealedRecoveryKey_bytes = 80
  /// The longest body: a port and a host name, the places of all peers, or a sealed recovery key.
  public static let bodyMaximum_bytes = max(
    2 + CloudDestination.hostMaximum_bytes, PeerDestinations.encodedMaximum_bytes, sealedRecoveryKey_bytes)
  /// A person's certificate has about 600 bytes.
  public static let certificateMaximum_bytes = 1_024
  /// An ECDSA-Sig-Value of P-256 has at most 72 bytes, an Ed25519 signature 64.
  public static let signatureMaximum_bytes = 80

  public let kind: StatementKind
  /// The event and nonce of the newest `GradeReport`.
  public let event: UInt64
  public let nonce: [UInt8]
  public let body: [UInt8]
  /// The admin's certificate, DER.
  public let certificate: [UInt8]
  public let signature: [UInt8]

  /// nil where a part is longer than it may be, or `nonce` has not 32 bytes.
  public init?(kind: StatementKind, event: UInt64, nonce: [UInt8], body: [UInt8], certificate: [UInt8], signature: [UInt8]) {
    guard nonce.count == GradeReport.nonce_bytes, body.count <= Self.bodyMaximum_bytes, certificate.count <= Self.certificateMaximum_bytes,
      signature.count <= Self.signatureMaximum_bytes
    else { return nil }
    self.kind = kind
    self.event = event
    self.nonce = nonce
    self.body = body
    self.certificate = certificate
    self.signature = signature
  }
}

/// Where the runtime may send to, as the supervisor lets it.
public struct DestinationReport: Hashable, Sendable {
  /// A declared name has at most this many addresses at a time.
  public static let maximumAddresses = 4
  public let destination: CloudDestination
  /// Those that the name was last said to have, or the numeric address itself.
  public let addresses: [NetworkAddress]

  public init(destination: CloudDestination, addresses: [NetworkAddress]) {
    self.destination = destination
    self.addresses = Array(addresses.prefix(Self.maximumAddresses))
  }
}

/// What the supervisor tells the runtime.
public enum SupervisorMessage: Hashable, Sendable {
  /// First of all: which start this is since boot (1 for the first) and why.
  case started(count: UInt32, cause: StartCause)
  /// One for each phase of boot, in order; then `.phasesComplete`.
  case phase(PhaseReport)
  case phasesComplete
  /// A line that exists, with its present value; one for each at start.
  case line(name: ShortName, isOutput: Bool, value: Bool)
  /// An input changed, after debouncing. `at_us`: microseconds since the kernel started.
  case input(name: ShortName, value: Bool, at_us: UInt64)
  /// The answer to a request of the same number.
  case answer(request: UInt32, RequestOutcome)
  /// The interface's carrier came or went.
  case link(up: Bool)
  case rootOfTrust(RootOfTrustReport)
  /// A log line of the supervisor's own. At most 160 bytes of UTF-8.
  case log(level: LogLevel, at_us: UInt64, text: String)
  /// End within so many milliseconds: actuators are safe already.
  case shutdown(grace_ms: UInt32)
  /// The grade at the start, after each change, and with a new nonce after each accepted statement.
  case grade(GradeReport)
  /// The declared destination, at the start where there is one and after each change.
  case destination(DestinationReport)
  /// What became of the storage; before `.link`, once at each start.
  case storage(StorageReport)
  /// Where peers may be reached, at the start where there are any and after each change.
  case peers(PeerDestinations)
  /// Somebody held the button until the light was steady and let go then: the device is to be wiped. A runtime that does not ask for it (`allowWipe`) is
  /// not waited for.
  case wipeWanted
  /// The public half of the device's own key (SubjectPublicKeyInfo, DER), where the root of trust keeps the other one; before `.link`, once at each start.
  /// Without it the runtime has the key among its files.
  case identityKey([UInt8])
  /// The answer to `.sign` where there is a signature: an ECDSA-Sig-Value in DER, at most 80 bytes.
  case signature(request: UInt32, [UInt8])
  /// Whether multicast DNS is let through, at the start where it is and after each change.
  case discovery(isOn: Bool)
  /// Before the answer to a request for it: the public key, 32 bytes, of X25519, that a recovery key is to be sealed to. It serves once.
  case recoveryOffer(publicKey: [UInt8])
}

/// What became of a request.
public enum RequestOutcome: UInt8, Sendable {
  case done = 0
  /// There is no such line, or it is not an output.
  case unknownName = 1
  /// The value is out of its bounds.
  case refused = 2
  /// The board reported an error; the log says which.
  case failed = 3
  /// The grade does not allow it.
  case notInThisGrade = 4
  /// The statement is about another event or nonce than the newest: ask for them again.
  case stale = 5
  /// The statement is not signed by an admin of the owner, or there is no owner.
  case notPermitted = 6
  /// Too many of these; try again later.
  case busy = 7
  /// Done, and a restart of the machine would forget it: it could not be made durable.
  case notKept = 8
}

/// What the runtime asks of the supervisor. Requests carry a number that the answer repeats.
public enum RuntimeMessage: Hashable, Sendable {
  /// It serves: the listener is up. Heartbeats follow.
  case ready
  /// Sent at least every second, after a round through every event loop and the concurrency pool. Counts up.
  case heartbeat(UInt64)
  case setOutput(request: UInt32, name: ShortName, value: Bool)
  case applyLease(request: UInt32, NetworkLease)
  case dropLease(request: UInt32)
  /// RFC 1123 label, at most 31 bytes.
  case setHostName(request: UInt32, ShortName)
  /// A line for the console of a debug image; a release image has none and drops it. At most 160 bytes of UTF-8.
  case log(level: LogLevel, source: ShortName, text: String)
  /// Asks for a higher grade. There is no message that asks for a lower one but a statement of the owner's. Evidence: at most 120 bytes of UTF-8.
  case raiseGrade(request: UInt32, Grade, GradeCause, evidence: String)
  /// The owner of the device, once a claim has succeeded: the 10 bytes of the device's id and the owner CA's certificate (DER, at most 1,024 bytes).
  /// The first one counts until the device is wiped. Done is answered when it is durable.
  case pinOwner(request: UInt32, device: [UInt8], certificate: [UInt8])
  case statement(request: UInt32, SignedStatement)
  /// What DNS says of the declared name: 1 to 4 addresses.
  case destinationAddresses(request: UInt32, [NetworkAddress])
  /// Somebody proved the label of a device that the supervisor knows an owner of, or held its button: may it be wiped? Done only shortly after the button
  /// was pressed, as it saw it; the machine restarts soon after that, and with it goes the pinned owner.
  case allowWipe(request: UInt32)
  /// The peer that was declared at `from` is at another address of the same link, a neighbour says: may it be looked for there too, at the same port?
  case peerMoved(request: UInt32, from: PeerDestinations.Destination, to: NetworkAddress)
  /// A station asks to have a damaged or locked storage made anew. Done only shortly after the button was pressed, as the supervisor saw it; the machine restarts
  /// soon after that, and is blank.
  case remakeStorage(request: UInt32)
  /// The owner's newest revocation list (DER, at most 11,000 bytes): whose statements do not count any more. A worker checks it as a statement.
  case revocations(request: UInt32, [UInt8])
  /// Keep what lies in the identity folder now. Done is answered when it is durable, or at once where nothing outlives this boot.
  case commitIdentity(request: UInt32)
  /// Something that the runtime knows, for the audit log: only of the kinds that are the runtime's. With the 10 bytes of the device's id.
  case audit(device: [UInt8], AuditEvent)
  /// The owner's admin reads the audit log: done once an entry that says so is on the medium, and a signature over all before it.
  case exportAudit(request: UInt32)
  /// A signature of the device's own key, which is not the runtime's to have, over a SHA-256 digest of 32 bytes: answered by `.signature`, or by `.answer`
  /// where there is none.
  case sign(request: UInt32, digest: [UInt8])
  /// The owner's admin is about to give the disk a recovery key: a new `recoveryOffer` is wanted.
  case recoveryOffer(request: UInt32)
}
