public import BoardAPI
internal import CHaechi
internal import Glibc

/// What distinguishes one Linux board from another: names, and no code.
public struct LinuxBoardParts: Sendable {
  /// As `HAECHI_BOARD` names the board: `qemu-virt`.
  public let name: String
  /// Its one network interface, as the kernel names it: `eth0`.
  public let interface: String
  public let wiring: [LineWiring]
  /// nil where the board has no watchdog.
  public let watchdogDevice: String?
  /// Who the runtime becomes. The numbers need no account anywhere: a device has none.
  public let runtimeUser: (uid: UInt32, gid: UInt32)
  #if HAECHI_DEBUG
    /// The serial line of log and rescue shell: `/dev/ttyAMA0`.
    public let serialDevice: String
    /// Simulated GPIO chips that boot makes.
    public let simulatedChips: [SimulatedGpioChip]

    public init(
      name: String, interface: String, wiring: [LineWiring], watchdogDevice: String?, runtimeUser: (uid: UInt32, gid: UInt32),
      serialDevice: String, simulatedChips: [SimulatedGpioChip]
    ) {
      self.name = name
      self.interface = interface
      self.wiring = wiring
      self.watchdogDevice = watchdogDevice
      self.runtimeUser = runtimeUser
      self.serialDevice = serialDevice
      self.simulatedChips = simulatedChips
    }
  #else
    public init(name: String, interface: String, wiring: [LineWiring], watchdogDevice: String?, runtimeUser: (uid: UInt32, gid: UInt32)) {
      self.name = name
      self.interface = interface
      self.wiring = wiring
      self.watchdogDevice = watchdogDevice
      self.runtimeUser = runtimeUser
    }
  #endif
}

/// A board that runs Linux, held by its PID 1.
public final class LinuxBoard: Board {
  private let parts: LinuxBoardParts
  public let gpio: any Gpio
  public let watchdog: (any WatchdogTimer)?
  public let network: any NetworkInterface
  public let networkPolicy: any NetworkPolicy
  public let rootOfTrust: any RootOfTrust = TPM2RootOfTrust()
  public let storage: any Storage
  public let console: (any Console)?

  /// Touches nothing of the machine yet: the phases and the parts do.
  public init(_ parts: LinuxBoardParts) {
    self.parts = parts
    gpio = LinuxGpio(wiring: parts.wiring)
    watchdog = parts.watchdogDevice.map(HardwareWatchdog.init)
    network = RouteInterface(name: parts.interface)
    networkPolicy = NftablesPolicy(interface: parts.interface, runtimeUser: parts.runtimeUser.uid)
    storage = LinuxStorage(
      identityFolder: EarlyMount.runtimeFolder + "/identity", folders: Self.dataFolders, user: parts.runtimeUser)
    #if HAECHI_DEBUG
      console = SerialConsole(device: parts.serialDevice)
    #else
      console = nil
    #endif
  }

  public var name: String { parts.name }
  public var lines: [LineDescription] { parts.wiring.map(\.description) }
  public var runtimeIdentityFolder: String { EarlyMount.runtimeFolder + "/identity" }
  public var runtimeStateFolder: String { Self.dataFolders.state }
  public var auditFolder: String { Self.dataFolders.audit }
  public var supervisorFolder: String { Self.dataFolders.supervisor }
  public var runtimeUser: (uid: UInt32, gid: UInt32)? { parts.runtimeUser }

  /// In memory, until the storage mounts its volume over them.
  static let dataFolders = VolumeFolders(
    mount: EarlyMount.runtimeFolder + "/data", state: EarlyMount.runtimeFolder + "/data/state", audit: EarlyMount.runtimeFolder + "/data/audit",
    supervisor: EarlyMount.runtimeFolder + "/data/supervisor")

  public var earlyPhases: [BoardPhase] {
    var phases = EarlyMount.all.map(\.boardPhase)
    phases.append(stateFolderPhase)
    phases.append(KernelSetting.phase(interface: parts.interface))
    #if HAECHI_DEBUG
      phases += parts.simulatedChips.map(\.boardPhase)
      phases.append(RescueShell(device: parts.serialDevice).boardPhase)
    #endif
    return phases
  }

  /// The runtime's folders, in memory and closed to everyone else; the audit log's, which it can only read; and the supervisor's own.
  private var stateFolderPhase: BoardPhase {
    let folders = [runtimeIdentityFolder, runtimeStateFolder]
    let ownFolders = [(auditFolder, mode_t(0o755)), (supervisorFolder, 0o700)]
    let user = parts.runtimeUser
    return BoardPhase(name: "runtime-state", isEssential: true) { () throws(BoardError) in
      for folder in [EarlyMount.runtimeFolder, Self.dataFolders.mount] {
        guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw .system(code: "mount-failed", call: "mkdir", subject: folder, number: errno) }
      }
      for folder in folders {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
          throw .system(code: "mount-failed", call: "mkdir", subject: folder, number: errno)
        }
        guard chown(folder, user.uid, user.gid) == 0 else {
          throw .system(code: "mount-failed", call: "chown", subject: folder, number: errno)
        }
      }
      for (folder, mode) in ownFolders {
        guard mkdir(folder, mode) == 0 || errno == EEXIST else { throw .system(code: "mount-failed", call: "mkdir", subject: folder, number: errno) }
      }
    }
  }

  public func takeCrashRecords() throws(BoardError) -> [String] { try CrashRecords(folder: EarlyMount.crashFolder).take() }

  /// Resets the machine. Where the kernel refuses, PID 1 ends: the kernel then panics, which resets the machine too.
  public func restart() -> Never {
    _ = haechi_machine_restart()
    _exit(1)
  }

  /// Switches the machine off; where that fails it stands still, until the watchdog resets it.
  public func powerOff() -> Never {
    _ = haechi_machine_power_off()
    while true { pause() }
  }
}
