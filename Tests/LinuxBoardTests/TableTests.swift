import BoardAPI
import CHaechi
import Glibc
import Testing

@testable import LinuxBoard

/// The tables of mounts and settings keep what they promise.
@Suite struct TableTests {
  @Test func mountsComeInAnOrderThatWorks() {
    let targets = EarlyMount.all.map(\.target)
    #expect(targets.first == "/proc")
    #expect(Set(targets).count == targets.count)
    for mount in EarlyMount.all {
      // What lies below another mount comes after it.
      let parents = EarlyMount.all.filter { mount.target.hasPrefix($0.target + "/") }
      for parent in parents {
        let own = targets.firstIndex(of: mount.target) ?? -1
        let other = targets.firstIndex(of: parent.target) ?? targets.count
        #expect(other < own, "\(mount.target) comes before \(parent.target)")
      }
    }
  }

  @Test func nothingMountedHoldsPrograms() {
    for mount in EarlyMount.all {
      #expect(mount.flags & MS_NOSUID != 0, "\(mount.target) is mounted without nosuid")
      #expect(mount.flags & MS_NOEXEC != 0, "\(mount.target) is mounted without noexec")
      #expect(mount.flags & MS_NODEV != 0 || mount.target == "/dev", "\(mount.target) is mounted without nodev")
      // What is writable in memory has a bound.
      #expect(mount.type != "tmpfs" || (mount.options.contains("size=") && mount.options.contains("nr_inodes=")))
    }
    #expect(EarlyMount.all.filter(\.isEssential).map(\.target) == ["/proc", "/sys", "/dev", "/run"])
  }

  @Test func phaseNamesFitTheirMessages() {
    let names = EarlyMount.all.map(\.phase) + ["runtime-state", "kernel-settings", "gpio-simulator", "rescue-shell"]
    #expect(Set(names).count == names.count)
    for name in names { #expect((1...31).contains(name.utf8.count) && name.utf8.allSatisfy { (0x21...0x7e).contains($0) }) }
  }

  @Test func settingsAreSaidOnce() {
    let files = KernelSetting.all.map { $0.file(interface: "eth0") }
    #expect(Set(files).count == files.count)
    #expect(files.contains("/proc/sys/net/ipv4/conf/eth0/accept_redirects"))
    for file in files {
      #expect(!file.contains("INTERFACE"))
      #expect(!file.contains(".."))
    }
    // `RouteInterface` sets it, together with the address.
    #expect(!files.contains { $0.hasSuffix("rp_filter") })
  }

  @Test func aSettingThatIsMissingIsNamed() {
    let error = #expect(throws: BoardError.self) { try KernelSetting(path: "net/ipv4/no-such-setting", value: "1").apply(interface: "eth0") }
    #expect(error?.reason == "open /proc/sys/net/ipv4/no-such-setting: No such file or directory")
  }

  @Test func aMissingWatchdogIsNamed() {
    let watchdog = HardwareWatchdog(path: "/dev/no-such-watchdog")
    for timeout_s in [UInt32(0), 10, 65_536, .max] {
      let error = #expect(throws: BoardError.self) { _ = try watchdog.start(timeout_s: timeout_s) }
      #expect(error?.code == "watchdog-failed")
    }
    #expect(throws: BoardError.self) { try watchdog.feed() }
  }
}
