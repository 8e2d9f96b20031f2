public import Foundations

/// What the supervisor could not do; the reason says what and why.
public struct SupervisorError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}

/// How a child ended.
public enum ChildEnd: Sendable, Equatable {
  case exited(code: Int32)
  case killed(signal: Int32)
}

/// A child that ended, or an orphan that PID 1 inherited.
public struct EndedChild: Sendable, Equatable {
  public let process: Int32
  public let end: ChildEnd

  public init(process: Int32, end: ChildEnd) {
    self.process = process
    self.end = end
  }
}

/// Sending never waits: where the runtime does not read, the answer is `full`.
public enum LinkSend: Sendable, Equatable { case sent, full, closed }

/// A packet longer than `SupervisorPacket.maximumSize` arrives longer than that, so that it is refused.
public enum LinkReceive: Sendable, Equatable {
  case packet([UInt8])
  case empty
  case closed
}

/// What a worker keeps of the supervisor's rights, beside being root.
public enum WorkerRights: Sendable, Equatable {
  /// Neither network nor capabilities.
  case none
  /// The network, which it may administer.
  case network
  /// Disks and mounts: everything in the file system, and device mapper.
  case storage
}

/// The operating system as the supervisor sees it: time, one runtime with its link, workers, signals.
///
/// Only `wait` waits. A test implements it with a clock and processes of its own.
public protocol ProcessHost: AnyObject {
  /// Microseconds since the kernel started; never goes back.
  func now_us() -> UInt64
  /// So many bytes that nobody can guess (getrandom(2)).
  func randomBytes(_ count: Int) -> [UInt8]
  /// Waits for something to happen: on one of `descriptors`, the link, a signal, room on the link where `toSend`; at most `timeout_ms`.
  func wait(for descriptors: [CInt], toSend: Bool, timeout_ms: UInt32)
  /// True where somebody asked this process to end (SIGTERM, SIGINT) since the last call.
  func takeEndRequest() -> Bool
  /// Children that ended since the last call, at most 64.
  func takeEnded() -> [EndedChild]

  /// Starts a runtime with a fresh memory layout and a new link, and returns its process id. `dhcpSocket` is handed over: the supervisor's
  /// own copy is closed, whatever happens.
  func startRuntime(dhcpSocket: CInt?) throws(SupervisorError) -> Int32
  func send(_ packet: [UInt8]) -> LinkSend
  func receive() -> LinkReceive
  /// Closes the supervisor's end of the link.
  func closeLink()
  /// SIGKILL; a process that has ended already is no error.
  func kill(_ process: Int32)

  /// Starts `job` in a child of its own that keeps `rights` and nothing else, and returns the child's process id.
  func startWorker(rights: WorkerRights, _ job: @escaping () -> [UInt8]) throws(SupervisorError) -> Int32
  /// What the job of a worker that has ended wrote; asked for once.
  func takeWorkerResult(_ process: Int32) -> [UInt8]
}
