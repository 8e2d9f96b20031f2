import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// The netlink code against a real kernel, in network namespaces of the test's own.
@Suite(.enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.whyNot))
struct RouteInterfaceTests {
  private static let first = InterfaceConfiguration(address: 0x0a00_020f, prefixLength: 24, router: 0x0a00_0202)

  @Test func theCarrierIsSeen() throws {
    let seen = try NetworkNamespace.run { network in
      let interface = RouteInterface(name: "eth0")
      var seen: [Bool] = [try interface.takeCarrier()]
      try interface.bringUp()
      for isUp in [true, false, true] {
        try network.setFarUp(isUp)
        // The kernel says so when it gets round to it; the descriptor tells when.
        for _ in 0..<50 {
          if try interface.takeCarrier() == isUp { break }
          var waiting = pollfd(fd: interface.eventDescriptor ?? -1, events: Int16(POLLIN), revents: 0)
          guard poll(&waiting, 1, 60_000) == 1 else { break }
        }
        seen.append(try interface.takeCarrier())
      }
      return seen
    }
    #expect(seen == [false, true, false, true])
  }

  @Test func theHardwareAddressIsTheKernels() throws {
    let (address, file) = try NetworkNamespace.run { _ in
      (try RouteInterface(name: "eth0").hardwareAddress(), kernelFile("/proc/thread-self/net/dev"))
    }
    #expect(address.count == 6)
    #expect(address[0] & 3 == 2)  // veth draws a local unicast address
    #expect(file.contains("eth0"))
  }

  @Test func anInterfaceThatIsMissingIsNamed() throws {
    let error = #expect(throws: BoardError.self) { _ = try NetworkNamespace.run { _ in try RouteInterface(name: "eth9").hardwareAddress() } }
    #expect(error?.reason.contains("eth9") == true)
  }

  @Test func aConfigurationIsSetReplacedAndCleared() throws {
    struct Seen: Sendable {
      var addresses: [Set<String>] = []
      var routes: [[String]] = []
      var filters: [String] = []
    }
    let seen = try NetworkNamespace.run { _ in
      var seen = Seen()
      func look() {
        seen.addresses.append(localAddresses())
        seen.routes.append(defaultRoutes())
        seen.filters.append(kernelFile("/proc/sys/net/ipv4/conf/eth0/rp_filter"))
      }
      let interface = RouteInterface(name: "eth0")
      try interface.bringUp()
      for _ in 0..<2 {  // the second time nothing changes
        try interface.apply(Self.first)
        look()
      }
      // Another address of the same prefix, and a router outside of it.
      try interface.apply(InterfaceConfiguration(address: 0x0a00_0210, prefixLength: 24, router: 0xc000_0201))
      look()
      // No router.
      try interface.apply(InterfaceConfiguration(address: 0xc0a8_0105, prefixLength: 16, router: 0))
      look()
      for _ in 0..<2 {  // the second time there is nothing left
        try interface.clear()
        look()
      }
      return seen
    }
    // Routers as /proc has them: the address's bytes read as a little-endian number.
    #expect(seen.addresses == [["10.0.2.15"], ["10.0.2.15"], ["10.0.2.16"], ["192.168.1.5"], [], []])
    #expect(seen.routes == [["eth0 0202000A"], ["eth0 0202000A"], ["eth0 010200C0"], [], [], []])
    #expect(seen.filters == ["1\n", "1\n", "1\n", "1\n", "0\n", "0\n"])
  }

  @Test func whatTheKernelRefusesLeavesNothingBehind() throws {
    let (reason, addresses) = try NetworkNamespace.run { _ in
      let interface = RouteInterface(name: "eth0")
      try interface.bringUp()
      do throws(BoardError) {
        // A router that is a multicast address.
        try interface.apply(InterfaceConfiguration(address: 0x0a00_020f, prefixLength: 24, router: 0xe000_0001))
        return ("nothing was refused", localAddresses())
      } catch {
        return (error.reason, localAddresses())
      }
    }
    #expect(reason.contains("eth0: default route by 224.0.0.1"))
    #expect(reason.contains("invalid gateway"))
    #expect(addresses == [])
  }

  @Test func valuesThatNoKernelWouldTakeAreRefusedFirst() throws {
    let refused = try NetworkNamespace.run { _ in
      let interface = RouteInterface(name: "eth0")
      return [
        InterfaceConfiguration(address: 0, prefixLength: 24, router: 0), InterfaceConfiguration(address: 1, prefixLength: 33, router: 0),
      ].map { configuration in (try? interface.apply(configuration)) == nil }
    }
    #expect(refused == [true, true])
  }

  /// A DHCP server's broadcast reaches the socket while the interface has no address, with one, and after it was taken away again.
  @Test func broadcastsReachTheDHCPSocket() throws {
    let heard = try NetworkNamespace.run { network in
      let interface = RouteInterface(name: "eth0")
      try interface.bringUp()
      for setting in KernelSetting.all where setting.path.hasPrefix("net/ipv4/") { try setting.apply(interface: "eth0") }
      let socket = OwnedDescriptor(adopting: try #require(try interface.makeDHCPSocket()))
      var heard: [String?] = []
      // The far end sends nothing before the kernel has seen its carrier, which it looks for once in a while.
      for _ in 0..<100 {
        try network.broadcast("offer")
        if let first = nextDatagram(socket.number, patience_ms: 200) {
          heard.append(first)
          break
        }
      }
      try interface.apply(Self.first)
      try network.broadcast("renewal")
      heard.append(nextDatagram(socket.number))
      try interface.clear()
      try network.broadcast("again")
      heard.append(nextDatagram(socket.number))
      return heard
    }
    #expect(heard == ["offer", "renewal", "again"])
  }

  @Test func twoDHCPSocketsMayOverlap() throws {
    let isDone = try NetworkNamespace.run { _ in
      let interface = RouteInterface(name: "eth0")
      let first = OwnedDescriptor(adopting: try #require(try interface.makeDHCPSocket()))
      let second = OwnedDescriptor(adopting: try #require(try interface.makeDHCPSocket()))
      return first.number != second.number
    }
    #expect(isDone)
  }

  @Test func theHostNameIsSet() throws {
    let (name, refused) = try NetworkNamespace.run { _ in
      let interface = RouteInterface(name: "eth0")
      try interface.setHostName("haechi-0123456789abcdef0123")
      let wrong = ["", "-a", "a-", "a.b", "ä", "a b", String(repeating: "a", count: 64)]
      return (kernelFile("/proc/sys/kernel/hostname"), wrong.filter { (try? interface.setHostName($0)) == nil }.count)
    }
    #expect(name == "haechi-0123456789abcdef0123\n")
    #expect(refused == 7)
  }

  /// Each network setting of the table exists and keeps its value. Those of the machine are left alone on a development host.
  @Test func theKernelTakesTheSettings() throws {
    let wrong = try NetworkNamespace.run { _ in
      var wrong: [String] = []
      for setting in KernelSetting.all where setting.path.hasPrefix("net/") {
        try setting.apply(interface: "eth0")
        if kernelFile(setting.file(interface: "eth0")) != setting.value + "\n" { wrong.append(setting.path) }
      }
      return wrong
    }
    #expect(wrong == [])
  }
}
