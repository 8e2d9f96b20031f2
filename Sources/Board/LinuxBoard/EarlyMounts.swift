internal import BoardAPI
internal import CHaechi
internal import Glibc

/// One file system that is mounted before anything else runs.
struct EarlyMount {
  /// The phase's name: `mount-proc`.
  let phase: String
  let type: String
  let target: String
  /// MS_ bits of mount(2).
  let flags: Int
  let options: String
  /// Boot stops without it.
  let isEssential: Bool
  /// A folder that the kernel makes where the mount makes sense; nil where it always does.
  var wantedFolder: String?

  /// Where only the memory of this boot may hold what the runtime keeps.
  static let runtimeFolder = "/run/haechi"

  /// Where the records of crashed kernels appear.
  static let crashFolder = "/sys/fs/pstore"

  /// Nothing that is mounted holds programs, and nothing but /dev holds device nodes.
  private static let plain = MS_NOSUID | MS_NOEXEC | MS_NODEV

  #if HAECHI_DEBUG
    /// Writable, so that tests may pull the lines of the GPIO simulator.
    private static let sysfsFlags = plain
  #else
    /// Read-only: on a release device nobody changes a driver's settings.
    private static let sysfsFlags = plain | MS_RDONLY
  #endif

  /// Every mount of a device, in order.
  static let all: [EarlyMount] = {
    var mounts = [
      // First: Swift's threads and `/proc/self/exe` need it. hidepid: a process sees itself and nobody else's memory map or command line.
      EarlyMount(phase: "mount-proc", type: "proc", target: "/proc", flags: plain, options: "hidepid=invisible", isEssential: true),
      // Devices' own facts, and the mount points of the next ones.
      EarlyMount(phase: "mount-sys", type: "sysfs", target: "/sys", flags: sysfsFlags, options: "", isEssential: true),
      // Device nodes, made by the kernel as drivers find their hardware. The one place for them, so without nodev.
      EarlyMount(phase: "mount-dev", type: "devtmpfs", target: "/dev", flags: MS_NOSUID | MS_NOEXEC, options: "mode=0755", isEssential: true),
      // The only writable place: in memory, gone with the power. 4 MiB and 256 files bound what a runtime gone wrong can take.
      EarlyMount(phase: "mount-run", type: "tmpfs", target: "/run", flags: plain, options: "mode=0755,size=4m,nr_inodes=256", isEssential: true),
      // The last words of a kernel that crashed; only where a driver keeps them.
      EarlyMount(
        phase: "mount-pstore", type: "pstore", target: crashFolder, flags: plain, options: "", isEssential: false, wantedFolder: crashFolder),
      // Boot slots and the Secure Boot state, when UEFI started us. Read-only: what switches slots makes it writable for that moment.
      EarlyMount(
        phase: "mount-efivars", type: "efivarfs", target: "/sys/firmware/efi/efivars", flags: plain | MS_RDONLY, options: "", isEssential: false,
        wantedFolder: "/sys/firmware/efi/efivars"),
    ]
    #if HAECHI_DEBUG
      // The GPIO simulator is made through it; a release kernel has neither.
      mounts.append(
        EarlyMount(
          phase: "mount-config", type: "configfs", target: "/sys/kernel/config", flags: plain, options: "", isEssential: false,
          wantedFolder: "/sys/kernel/config"))
    #endif
    return mounts
  }()

  /// Mounts it, as a phase of boot.
  var boardPhase: BoardPhase {
    BoardPhase(name: phase, isEssential: isEssential) { () throws(BoardError) in
      if let wantedFolder, access(wantedFolder, F_OK) != 0 {
        throw .skipped("this machine has no \(wantedFolder)")
      }
      // The initramfs may come without empty folders; those below /sys are the kernel's own.
      if wantedFolder == nil, mkdir(target, 0o755) != 0, errno != EEXIST {
        throw .system(code: "mount-failed", call: "mkdir", subject: target, number: errno)
      }
      if mount(type, target, type, UInt(flags), options) != 0 {
        throw .system(code: "mount-failed", call: "mount", subject: "\(type) on \(target)", number: errno)
      }
    }
  }
}
