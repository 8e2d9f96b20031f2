/// One step that a board takes before the runtime starts: an early mount, a driver set up.
public struct BoardPhase {
  /// At most 31 bytes of printable ASCII without spaces.
  public let name: String
  /// Throws `BoardError` when it failed. Whether boot goes on is `isEssential`'s to say.
  public let run: () throws(BoardError) -> Void
  /// An essential phase that fails stops boot: the supervisor reboots the machine.
  public let isEssential: Bool

  public init(name: String, isEssential: Bool, run: @escaping () throws(BoardError) -> Void) {
    self.name = name
    self.run = run
    self.isEssential = isEssential
  }
}

/// The parts of a board that the supervisor holds. Made once, in the supervisor's process.
public protocol Board: AnyObject {
  /// As `HAECHI_BOARD` names it: `qemu-virt`.
  var name: String { get }
  /// Early mounts and set-up, in order.
  var earlyPhases: [BoardPhase] { get }
  /// The lines that this board wires, with their safe values.
  var lines: [LineDescription] { get }
  var gpio: any Gpio { get }
  /// nil where the board has no watchdog (the virtual board).
  var watchdog: (any WatchdogTimer)? { get }
  var network: any NetworkInterface { get }
  var networkPolicy: any NetworkPolicy { get }
  var rootOfTrust: any RootOfTrust { get }
  var storage: any Storage { get }
  var console: (any Console)? { get }
  /// A folder that only the runtime's user may enter, for what survives a wipe: the device's own key, its maker's certificate, its label.
  var runtimeIdentityFolder: String { get }
  /// A folder that only the runtime's user may enter, for what a wipe destroys. In memory, until `storage` has mounted something there.
  var runtimeStateFolder: String { get }
  /// A folder that only the supervisor may write in, and the runtime may read: the audit log.
  var auditFolder: String { get }
  /// A folder that only the supervisor may enter, for what it must not forget. In memory, until `storage` has mounted something there; a wipe destroys it.
  var supervisorFolder: String { get }
  /// The user and group that the runtime becomes; nil where it stays who it is (a development host).
  var runtimeUser: (uid: UInt32, gid: UInt32)? { get }
  /// What a kernel that crashed left with the firmware, a sentence for each crash; it is gone then. Called once, at boot, and by a worker alone: the firmware
  /// may block.
  func takeCrashRecords() throws(BoardError) -> [String]
  /// Ends the machine (a real board: reboot(2); never returns) or, on a development host, the process.
  func restart() -> Never
  /// Halts for good, after an orderly shutdown.
  func powerOff() -> Never
}
