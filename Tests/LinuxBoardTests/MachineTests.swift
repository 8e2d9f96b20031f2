import BoardAPI
import Foundations
import Glibc
import QemuVirt
import Testing

@testable import LinuxBoard

/// LinuxBoard and QemuVirt on the debug kernel, where each part is real. One test at a time: they share the machine.
@Suite(.serialized, .enabled(if: TestMachine.isHere, TestMachine.whyNot))
struct MachineTests {
  let board = TestMachine.board

  @Test func everyEarlyPhaseWorks() {
    let names = board.earlyPhases.map(\.name).filter { $0 != "rescue-shell" }
    #expect(names.count >= 9)
    for name in names {
      // Started without UEFI, the machine has neither its variables nor a driver for pstore.
      let mayBeSkipped = name == "mount-efivars" || name == "mount-pstore"
      #expect(
        TestMachine.outcomes[name] == "done" || (mayBeSkipped && TestMachine.outcomes[name] == "skipped"), "\(name): \(TestMachine.outcomes[name] ?? "not run")"
      )
    }
  }

  @Test func mountsAreAsTheTableSays() throws {
    for (target, type) in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs"), ("/run", "tmpfs"), ("/sys/kernel/config", "configfs")] {
      let mount = try #require(TestMachine.mount(at: target))
      #expect(mount.type == type)
      #expect(mount.options.isSuperset(of: ["nosuid", "noexec"]), "\(target)")
      #expect(mount.options.contains("nodev") == (target != "/dev"), "\(target)")
    }
    #expect(TestMachine.mount(at: "/proc")?.options.contains("hidepid=invisible") == true)
    #expect(TestMachine.mount(at: "/run")?.options.contains("size=4096k") == true)
    // A program cannot be started from the one writable place.
    let program = "/run/program"
    let file = OwnedDescriptor(adopting: open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0o755))
    #expect(file.number >= 0)
    #expect(access(program, X_OK) != 0)
    unlink(program)
  }

  @Test func theRuntimesFolderIsItsOwn() {
    var facts = stat()
    #expect(stat(board.runtimeStateFolder, &facts) == 0)
    #expect(facts.st_mode & 0o7777 == 0o700)
    #expect(facts.st_uid == board.runtimeUser?.uid)
    #expect(facts.st_gid == board.runtimeUser?.gid)
    #expect(facts.st_uid != 0)
  }

  @Test func theKernelKeepsItsSettings() {
    for setting in KernelSetting.all {
      #expect(kernelFile(setting.file(interface: "eth0")) == setting.value + "\n", "\(setting.path)")
    }
  }

  @Test func theConsoleTakesALine() throws {
    // Tests/Device/board-tests looks for it on the serial line.
    try #require(board.console).write(line: "board-tests: the console speaks")
  }

  /// swtpm calls itself IBM, after the library that it is made of.
  @Test func theTPMNamesItselfAndItsSecureBootState() throws {
    let facts = try board.rootOfTrust.facts()
    #expect(facts.kind == .tpm2)
    #expect(facts.manufacturer == "IBM")
    #expect(facts.secureBootState.count == 32)
    // Asked twice it says the same, and the device was given back in between.
    #expect(try board.rootOfTrust.facts() == facts)
  }

  /// The last one that starts it decides; it is far away, because nothing stops it any more.
  @Test func theWatchdogTakesItsTimeOut() throws {
    let watchdog = try #require(board.watchdog)
    #expect(throws: BoardError.self) { try watchdog.feed() }
    #expect(try watchdog.start(timeout_s: 30) == 30)
    try watchdog.feed()
    // The i6300esb counts to 2046 s.
    #expect(throws: BoardError.self) { _ = try watchdog.start(timeout_s: 65_535) }
    #expect(try watchdog.start(timeout_s: 1_800) == 1_800)
    try watchdog.feed()
    // It is ours alone.
    #expect(throws: BoardError.self) { _ = try HardwareWatchdog(path: "/dev/watchdog").start(timeout_s: 30) }
  }

  @Test func theInterfaceIsConfigured() throws {
    let network = board.network
    try network.bringUp()
    for _ in 0..<50 {
      if try network.takeCarrier() { break }
      var waiting = pollfd(fd: network.eventDescriptor ?? -1, events: Int16(POLLIN), revents: 0)
      _ = poll(&waiting, 1, 1_000)
    }
    #expect(try network.takeCarrier())
    let address = try network.hardwareAddress().map { hexadecimal([$0]) }.joined(separator: ":")
    #expect(kernelFile("/sys/class/net/eth0/address") == address + "\n")

    try network.apply(InterfaceConfiguration(address: 0x0a00_020f, prefixLength: 24, router: 0x0a00_0202))
    #expect(localAddresses() == ["10.0.2.15"])
    #expect(defaultRoutes() == ["eth0 0202000A"])
    try network.clear()
    #expect(localAddresses() == [])
    #expect(defaultRoutes() == [])
  }

  /// QEMU's own DHCP server answers a DISCOVER (RFC 2131 section 4.3.1) while the interface has no address.
  @Test func aDHCPServerAnswers() throws { try Self.expectDHCPAnswer(board.network) }

  static func expectDHCPAnswer(_ network: any NetworkInterface) throws {
    try network.bringUp()
    try network.clear()
    let socket = OwnedDescriptor(adopting: try #require(try network.makeDHCPSocket()))
    var discover = [UInt8](repeating: 0, count: 300)
    discover.replaceSubrange(0..<4, with: [1, 1, 6, 0])  // BOOTREQUEST, Ethernet, 6 bytes of address, 0 hops
    discover.replaceSubrange(4..<8, with: [0xca, 0xfe, 0xd0, 0x0d])  // transaction
    discover[10] = 0x80  // BROADCAST
    discover.replaceSubrange(28..<34, with: try network.hardwareAddress())
    discover.replaceSubrange(236..<244, with: [99, 130, 83, 99, 53, 1, 1, 255])  // magic cookie, DHCPDISCOVER, end
    var everybody = sockaddr_in()
    everybody.sin_family = sa_family_t(AF_INET)
    everybody.sin_port = in_port_t(67).bigEndian
    everybody.sin_addr.s_addr = UInt32.max
    var answer = [UInt8](repeating: 0, count: 1500)
    var count = -1
    for _ in 0..<10 where count < 0 {
      _ = withUnsafePointer(to: &everybody) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(socket.number, discover, discover.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      var waiting = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
      if poll(&waiting, 1, 2_000) == 1 { count = recv(socket.number, &answer, answer.count, 0) }
    }
    #expect(count > 240)
    #expect(answer[0] == 2)  // BOOTREPLY
    #expect(answer[4..<8] == [0xca, 0xfe, 0xd0, 0x0d])
    #expect(answer[16..<18] == [10, 0])  // an address of QEMU's network, 10.0.2.0/24
  }

  @Test func theHostNameIsSet() throws {
    try board.network.setHostName("haechi-0123456789abcdef0123")
    #expect(kernelFile("/proc/sys/kernel/hostname") == "haechi-0123456789abcdef0123\n")
  }
}
