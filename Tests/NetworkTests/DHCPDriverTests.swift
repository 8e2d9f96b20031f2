import Foundations
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Network
import Testing

/// What needs no network: the socket fails here. Real packets are the matter of Tests/Network/dnsmasq-test.
@Suite struct DHCPDriverTests {
  struct NoInterface: DHCPLeaseHolder {
    func apply(_ lease: DHCPLease) async throws {}
    func drop() async throws {}
  }

  /// NIO closes a channel on the first failed write; the driver must go on trying with the socket that it was handed.
  @Test func failedWritesDoNotEndIt() async throws {
    let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    try #require(descriptor >= 0)
    // Bound to loopback and without SO_BROADCAST: no packet can leave, each write gives EACCES or ENETUNREACH.
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    try #require(bound == 0)

    let failures = NIOLockedValueBox(0)
    let driver = try await DHCPDriver.make(
      socket: descriptor, configuration: DHCPClientConfiguration(hardwareAddress: hardwareAddress, hostName: nil, initialDelay_ms: 10),
      eventLoop: MultiThreadedEventLoopGroup.singleton.next(), holder: NoInterface(),
      log: { level, text in if level == .notice, text.contains("could not be sent") { failures.withLockedValue { $0 += 1 } } }
    ).get()
    let before = try await driver.status().get()
    #expect(before.state == .down && before.lease == nil)
    driver.linkChanged(up: true)
    // The first after 10 ms, the second after 4 ± 1 s more; waiting ends at two.
    for _ in 0..<600 where failures.withLockedValue({ $0 }) < 2 { try await Task.sleep(for: .milliseconds(100)) }
    #expect(failures.withLockedValue { $0 } >= 2)
    #expect(try await driver.status().get().state == .selecting)
    try await driver.stop().get()
    try await driver.stop().get()
  }
}
