public import BoardAPI
internal import Foundations
internal import Glibc
internal import SimulatedSensors

/// A device on a development host: every part in memory or in one folder, and no privilege needed.
///
/// In the folder, `gpio/NAME` is a line (`1` or `0`; write an input's file to press the button, read an output's to see the relay), and
/// `identity` and `state` are the runtime's; `audit` is the audit log and `supervisor` what the supervisor must not forget; `policy` shows the network
/// rules that a real board would enforce.
public final class VirtualBoard: Board {
  /// The process ends with this status where a real board would reset: EX_TEMPFAIL of sysexits.h, “start me again”.
  public static let restartExitStatus: CInt = 75

  /// The lines of the climate node, as on every board.
  public static let climateNodeLines = [
    LineDescription(name: "relay", role: .output(safe: false)),
    LineDescription(name: "status-led", role: .output(safe: false)),
    // A mechanical contact settles within 5 ms.
    LineDescription(name: "button", role: .input(debounce_us: 5_000)),
  ]

  public let name = "virtual"
  public let lines: [LineDescription]
  public let gpio: any Gpio
  public let network: any NetworkInterface = LoopbackInterface()
  public let networkPolicy: any NetworkPolicy
  public let rootOfTrust: any RootOfTrust = AbsentRootOfTrust()
  public let storage: any Storage = FolderStorage()
  public let console: (any Console)?
  /// Its folder; made by an early phase.
  public let folder: String

  /// - Parameters:
  ///   - folder: where its lines and state live; made where it is missing. One board a folder.
  ///   - lines: what it wires.
  ///   - logsToStandardError: whether its console is the standard error.
  public init(folder: String, lines: [LineDescription] = VirtualBoard.climateNodeLines, logsToStandardError: Bool = true) {
    self.folder = folder
    self.lines = lines
    gpio = FolderGpio(folder: folder + "/gpio")
    networkPolicy = RecordedPolicy(folder: folder)
    console = logsToStandardError ? StandardErrorConsole() : nil
  }

  public var earlyPhases: [BoardPhase] {
    let folder = self.folder
    return [
      BoardPhase(name: "virtual-folder", isEssential: true) { () throws(BoardError) in
        let own = ["identity", "state", "audit", "supervisor"].map { (folder + "/" + $0, mode_t(0o700)) }
        for (path, mode) in [(folder, 0o755)] + own {
          guard mkdir(path, mode) == 0 || errno == EEXIST else {
            throw .system(code: "folder-failed", call: "mkdir", subject: path, number: errno, hint: "give the virtual board a folder that it may make")
          }
        }
      }
    ]
  }

  /// A host's kernel is not the device's.
  public func takeCrashRecords() throws(BoardError) -> [String] { [] }

  /// A host process has nobody to reset it.
  public var watchdog: (any WatchdogTimer)? { nil }
  public var runtimeIdentityFolder: String { folder + "/identity" }
  public var runtimeStateFolder: String { folder + "/state" }
  public var auditFolder: String { folder + "/audit" }
  public var supervisorFolder: String { folder + "/supervisor" }
  public var runtimeUser: (uid: UInt32, gid: UInt32)? { nil }

  /// Ends the process with `restartExitStatus`; what started it may start it again.
  public func restart() -> Never { exit(Self.restartExitStatus) }
  /// Ends the process with status 0.
  public func powerOff() -> Never { exit(0) }

  /// The sensors that the runtime reads: simulated, and always the same climate.
  public static func makeSensors() -> any Sensors { SimulatedClimate(seed: 1) }
}
