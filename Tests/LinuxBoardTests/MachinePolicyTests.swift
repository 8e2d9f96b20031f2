import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

extension MachineTests {
  /// The packet filter of the device's own kernel, by the device's own library. Inside MachineTests, because rules are the whole machine's.
  @Suite(.serialized) struct Policy {
    let policy = TestMachine.board.networkPolicy
    let network = TestMachine.board.network
    private static let runtime = TestPolicy.runtimeUser
    /// QEMU's user network: the host is .2, and answers nobody on port 1.
    private static let host = TestAddress.ip(10, 0, 2, 2)
    /// A network behind an interface that sends into nothing, asks for nobody's hardware address, and counts what it sends.
    private static let dummy = TestAddress.ip(10, 9, 0, 2)

    private static func removeRules() throws {
      let families = ["inet", "netdev"]
      try #require(try TestPolicy.run(families.map { "add table \($0) haechi\ndelete table \($0) haechi\n" }.joined()) == "")
    }

    @Test func everyGradeIsApplied() throws {
      for grade in Grade.allCases + Grade.allCases.reversed() {
        try policy.apply(TestPolicy.rules(grade, destinations: [(Self.host, 8883)], resolvers: [Self.host]))
        #expect(try policy.undeclaredPackets() == 0)
      }
      try Self.removeRules()
      #expect(try policy.undeclaredPackets() == 0)
    }

    /// What leaves is what is declared: by the interface's own count of sent packets.
    @Test func onlyDeclaredFlowsLeave() throws {
      try TestMachine.write("1", to: "/proc/sys/net/ipv6/conf/dummy0/disable_ipv6")
      let interface = RouteInterface(name: "dummy0")
      try interface.bringUp()
      try interface.apply(InterfaceConfiguration(address: 0x0a09_0001, prefixLength: 24, router: 0))
      let policy = NftablesPolicy(interface: "dummy0", runtimeUser: Self.runtime)

      func expect(_ what: String, error: CInt, sent: UInt64, counted: UInt64, _ body: () throws -> CInt) throws {
        func sentSoFar() -> UInt64 { UInt64(kernelFile("/sys/class/net/dummy0/statistics/tx_packets").filter { $0 != "\n" }) ?? 0 }
        let (sentBefore, countedBefore) = (sentSoFar(), try policy.undeclaredPackets())
        #expect(try body() == error, "\(what)")
        #expect(sentSoFar() - sentBefore == sent, "\(what)")
        #expect(try policy.undeclaredPackets() - countedBefore == counted, "\(what)")
      }
      func datagram(_ user: UInt32, _ port: UInt16) throws -> CInt { try TestSocket(.udp, user: user).send("x", to: Self.dummy, port: port) }
      // Closed at once: the kernel repeats nothing.
      func opening(_ user: UInt32, _ port: UInt16) throws -> CInt { try TestSocket(.tcp, user: user).connect(Self.dummy, port: port) }

      try policy.apply(TestPolicy.rules(.normal, destinations: [(Self.dummy, 8883)], resolvers: [Self.dummy]))
      try expect("datagram of the runtime", error: EPERM, sent: 0, counted: 1) { try datagram(Self.runtime, 99) }
      try expect("datagram of root", error: EPERM, sent: 0, counted: 0) { try datagram(0, 99) }
      try expect("opening of the runtime", error: EINPROGRESS, sent: 0, counted: 1) { try opening(Self.runtime, 443) }
      try expect("opening of root", error: EINPROGRESS, sent: 0, counted: 0) { try opening(0, 443) }
      try expect("opening to the broker", error: EINPROGRESS, sent: 1, counted: 0) { try opening(Self.runtime, 8883) }
      try expect("question for a name", error: 0, sent: 1, counted: 0) { try datagram(Self.runtime, 53) }
      try policy.apply(TestPolicy.rules(.quarantined, destinations: [(Self.dummy, 8883)], resolvers: [Self.dummy]))
      try expect("quarantined: alert", error: EINPROGRESS, sent: 1, counted: 0) { try opening(Self.runtime, 8883) }
      try expect("quarantined: question", error: EPERM, sent: 0, counted: 0) { try datagram(Self.runtime, 53) }
      try expect("quarantined: datagram", error: EPERM, sent: 0, counted: 1) { try datagram(Self.runtime, 99) }
      try policy.apply(TestPolicy.rules(.locked, destinations: [(Self.dummy, 8883)], resolvers: [Self.dummy]))
      try expect("locked: alert", error: EINPROGRESS, sent: 0, counted: 0) { try opening(Self.runtime, 8883) }
      try expect("locked: question", error: EPERM, sent: 0, counted: 0) { try datagram(Self.runtime, 53) }

      try Self.removeRules()
      try expect("without rules", error: 0, sent: 1, counted: 0) { try datagram(Self.runtime, 99) }
      try interface.clear()
    }

    /// A broker that is there refuses, because nobody listens: its answer came in. One that is not declared is never asked.
    @Test func aDeclaredHostAnswers() throws {
      try network.bringUp()
      try network.apply(InterfaceConfiguration(address: 0x0a00_020f, prefixLength: 24, router: 0x0a00_0202))
      try policy.apply(TestPolicy.rules(.quarantined, destinations: [(Self.host, 1)]))
      let alert = try TestSocket(.tcp, user: Self.runtime)
      #expect(alert.connect(Self.host, port: 1) == EINPROGRESS)
      #expect(alert.outcome() == ECONNREFUSED)
      #expect(try policy.undeclaredPackets() == 0)
      try policy.apply(TestPolicy.rules(.quarantined))
      let other = try TestSocket(.tcp, user: Self.runtime)
      #expect(other.connect(Self.host, port: 1) == EINPROGRESS)
      #expect(other.hasRepeated())
      #expect(try policy.undeclaredPackets() >= 2)
      try Self.removeRules()
      try network.clear()
    }

    @Test(arguments: [Grade.normal, .restricted, .quarantined]) func aDHCPServerAnswers(grade: Grade) throws {
      try policy.apply(TestPolicy.rules(grade))
      try MachineTests.expectDHCPAnswer(network)
      try Self.removeRules()
    }

    /// Rules that the kernel or the library refuses change nothing, and the error is one line.
    @Test func refusedRulesLeaveTheOldOnes() throws {
      try policy.apply(TestPolicy.rules(.normal))
      #expect(try TestSocket(.udp, user: Self.runtime).send("x", to: .ip(10, 9, 9, 9), port: 99) != 0)
      let before = try policy.undeclaredPackets()
      let locked = try NftablesRuleSet(TestPolicy.rules(.locked), interface: "eth0", runtimeUser: Self.runtime).script
      for line in ["table inet {", "add rule inet haechi elsewhere drop", "add rule inet haechi output counter name \"elsewhere\""] {
        #expect(try TestPolicy.run(locked + line + "\n").contains("Error: "))
      }
      let error = #expect(throws: BoardError.self) {
        try NftablesPolicy(interface: "eth9", runtimeUser: Self.runtime).apply(TestPolicy.rules(.locked))
      }
      #expect(error?.code == "policy-failed")
      #expect(error?.reason.hasPrefix("eth9: locked: ") == true && error?.reason.contains("\n") == false, "\(error?.reason ?? "")")
      #expect(try policy.undeclaredPackets() == before)
      try Self.removeRules()
    }

    /// No rule lets IGMP out, and none needs to: this kernel has no multicast routing or membership of IPv4.
    @Test func theKernelSpeaksNoIGMP() { #expect(access("/proc/net/igmp", F_OK) != 0) }
  }
}
