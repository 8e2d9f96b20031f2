import Foundations
import Glibc
import LocalAPI
import NIOConcurrencyHelpers
import NIOPosix
import Vault

/// Why what is to be kept cannot be: a word for programs, and what somebody can do.
enum StorageFault: String, Sendable {
  case full = "storage-full"
  case readOnly = "storage-read-only"
  case failing = "storage-failing"

  /// nil where the error is none of the medium's.
  init?(_ error: any Error) {
    switch error {
    case let error as SystemCallError: self.init(number: error.number)
    // What the vault makes of such an error keeps it as its cause.
    case let error as VaultError:
      guard let cause = error.cause as? SystemCallError else { return nil }
      self.init(number: cause.number)
    default: return nil
    }
  }

  private init?(number: CInt) {
    switch number {
    case ENOSPC, EDQUOT: self = .full
    case EROFS: self = .readOnly
    // EUCLEAN is ext4's word for metadata that does not fit.
    case EIO, ENXIO, ENODEV, ENOMEDIUM, EUCLEAN: self = .failing
    default: return nil
    }
  }

  /// The worse one counts.
  fileprivate var weight: Int {
    switch self {
    case .full: 1
    case .failing: 2
    case .readOnly: 3
    }
  }

  /// What follows "the storage:".
  var reason: String {
    switch self {
    case .full: "it is full; nothing can be added until what is kept there has become less"
    case .readOnly: "it cannot be written, as after an error of the disk; switch the device off and on, and replace its disk if that does not help"
    case .failing: "its disk fails; try again, then switch the device off and on, and replace its disk if that does not help"
    }
  }
}

extension Problem {
  /// What a caller hears of something that could not be kept: 507 where the storage is full, else 503.
  ///
  /// - Parameter what: one sentence on what the device could not do, and where it stands now.
  static func notKept(_ error: any Error, _ what: String) -> Problem {
    guard let fault = StorageFault(error) else { return .unavailable(what) }
    return .storage(isFull: fault == .full, code: fault.rawValue, "\(what) Its storage: \(fault.reason).")
  }
}

/// Whether the runtime's storage takes what is to be kept: what the last attempts said, and what the file system says of itself.
///
/// A fault is told once, as a line of the log and an event, and once more when it is over. Everything that is not to be kept goes on meanwhile.
final class StorageHealth: Sendable {
  struct State: Sendable, Equatable {
    let fault: StorageFault
    /// Milliseconds of `BootClock`.
    let since_ms: UInt64
  }

  /// How often the file system is looked at. That writes nothing while all is well.
  static let look_ms: Int64 = 5_000
  /// What must be free before a full storage counts as one with room: not each file that comes and goes is news.
  private static let room_bytes: UInt64 = 64 * 1_024
  /// Written and removed again, to see whether a storage that failed takes something.
  private static let probe = "probe"

  private let path: String
  private let log: DeviceLog
  private let events: EventJournal
  private let state = NIOLockedValueBox<State?>(nil)

  /// - Parameter path: the folder of what a wipe destroys.
  init(path: String, log: DeviceLog, events: EventJournal) {
    self.path = path
    self.log = log
    self.events = events
  }

  /// nil while all is well.
  var current: State? { state.withLockedValue { $0 } }

  /// Something could not be kept. Errors that are none of the medium's are not looked at.
  func failed(_ error: any Error) { if let fault = StorageFault(error) { become(fault, "\(error)") } }

  /// Looks at the file system, and tries a storage that failed. Called now and then, where it may wait.
  func look() {
    var facts = statvfs()
    guard statvfs(path, &facts) == 0 else { return failed(SystemCallError("statvfs", number: errno, subject: path)) }
    if facts.f_flag & UInt(ST_RDONLY) != 0 { return become(.readOnly, "\(path) is mounted read-only") }
    // Some file systems count no files, and one in memory without a bound not even blocks.
    let isFull = (facts.f_blocks > 0 && facts.f_bavail == 0) || (facts.f_files > 0 && facts.f_favail == 0)
    if isFull { return become(.full, "\(path) has no room left") }
    guard let present = current else { return }
    if present.fault == .full, facts.f_blocks > 0, UInt64(facts.f_bavail) * UInt64(facts.f_frsize) < Self.room_bytes { return }
    let probe = path + "/" + Self.probe
    do {
      try AtomicFile.replace(probe, with: [0])
      try AtomicFile.remove(probe)
    } catch {
      return failed(error)
    }
    recover()
  }

  private func become(_ fault: StorageFault, _ why: String) {
    let isNews = state.withLockedValue { state in
      // One fault shows in several ways, and the worst of them says what to do: it stays until all is well, so that they do not take turns in the log.
      if let state, state.fault.weight >= fault.weight { return false }
      state = State(fault: fault, since_ms: BootClock.now_ms())
      return true
    }
    guard isNews else { return }
    log.append(.error, source: "storage", "nothing is kept until the storage takes it again: \(fault.reason) (\(why))")
    tell(fault.rawValue, fault.reason)
  }

  private func recover() {
    let isNews = state.withLockedValue { state in
      defer { state = nil }
      return state != nil
    }
    guard isNews else { return }
    log.append(.notice, source: "storage", "the storage takes what is to be kept again")
    tell("storage-writable", nil)
  }

  private func tell(_ word: String, _ reason: String?) {
    events.append(.storage(StorageEventDocument(state: word, reason: reason, uptimeMilliseconds: BootClock.now_ms())))
  }

  /// Runs until it is cancelled.
  ///
  /// - Parameter threads: for what waits for the medium.
  func watch(on threads: NIOThreadPool) async {
    while !Task.isCancelled {
      try? await threads.runIfActive { self.look() }
      try? await Task.sleep(for: .milliseconds(Self.look_ms))
    }
  }
}
