import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// The rules against a real kernel's packets, between two network namespaces of the test's own: the device is this one, strangers are the other.
@Suite(
  .enabled(if: NetworkNamespace.isAvailable, NetworkNamespace.whyNot),
  .enabled(if: TestPolicy.isAvailable, "needs libnftables.so.1 (package libnftables1)"))
struct NftablesKernelTests {
  private static let runtime = TestPolicy.runtimeUser
  private static let device = TestAddress.ip(10, 0, 2, 15)
  private static let far = TestAddress.ip(10, 0, 2, 2)
  private static let nobody = TestAddress.ip(10, 0, 2, 77)

  /// A device with an address and a cable, and its policy.
  private static func onDevice<Value: Sendable>(_ body: @escaping @Sendable (NetworkNamespace, NftablesPolicy) throws -> Value) throws -> Value {
    try NetworkNamespace.run { network in
      let interface = RouteInterface(name: "eth0")
      try interface.bringUp()
      try interface.apply(InterfaceConfiguration(address: 0x0a00_020f, prefixLength: 24, router: 0))
      return try body(network, NftablesPolicy(interface: "eth0", runtimeUser: runtime))
    }
  }

  @Test func everyGradeIsTaken() throws {
    let counts = try Self.onDevice { _, policy in
      // Before there are rules nothing is counted.
      var counts = [try policy.undeclaredPackets()]
      for grade in Grade.allCases + Grade.allCases.reversed() {
        let address = TestAddress(bytes: [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])
        try TestPolicy.apply(TestPolicy.rules(grade, destinations: [(Self.far, 8883), (address, 8883)], resolvers: [Self.far, address]))
        counts.append(try policy.undeclaredPackets())
      }
      return counts
    }
    #expect(counts == [UInt64](repeating: 0, count: 9))
  }

