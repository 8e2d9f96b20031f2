public import Foundations

/// Who calls, as far as the API decides by it. The names are those of `x-haechi-roles` in docs/openapi.json.
public enum CallerRole: String, Sendable, CaseIterable {
  /// A production station, on a blank or damaged device.
  case station
  /// Anyone with a self-signed certificate, on a provisioned device.
  case claimant
  /// People of the owner, each with all that the one before may do.
  case viewer, `operator`, admin
}

/// Whom a connection belongs to, judged now.
public enum CallerDecision: Sendable {
  /// - name: for the log: `admin kim`.
  case allowed(CallerRole, name: String)
  /// The certificate has expired, the owner has changed, …: the sentence says which.
  case refused(reason: String)
}

/// One event of a server-sent event stream (WHATWG HTML, section 9.2).
public struct StreamEvent: Sendable, Equatable {
  /// `reading`, `input`, `grade`, `cloud` or `log`.
  public let name: String
  /// Where a reader resumes after; nil where it cannot.
  public let identifier: UInt64?
  /// JSON on one line.
  public let data: String

  /// - Parameter document: what `data` shall hold.
  public init(name: String, identifier: UInt64?, document: some Encodable) throws {
    self.name = name
    self.identifier = identifier
    data = String(decoding: try encodeJSON(document), as: UTF8.self)
  }
}

/// What can be followed as a stream.
public enum Feed: Sendable, Equatable {
  /// The latest of each reading, then each new one.
  case readings
  /// Each change of an input, of the grade and of the link to the broker from now on.
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
  func provisioningOffer() async throws(Problem) -> ProvisioningDocument
  /// - Parameter connection: the one that asks; every other is closed when it succeeds.
  func provision(_ request: ProvisioningRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument
  func claimOffer() async throws(Problem) -> ClaimOfferDocument
  /// - Parameter connection: the one that asks; every other is closed when it succeeds.
  func claim(_ request: ClaimRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument
  /// Calls `deliver` for each event, in order and from any thread; `deliver` never waits.
  func subscribe(_ feed: Feed, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription
  /// A line for the device's log.
  func log(_ level: LogLevel, _ text: String)
}
