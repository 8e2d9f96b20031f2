public import Foundations
import NIOCore

/// Who calls, as far as the API decides by it. The names are those of `x-haechi-roles` in docs/openapi.json.
public enum CallerRole: String, Sendable, CaseIterable {
  /// A production station, on a blank or damaged device.
  case station
  /// Anyone with a self-signed certificate, on a provisioned device; on an owned one only for a while after its button was pressed.
  case claimant
  /// People of the owner, each with all that the one before may do.
  case viewer, `operator`, admin
  /// Another device of the same owner's.
  case peer
}

/// Whom a connection belongs to, judged now.
public enum CallerDecision: Sendable {
  /// - name: for the log: `admin kim`.
  /// - serial: of the caller's certificate, hexadecimal; nil where it has none that counts.
  case allowed(CallerRole, name: String, serial: String? = nil)
  /// A device of the same owner's: its role is `peer`.
  case peer(DeviceIdentifier)
  /// The certificate has expired, the owner has changed, …: the sentence says which.
  case refused(reason: String)
}

/// One event of a server-sent event stream (WHATWG HTML, section 9.2).
public struct StreamEvent: Sendable, Equatable {
  /// `reading`, `input`, `grade`, `cloud`, `claim`, `storage`, `peer`, `discovery` or `log`.
  public let name: String
  /// Where a reader resumes after; nil where it cannot.
  public let identifier: UInt64?
  /// JSON on one line.
  public let data: String
  /// The event as it stands in a stream, a chunk of its own: written once, however many read it.
  let frame: ByteBuffer

  /// - Parameter document: what `data` shall hold.
  public init(name: String, identifier: UInt64?, document: some Encodable) throws {
    self.name = name
    self.identifier = identifier
    data = String(decoding: try encodeJSON(document), as: UTF8.self)
    var frame = ByteBufferAllocator().buffer(capacity: data.utf8.count + 64)
    let number = identifier.map { "id: \($0)\n" } ?? ""
    frame.writeChunk("event: \(name)\n\(number)data: \(data)\n\n")
    self.frame = frame
  }
}

/// What can be followed as a stream.
public enum Feed: Sendable, Equatable {
  /// The latest of each reading, then each new one.
  case readings
  /// Each change of an input, of the grade and of the link to the broker, of a peer, of announcing and of whether the storage takes anything, and what becomes
  /// of claims, from now on.
  case events
  /// The records of the log whose sequence is greater, then each new one.
  case logs(after: UInt64)
}

/// Ends a subscription. Called once; events may still arrive for a moment afterwards.
public struct FeedSubscription: Sendable {
  public let cancel: @Sendable () -> Void
  public init(cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }
}

/// What the API needs of the device. Calls come from any event loop; those without `async` never wait.
public protocol DeviceService: Sendable {
  func info() -> InfoDocument
  func status() -> StatusDocument
  func readings() -> ReadingsDocument
  func actuators() -> ActuatorsDocument
  func inputs() -> InputsDocument
  func events() -> EventsDocument
  func guardState() -> GuardDocument
  func cloud() -> CloudDocument
  /// The records whose sequence is greater than `after`.
  func logs(after: UInt64) -> LogsDocument
  /// Drives an output and returns its new state once the supervisor has done it.
  func setActuator(_ name: String, on: Bool, caller: String) async throws(Problem) -> ActuatorDocument
  /// Back to `normal`, by a statement that an admin of the owner signed.
  func release(_ request: ReleaseRequest, caller: String) async throws(Problem) -> GuardDocument
  /// Binds the device to a broker, by such a statement.
  func bindCloud(_ request: CloudRequest, caller: String) async throws(Problem) -> CloudDocument
  func revocations() -> RevocationsDocument
  /// Takes the owner's next revocation list.
  ///
  /// - Parameter serial: of the caller's own certificate, which it must not withdraw.
  func putRevocations(_ request: RevocationsRequest, caller: String, serial: String?) async throws(Problem) -> RevocationsDocument
  /// A page of the audit log: its oldest segment that begins after entry `after`. The first page (0) is written down in the log and signed before.
  func audit(after: UInt64) async throws(Problem) -> AuditDocument
  /// Lets the log be read over the API, or not.
  func setAudit(_ setting: AuditSetting, caller: String) async throws(Problem) -> AuditSetting
  func provisioningOffer() async throws(Problem) -> ProvisioningDocument
  /// - Parameter connection: the one that asks; every other is closed when it succeeds.
  func provision(_ request: ProvisioningRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument
  /// Has a damaged or locked storage made anew; the device restarts soon after, and is blank.
  func remakeStorage() async throws(Problem) -> LifeCycleDocument
  /// - Parameter binding: what TLS exports for this connection; a proof is about it.
  func claimOffer(binding: [UInt8]) async throws(Problem) -> ClaimOfferDocument
  /// - Parameters:
  ///   - binding: as above.
  ///   - connection: the one that asks; every other is closed when it succeeds.
  ///   - caller: for the log.
  func claim(_ request: ClaimRequest, binding: [UInt8], connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument
  /// What the device signed after its last wipe.
  func receipt() throws(Problem) -> WipeReceiptDocument
  func credential() throws(Problem) -> CredentialDocument
  /// - Parameter binding: what TLS exports for this connection; the device's identity proof is about it.
  func renewalOffer(binding: [UInt8]) async throws(Problem) -> RenewalOfferDocument
  func installRenewal(_ request: RenewalRequest, caller: String) async throws(Problem) -> CredentialDocument
  /// Gives the device up, by a statement that an admin of the owner signed.
  ///
  /// - Parameter connection: the one that asks; every other is closed when it succeeds.
  func transfer(_ request: StatementRequest, connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument
  func recoveryKey() -> RecoveryKeyDocument
  /// What a recovery key is to be sealed to, for one order.
  func recoveryOffer() async throws(Problem) -> RecoveryOfferDocument
  /// Gives the disk a recovery key, by a statement that an admin of the owner signed; the machine restarts for it.
  func putRecoveryKey(_ request: RecoveryKeyRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument
  /// Takes it away, by such a statement; the machine restarts for it.
  func removeRecoveryKey(_ request: StatementRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument
  func peers() -> PeersDocument
  /// Makes another device a peer, or changes one, by a statement that an admin of the owner signed.
  func putPeer(_ peer: DeviceIdentifier, _ request: PeerRequest, caller: String) async throws(Problem) -> PeersDocument
  /// Ends a peer, by such a statement.
  func removePeer(_ peer: DeviceIdentifier, _ request: StatementRequest, caller: String) async throws(Problem) -> PeersDocument
  /// What this device and the peer have in common.
  func peerHello(_ peer: DeviceIdentifier, _ query: PeerHelloQuery) throws(Problem) -> PeerHelloDocument
  /// A reading that the peer's scope lets it have.
  func peerReading(_ peer: DeviceIdentifier, _ name: String) throws(Problem) -> ReadingDocument
  /// Switches announcing on or off, by a statement that an admin of the owner signed.
  func setDiscovery(_ request: DiscoveryRequest, caller: String) async throws(Problem) -> DiscoveryDocument
  /// Calls `deliver` for each event, in order and from any thread; `deliver` never waits.
  func subscribe(_ feed: Feed, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription
  /// A line for the device's log.
  func log(_ level: LogLevel, _ text: String)
}