  /// What the runtime's user begins and nothing declares is dropped and counted, and only that.
  @Test func undeclaredFlowsAreCounted() throws {
    struct Try: Sendable {
      let what: String
      let error: CInt
      let counted: UInt64
    }
    let tries = try Self.onDevice { _, policy in
      var tries: [Try] = []
      func attempt(_ what: String, _ body: () throws -> CInt) throws {
        let before = try policy.undeclaredPackets()
        let error = try body()
        tries.append(Try(what: what, error: error, counted: try policy.undeclaredPackets() - before))
      }
      func datagram(_ user: UInt32, _ address: TestAddress, _ port: UInt16) throws -> CInt {
        try TestSocket(.udp, user: user).send("x", to: address, port: port)
      }
      // The socket is closed at once: the kernel repeats nothing.
      func opening(_ user: UInt32, _ address: TestAddress, _ port: UInt16) throws -> CInt {
        try TestSocket(.tcp, user: user).connect(address, port: port)
      }
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)], resolvers: [Self.far]))
      try attempt("datagram of the runtime") { try datagram(Self.runtime, Self.far, 99) }
      try attempt("datagram of the runtime to the served port") { try datagram(Self.runtime, Self.far, 8443) }
      try attempt("datagram of the supervisor") { try datagram(0, Self.far, 99) }
      try attempt("opening of the runtime") { try opening(Self.runtime, Self.far, 443) }
      try attempt("opening of the runtime to the broker's port of another host") { try opening(Self.runtime, Self.nobody, 8883) }
      try attempt("opening of the supervisor") { try opening(0, Self.far, 443) }
      try attempt("opening of the runtime from the served port") {
        let socket = try TestSocket(.tcp, user: Self.runtime)
        return socket.bind(port: 8443) != 0 ? -1 : socket.connect(Self.far, port: 443)
      }
      // Once open, it would look like a connection of the served port, and outlive its declaration.
      try attempt("opening of the runtime from the served port to the broker") {
        let socket = try TestSocket(.tcp, user: Self.runtime)
        return socket.bind(port: 8443) != 0 ? -1 : socket.connect(Self.far, port: 8883)
      }
      try attempt("question of the runtime") { try datagram(Self.runtime, Self.far, 53) }
      try attempt("question by TCP") { try opening(Self.runtime, Self.far, 53) }
      try attempt("question to another resolver") { try datagram(Self.runtime, Self.nobody, 53) }

      let dhcp = OwnedDescriptor(adopting: try #require(try RouteInterface(name: "eth0").makeDHCPSocket()))
      func byDHCP(_ address: TestAddress, _ port: UInt16) -> CInt {
        var there = sockaddr_in()
        there.sin_family = sa_family_t(AF_INET)
        there.sin_port = in_port_t(port).bigEndian
        withUnsafeMutableBytes(of: &there.sin_addr) { $0.copyBytes(from: address.bytes) }
        return withUnsafePointer(to: &there) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            sendto(dhcp.number, "x", 1, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) < 0 ? errno : 0
          }
        }
      }
      try attempt("DHCP by broadcast") { byDHCP(.broadcast, 67) }
      try attempt("DHCP to a server") { byDHCP(Self.far, 67) }
      try attempt("something else by the DHCP socket") { byDHCP(Self.far, 99) }

      try TestPolicy.apply(TestPolicy.rules(.quarantined, destinations: [(Self.far, 8883)], resolvers: [Self.far]))
      try attempt("quarantined: question") { try datagram(Self.runtime, Self.far, 53) }
      try attempt("quarantined: alert") { try opening(Self.runtime, Self.far, 8883) }
      try attempt("quarantined: datagram") { try datagram(Self.runtime, Self.far, 99) }
      try attempt("quarantined: DHCP by broadcast") { byDHCP(.broadcast, 67) }
      try TestPolicy.apply(TestPolicy.rules(.locked, destinations: [(Self.far, 8883)], resolvers: [Self.far]))
      try attempt("locked: datagram") { try datagram(Self.runtime, Self.far, 99) }
      try attempt("locked: DHCP by broadcast") { byDHCP(.broadcast, 67) }
      try attempt("locked: to itself") { try datagram(Self.runtime, .ip(127, 0, 0, 1), 99) }
      return tries
    }
    let expected: [(CInt, UInt64)] = [
      (EPERM, 1), (EPERM, 1), (EPERM, 0), (EINPROGRESS, 1), (EINPROGRESS, 1), (EINPROGRESS, 0), (EINPROGRESS, 1), (EINPROGRESS, 1), (0, 0), (EINPROGRESS, 0),
      (EPERM, 0), (0, 0), (EPERM, 0), (EPERM, 1), (EPERM, 0), (EINPROGRESS, 0), (EPERM, 1), (0, 0), (EPERM, 0), (EPERM, 0), (0, 0),
    ]
    #expect(tries.count == expected.count)
    for (attempt, (error, counted)) in zip(tries, expected) {
      #expect(attempt.error == error, "\(attempt.what)")
      #expect(attempt.counted == counted, "\(attempt.what)")
    }
  }

  private static let group = TestAddress.ip(224, 0, 0, 251)

  /// A member of the group on the interface of that address.
  private static func groupSocket(_ user: UInt32, _ interface: TestAddress, port: UInt16, hops: CInt = 255) throws -> TestSocket {
    let socket = try TestSocket(.udp, user: user)
    var hops = hops
    setsockopt(socket.number, CInt(IPPROTO_IP), IP_MULTICAST_TTL, &hops, 4)
    // What it says itself it need not hear.
    var loops: CInt = 0
    setsockopt(socket.number, CInt(IPPROTO_IP), IP_MULTICAST_LOOP, &loops, 4)
    var membership = ip_mreqn()
    withUnsafeMutableBytes(of: &membership.imr_multiaddr) { $0.copyBytes(from: group.bytes) }
    withUnsafeMutableBytes(of: &membership.imr_address) { $0.copyBytes(from: interface.bytes) }
    #expect(setsockopt(socket.number, CInt(IPPROTO_IP), IP_MULTICAST_IF, &membership, socklen_t(MemoryLayout<ip_mreqn>.size)) == 0)
    #expect(setsockopt(socket.number, CInt(IPPROTO_IP), IP_ADD_MEMBERSHIP, &membership, socklen_t(MemoryLayout<ip_mreqn>.size)) == 0)
    #expect(socket.bind(port: port) == 0)
    return socket
  }

  /// Multicast DNS goes out where it is switched on, from its port to its port of its group, with a hop limit that no router leaves; everything beside it is
  /// evidence. What comes in is held to the same.
  @Test func discoveryIsOneFlow() throws {
    let (sent, heard) = try Self.onDevice { network, policy in
      var sent: [UInt64] = []
      func attempt(_ body: () throws -> Void) throws {
        let before = try policy.undeclaredPackets()
        try body()
        sent.append(try policy.undeclaredPackets() - before)
      }
      let open = TestPolicy.rules(.normal, discovers: true)
      try TestPolicy.apply(open)
      let own = try Self.groupSocket(Self.runtime, Self.device, port: 5_353)
      try attempt { #expect(own.send("q", to: Self.group, port: 5_353) == 0) }
      try attempt { _ = own.send("q", to: Self.group, port: 99) }
      try attempt { _ = own.send("q", to: .ip(224, 0, 0, 252), port: 5_353) }
      try attempt { _ = own.send("q", to: Self.far, port: 5_353) }
      try attempt { _ = try Self.groupSocket(Self.runtime, Self.device, port: 5_354).send("q", to: Self.group, port: 5_353) }
      try attempt { _ = try Self.groupSocket(Self.runtime, Self.device, port: 5_353, hops: 1).send("q", to: Self.group, port: 5_353) }
      let (near, routed) = try network.inFar {
        (try Self.groupSocket(0, Self.far, port: 5_353), try Self.groupSocket(0, Self.far, port: 5_353, hops: 254))
      }
      var heard: [String?] = []
      try network.inFar {
        #expect(routed.send("routed", to: Self.group, port: 5_353) == 0)
        #expect(near.send("unicast", to: Self.device, port: 5_353) == 0)
        #expect(near.send("near", to: Self.group, port: 5_353) == 0)
      }
      // They come in order: what was sent before is dropped where this is the first.
      heard.append(own.receive())
      for closed in [TestPolicy.rules(.quarantined, discovers: true), TestPolicy.rules(.normal)] {
        try TestPolicy.apply(closed)
        try attempt { _ = own.send("q", to: Self.group, port: 5_353) }
        try network.inFar { #expect(near.send("closed", to: Self.group, port: 5_353) == 0) }
      }
      try TestPolicy.apply(open)
      try network.inFar { #expect(near.send("again", to: Self.group, port: 5_353) == 0) }
      heard.append(own.receive())
      return (sent, heard)
    }
    #expect(sent == [0, 1, 1, 1, 1, 1, 1, 1])
    #expect(heard == ["near", "again"])
  }

  /// A connection to a destination that is declared no more stops in both directions, is no evidence, and goes on where it is declared again.
  @Test func aDestinationStopsAtOnce() throws {
    let (heard, counted) = try Self.onDevice { network, policy in
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)]))
      let broker = try network.inFar { try TestSocket(.tcp) }
      #expect(broker.listen(port: 8883) == 0)
      let client = try TestSocket(.tcp, user: Self.runtime)
      #expect(client.connect(Self.far, port: 8883) == EINPROGRESS)
      #expect(client.isConnected())
      let connection = try #require(broker.accept())
      var heard: [String?] = []
      #expect(client.send("one") == 0)
      heard.append(connection.receive())

      try TestPolicy.apply(TestPolicy.rules(.normal))
      #expect(client.send("two") == 0)
      #expect(connection.send("three") == 0)
      #expect(client.hasRepeated() && connection.hasRepeated())
      heard += [connection.received(), client.received()].map { $0.map { String(decoding: $0, as: UTF8.self) } }
      let counted = try policy.undeclaredPackets()

      try TestPolicy.apply(TestPolicy.rules(.quarantined, destinations: [(Self.far, 8883)]))
      heard += [connection.receive(), client.receive()]
      return (heard, counted)
    }
    #expect(heard == ["one", nil, nil, "two", "three"])
    #expect(counted == 0)
  }

  /// Rules are replaced at the wish of a runtime, too: what was counted must not go with them.
  @Test func theCountGoesOn() throws {
    let counts = try Self.onDevice { _, policy in
      try [Grade.normal, .restricted, .quarantined, .locked, .normal].map { grade in
        try TestPolicy.apply(TestPolicy.rules(grade))
        if grade == .normal { _ = try TestSocket(.udp, user: Self.runtime).send("x", to: Self.far, port: 99) }
        return try policy.undeclaredPackets()
      }
    }
    #expect(counts == [1, 1, 1, 1, 2])
  }

  /// The kernel repeats an opening that was let through; a new one is the runtime's.
  @Test func aRepeatedOpeningIsNoEvidence() throws {
    let (repeated, new) = try Self.onDevice { network, policy in
      // A host that is there and says nothing.
      let silence = "table inet far { chain input { type filter hook input priority 0; policy drop; }; }\n"
      #expect(try network.inFar { try TestPolicy.run(silence) } == "")
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)]))
      let client = try TestSocket(.tcp, user: Self.runtime)
      #expect(client.connect(Self.far, port: 8883) == EINPROGRESS)
      // The first repetition shows that the neighbour was found: the kernel repeats nothing that still waits for that.
      #expect(client.hasRepeated())
      try TestPolicy.apply(TestPolicy.rules(.normal))
      #expect(client.hasRepeated(times: 2))
      let repeated = try policy.undeclaredPackets()
      let other = try TestSocket(.tcp, user: Self.runtime)
      #expect(other.connect(Self.far, port: 8883) == EINPROGRESS)
      return (repeated, try policy.undeclaredPackets())
    }
    #expect(repeated == 0)
    #expect(new == 1)
  }

  /// What goes on from before there were rules, which connection tracking takes for new, stops and is no evidence.
  @Test func anOldConnectionIsNoEvidence() throws {
    let (heard, counted) = try Self.onDevice { network, policy in
      let peer = try network.inFar { try TestSocket(.tcp) }
      #expect(peer.listen(port: 443) == 0)
      let client = try TestSocket(.tcp, user: Self.runtime)
      #expect(client.connect(Self.far, port: 443) == EINPROGRESS)
      #expect(client.isConnected())
      let connection = try #require(peer.accept())
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)]))
      #expect(client.send("question") == 0)
      #expect(client.hasRepeated())
      return (connection.received(), try policy.undeclaredPackets())
    }
    #expect(heard == nil)
    #expect(counted == 0)
  }

  @Test func theServedPortOutlivesAChangeOfRules() throws {
    let heard = try Self.onDevice { network, _ in
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)]))
      let server = try TestSocket(.tcp, user: Self.runtime)
      #expect(server.listen(port: 8443) == 0)
      func connect() throws -> (TestSocket, TestSocket) {
        let client = try network.inFar { try TestSocket(.tcp) }
        #expect(client.connect(Self.device, port: 8443) == EINPROGRESS)
        #expect(client.isConnected())
        return (client, try #require(server.accept()))
      }
      var heard: [String?] = []
      let (client, connection) = try connect()
      for grade in [Grade.normal, .restricted, .quarantined] {
        try TestPolicy.apply(TestPolicy.rules(grade))
        #expect(client.send("question") == 0)
        heard.append(connection.receive())
        #expect(connection.send("answer") == 0)
        heard.append(client.receive())
        _ = try connect()
      }
      try TestPolicy.apply(TestPolicy.rules(.locked))
      #expect(client.send("question") == 0)
      #expect(client.hasRepeated())
      heard.append(connection.received().map { String(decoding: $0, as: UTF8.self) })
      return heard
    }
    #expect(heard == ["question", "answer", "question", "answer", "question", "answer", nil])
  }

  /// Scans and forged segments, at ports that are served, open and closed: no evidence, and no answer but the served port's reset to a segment that
  /// belongs to no connection (RFC 9293 section 3.10.7.2).
  @Test func strangersGetNoAnswerAndMakeNoEvidence() throws {
    let (answers, resets, counted) = try Self.onDevice { network, policy in
      try TestPolicy.apply(TestPolicy.rules(.normal, destinations: [(Self.far, 8883)], resolvers: [Self.far]))
      let server = try TestSocket(.tcp, user: Self.runtime)
      let (open, openUDP) = (try TestSocket(.tcp, user: Self.runtime), try TestSocket(.udp, user: Self.runtime))
      #expect(server.listen(port: 8443) == 0 && open.listen(port: 5001) == 0 && openUDP.bind(port: 5000) == 0)
      let (raw, icmp, udp) = try network.inFar { (try TestSocket(.rawTCP), try TestSocket(.rawICMP), try TestSocket(.udp)) }

      // Not SYN alone: SYN+ACK, ACK, RST, FIN+ACK, nothing, everything. At the closed and the open port a plain SYN too.
      for (port, kinds) in [(UInt16(8443), [0x12, 0x10, 0x04, 0x11, 0, 0x3f]), (5001, [0x02, 0x12, 0x10, 0x04]), (9, [0x02, 0x10, 0x11])] {
        for flags in kinds {
          #expect(raw.send(Self.segment(from: 40_000, to: port, flags: UInt8(flags)), to: Self.device, port: 0) == 0)
        }
      }
      for port in [UInt16(5000), 9, 53, 67, 8443] { #expect(udp.send("x", to: Self.device, port: port) == 0) }
      // Echo request, time stamp request, and an error about a flow that never was: its first 28 bytes are a UDP packet of ours to nobody.
      let packet: [UInt8] = [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0] + Self.device.bytes + Self.nobody.bytes + [0, 99, 0, 99, 0, 8, 0, 0]
      for message in [[8, 0, 0, 0, 0, 1, 0, 1], [13, 0, 0, 0, 0, 1, 0, 1] + [UInt8](repeating: 0, count: 12), [3, 3, 0, 0, 0, 0, 0, 0] + packet] {
        #expect(icmp.send(Self.withChecksum(message, at: 2), to: Self.device, port: 0) == 0)
      }
      // The cable keeps the order: when this is answered, all of the above has been taken.
      let fence = try network.inFar { try TestSocket(.tcp) }
      #expect(fence.connect(Self.device, port: 8443) == EINPROGRESS)
      #expect(fence.isConnected())

      var answers: [String] = []
      var resets = 0
      while let bytes = raw.received() {
        // An IPv4 header of 20 bytes, then source and destination port; flags at byte 13 of the TCP header, which is all that there is.
        guard bytes.count >= 40, bytes[22...23] == [156, 64] else { continue }
        if bytes[20...21] == [0x20, 0xfb], bytes[33] & 0x04 != 0, bytes.count == 40 { resets += 1 } else { answers.append("TCP \(hexadecimal(bytes))") }
      }
      while let bytes = icmp.received() { answers.append("ICMP \(hexadecimal(bytes))") }
      return (answers, resets, try policy.undeclaredPackets())
    }
    #expect(answers == [])
    // To SYN+ACK, ACK and FIN+ACK.
    #expect(resets == 3)
    #expect(counted == 0)
  }

  /// More connections than the tracking table of a small machine has places, each opened and closed again: the served port leaves none of them there.
  @Test func manyConnectionsLeaveNothingBehind() throws {
    let (before, after) = try Self.onDevice { network, _ in
      try TestPolicy.apply(TestPolicy.rules(.normal))
      func tracked() -> String { kernelFile("/proc/sys/net/netfilter/nf_conntrack_count") }
      let server = try TestSocket(.tcp, user: Self.runtime)
      #expect(server.listen(port: 8443) == 0)
      let before = tracked()
      for _ in 0..<50 {
        let client = try network.inFar { try TestSocket(.tcp) }
        #expect(client.connect(Self.device, port: 8443) == EINPROGRESS)
        #expect(client.isConnected())
        _ = try #require(server.accept())
      }
      return (before, tracked())
    }
    #expect(!before.isEmpty && before == after)
  }

  /// Frames of other protocols do not leave, and in `locked` not even ARP is answered.
  @Test func framesAreFiltered() throws {
    let (arrived, isKnown) = try Self.onDevice { network, _ in
      let here = TestFrames(interface: "eth0")
      let there = try network.inFar { TestFrames(interface: "far0") }
      // Until the cable carries something; then with rules, and the last one after them.
      var arrived: [String] = []
      for _ in 0..<400 where arrived.isEmpty {
        here.send("before")
        usleep(50_000)
        arrived = there.received()
      }
      arrived = Array(Set(arrived))
      try TestPolicy.apply(TestPolicy.rules(.normal))
      here.send("after")
      arrived += there.received().filter { $0 != "before" }

      func isKnown() throws -> Bool {
        // The flags of an entry: 0x2 is a complete one.
        try network.inFar { kernelFile("/proc/thread-self/net/arp").split(separator: "\n").contains { $0.hasPrefix("10.0.2.15 ") && $0.contains(" 0x2 ") } }
      }
      var known: [Bool] = []
      for grade in [Grade.locked, .quarantined] {
        try TestPolicy.apply(TestPolicy.rules(grade))
        let stranger = try network.inFar { try TestSocket(.udp) }
        for _ in 0..<400 {
          _ = stranger.send("x", to: Self.device, port: 9)
          usleep(50_000)
          if try isKnown() || (grade == .locked && here.requestsSeen() >= 3) { break }
        }
        known.append(try isKnown())
      }
      return (arrived, known)
    }
    #expect(arrived == ["before"])
    #expect(isKnown == [false, true])
  }

  /// Neighbour discovery passes: a connection over IPv6, which needs it in both directions.
  @Test func neighboursFindEachOther() throws {
    let isConnected = try Self.onDevice { network, _ in
      try TestPolicy.apply(TestPolicy.rules(.quarantined))
      let server = try TestSocket(.tcp, user: Self.runtime, isIPv6: true)
      let client = try network.inFar { try TestSocket(.tcp, isIPv6: true) }
      #expect(server.listen(port: 8443) == 0)
      let own = try #require(Self.linkLocalAddress())
      // Until both ends have made sure that their addresses are theirs alone, a connection is refused.
      for _ in 0..<400 {
        let error = client.connect(TestAddress(bytes: own, scope: NetworkNamespace.farIndex), port: 8443)
        if error == EINPROGRESS || error == 0 { break }
        usleep(50_000)
      }
      return client.isConnected()
    }
    #expect(isConnected)
  }

  /// A script that fails in its last line, in the parser or in the kernel, has changed nothing.
  @Test func aBrokenScriptLeavesTheOldRules() throws {
    let (errors, counts) = try Self.onDevice { _, policy in
      try TestPolicy.apply(TestPolicy.rules(.normal))
      #expect(try TestSocket(.udp, user: Self.runtime).send("x", to: Self.far, port: 99) == EPERM)
      let locked = try NftablesRuleSet(TestPolicy.rules(.locked), interface: "eth0", runtimeUser: Self.runtime).script
      var errors: [String] = []
      var counts: [UInt64] = []
      for line in ["table inet {", "add rule inet haechi elsewhere drop", "add rule inet haechi output counter name \"elsewhere\""] {
        errors.append(try TestPolicy.run(locked + line + "\n"))
        counts.append(try policy.undeclaredPackets())
      }
      return (errors, counts)
    }
    #expect(errors.count == 3 && errors.allSatisfy { $0.contains("Error: ") && $0.utf8.count <= 200 }, "\(errors)")
    #expect(counts == [1, 1, 1])
  }

  // MARK: Parts

  private static func linkLocalAddress() -> [UInt8]? {
    let line = kernelFile("/proc/thread-self/net/if_inet6").split(separator: "\n").first { $0.hasPrefix("fe80") && $0.hasSuffix("eth0") }
    return line.flatMap { bytes(hexadecimal: $0.prefix(32)) }
  }

  /// A TCP header (RFC 9293 section 3.1) without data, its checksum included.
  private static func segment(from source: UInt16, to port: UInt16, flags: UInt8) -> [UInt8] {
    let ports = [source, port].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    let header = ports + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 4, 0, 0, 0, 0, 0]
    let pseudo = far.bytes + device.bytes + [0, 6, 0, 20]
    return Array(withChecksum(pseudo + header, at: 12 + 16).dropFirst(12))
  }

  /// The Internet checksum (RFC 1071), written at `offset`.
  private static func withChecksum(_ bytes: [UInt8], at offset: Int) -> [UInt8] {
    var sum = stride(from: 0, to: bytes.count, by: 2).reduce(UInt32(0)) { $0 + (UInt32(bytes[$1]) << 8 | UInt32(bytes[$1 + 1])) }
    while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
    var bytes = bytes
    bytes[offset] = UInt8(~sum >> 8 & 255)
    bytes[offset + 1] = UInt8(~sum & 255)
    return bytes
  }
}
