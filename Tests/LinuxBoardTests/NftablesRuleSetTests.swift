import BoardAPI
import Foundations
import Testing

@testable import LinuxBoard

/// The rules of each grade as the kernel gets them, word for word: a change of a flow is a change of these texts.
@Suite struct NftablesRuleSetTests {
  private static func script(
    _ grade: Grade, servedPort: UInt16 = 8443, destinations: [(String, UInt16)] = [("192.0.2.10", 8883), ("2001:db8::10", 8883)],
    resolvers: [String] = ["10.0.2.3"], discovers: Bool = false
  ) throws -> String {
    func address(_ text: String) throws -> NetworkAddress { try #require(NetworkAddress(text)) }
    let rules = NetworkPolicyRules(
      grade: grade, servedPort: servedPort, destinations: try destinations.map { .init(address: try address($0.0), port: $0.1) },
      resolvers: try resolvers.map(address), discovers: discovers)
    return try NftablesRuleSet(rules, interface: "eth0", runtimeUser: 900).script
  }

  @Test("normal and restricted differ in whom the runtime serves, not in flows", arguments: [Grade.normal, .restricted])
  func open(grade: Grade) throws { #expect(try Self.script(grade) == Self.open) }

  @Test func quarantineAsksForNoNames() throws {
    let gone = [
      "    ip saddr 10.0.2.3 udp sport 53 ct state established ct direction reply accept\n",
      "    ip daddr 10.0.2.3 udp dport 53 accept\n",
    ]
    var expected = Self.open
    for line in gone {
      let range = try #require(expected.firstRange(of: line))
      expected.removeSubrange(range)
    }
    #expect(try Self.script(.quarantined) == expected)
  }

  @Test func lockedLeavesTheLoopback() throws { #expect(try Self.script(.locked) == Self.locked) }

  @Test func nothingDeclaredLeavesThePort() throws {
    let lines = try Self.script(.normal, destinations: [], resolvers: []).split(separator: "\n")
    let expected = Self.open.split(separator: "\n").filter {
      !$0.contains("192.0.2.10") && !$0.contains("2001:db8") && !$0.contains("10.0.2.3")
    }
    #expect(lines == expected)
  }

  @Test(arguments: ["0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255", "::", "::1", "ff02::1", "::ffff:192.0.2.10"])
  func whatIsNoHostIsRefused(address: String) {
    let asDestination = #expect(throws: BoardError.self) { try Self.script(.normal, destinations: [(address, 8883)]) }
    #expect(asDestination?.code == "policy-failed")
    let asResolver = #expect(throws: BoardError.self) { try Self.script(.normal, resolvers: [address]) }
    #expect(asResolver?.reason.contains("no address of one host") == true)
  }

  @Test("discovery is one more flow each way, to and from the one group and untracked; quarantine has none", arguments: [Grade.normal, .restricted])
  func discovery(grade: Grade) throws {
    let flow = "ip daddr 224.0.0.251 ip ttl 255 udp sport 5353 udp dport 5353"
    var expected = Self.open
    for (before, line) in [
      ("    iifname \"eth0\" udp dport 68 notrack\n", "    iifname \"eth0\" \(flow) notrack\n"),
      ("    oifname \"eth0\" tcp sport 8443 tcp flags & (syn | ack) != syn notrack\n", "    oifname \"eth0\" \(flow) notrack\n"),
      ("    ip6 saddr 2001:db8:0:0:0:0:0:10 tcp sport 8883 ct state established ct direction reply accept\n", "    \(flow) accept\n"),
      ("    ip6 daddr 2001:db8:0:0:0:0:0:10 tcp dport 8883 tcp sport != 8443 accept\n", "    \(flow) accept\n"),
    ] {
      let range = try #require(expected.firstRange(of: before))
      expected.insert(contentsOf: line, at: range.upperBound)
    }
    #expect(try Self.script(grade, discovers: true) == expected)
    for closed in [Grade.quarantined, .locked] { #expect(try Self.script(closed, discovers: true) == Self.script(closed)) }
  }

  @Test func portZeroIsRefused() {
    #expect(throws: BoardError.self) { try Self.script(.normal, servedPort: 0) }
    #expect(throws: BoardError.self) { try Self.script(.normal, destinations: [("192.0.2.10", 0)]) }
  }

  #if !HAECHI_DEVICE_LIBRARIES
    @Test func withoutTheLibraryItSaysSo() {
      let rules = NetworkPolicyRules(grade: .locked, servedPort: 8443, destinations: [], resolvers: [])
      let error = #expect(throws: BoardError.self) { try NftablesPolicy(interface: "eth0", runtimeUser: 900).apply(rules) }
      #expect(error?.code == "not-built-in")
    }
  #endif

  @Test func oneLineOfAnErrorIsKept() {
    #expect(Nftables.firstLine("Error: syntax error\ntable inet haechi {\n^^^") == "Error: syntax error")
    #expect(Nftables.firstLine("") == "")
    #expect(Nftables.firstLine(String(repeating: "a", count: 1_000)).utf8.count == 160)
  }

  // MARK: Texts

  private static let open = """
    add table inet haechi
    flush table inet haechi
    add table netdev haechi
    delete table netdev haechi
    table inet haechi {
      counter undeclared {
      }
      chain untracked_prerouting {
        type filter hook prerouting priority -300; policy accept;
        iifname "eth0" tcp dport 8443 notrack
        iifname "eth0" udp dport 68 notrack
      }
      chain untracked_output {
        type filter hook output priority -300; policy accept;
        oifname "eth0" tcp sport 8443 tcp flags & (syn | ack) != syn notrack
      }
      chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        iifname != "eth0" drop
        tcp dport 8443 accept
        meta nfproto ipv4 udp sport 67 udp dport 68 accept
        ip saddr 10.0.2.3 udp sport 53 ct state established ct direction reply accept
        ip saddr 192.0.2.10 tcp sport 8883 ct state established ct direction reply accept
        ip6 saddr 2001:db8:0:0:0:0:0:10 tcp sport 8883 ct state established ct direction reply accept
        icmp type { 3, 11, 12 } accept
        icmpv6 type { 1, 2, 3, 4 } accept
        icmpv6 type { 134, 135, 136 } icmpv6 code 0 ip6 hoplimit 255 accept
        icmpv6 type 130 ip6 saddr fe80::/10 ip6 hoplimit 1 accept
        drop
      }
      chain forward {
        type filter hook forward priority 0; policy drop;
        drop
      }
      chain output {
        type filter hook output priority 0; policy drop;
        oifname "lo" accept
        oifname != "eth0" drop
        tcp sport 8443 tcp flags & (syn | ack) != syn accept
        ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
        ip daddr 10.0.2.3 udp dport 53 accept
        ip daddr 192.0.2.10 tcp dport 8883 tcp sport != 8443 accept
        ip6 daddr 2001:db8:0:0:0:0:0:10 tcp dport 8883 tcp sport != 8443 accept
        icmp type { 3, 11, 12 } ct state related accept
        icmpv6 type { 1, 2, 3, 4 } ct state related accept
        icmpv6 type { 133, 135, 136 } icmpv6 code 0 ip6 hoplimit 255 accept
        icmpv6 type { 131, 132, 143 } ip6 hoplimit 1 accept
        meta l4proto { 6, 17 } th dport 53 drop
        meta skuid 900 ct state new ct status & confirmed == 0 tcp flags & (fin | syn | rst | ack) == syn counter name "undeclared" drop
        meta skuid 900 ct state new ct status & confirmed == 0 meta l4proto != 6 counter name "undeclared" drop
        udp sport 68 udp dport != 67 ct state new ct status & confirmed == 0 counter name "undeclared" drop
        drop
      }
    }
    table netdev haechi {
      chain ingress {
        type filter hook ingress device "eth0" priority 0; policy drop;
        meta protocol { ip, arp, ip6 } accept
        drop
      }
      chain egress {
        type filter hook egress device "eth0" priority 0; policy drop;
        meta protocol { ip, arp, ip6 } accept
        drop
      }
    }

    """

  private static let locked = """
    add table inet haechi
    flush table inet haechi
    add table netdev haechi
    delete table netdev haechi
    table inet haechi {
      counter undeclared {
      }
      chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        drop
      }
      chain forward {
        type filter hook forward priority 0; policy drop;
        drop
      }
      chain output {
        type filter hook output priority 0; policy drop;
        oifname "lo" accept
        drop
      }
    }
    table netdev haechi {
      chain ingress {
        type filter hook ingress device "eth0" priority 0; policy drop;
        drop
      }
      chain egress {
        type filter hook egress device "eth0" priority 0; policy drop;
        drop
      }
    }

    """
}
