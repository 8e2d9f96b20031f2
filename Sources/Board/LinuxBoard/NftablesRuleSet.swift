internal import BoardAPI
internal import Foundations

/// The complete rules of one grade, and their text for nft(8): what `NftablesPolicy` gives the kernel.
///
/// Numbers only: a name (of a service, a protocol, a user) would be looked up in files that a device has not.
struct NftablesRuleSet: Equatable {
  /// The tables' name, in both families.
  static let table = "haechi"
  /// The counter of undeclared flows in the `inet` table.
  static let counter = "undeclared"

  /// What one hook of the kernel is asked, in order. What no rule accepts is dropped.
  struct Chain: Equatable {
    let hook: String
    /// What the hook is bound to, as nft has it: ` device "eth0"`; empty where it sees all interfaces.
    let place: String
    let rules: [String]
    /// The chain decides nothing: it comes before connection tracking and says what is not tracked.
    var isUntracking = false

    var text: String {
      if isUntracking {
        let lines = ["type filter hook \(hook) priority -300; policy accept;"] + rules
        return "  chain untracked_\(hook) {\n" + lines.map { "    \($0)\n" }.joined() + "  }\n"
      }
      // The policy says the same as the last rule, and comes into force after the rules did: between the two moments the rule holds alone.
      let lines = ["type filter hook \(hook)\(place) priority 0; policy drop;"] + rules + ["drop"]
      return "  chain \(hook) {\n" + lines.map { "    \($0)\n" }.joined() + "  }\n"
    }
  }

  /// Of IP packets, by connection.
  let internet: [Chain]
  /// Of frames, below IP.
  let link: [Chain]

  /// - Parameters:
  ///   - interface: the device's one interface; the loopback stays open beside it.
  ///   - runtimeUser: whose new flows are evidence where nothing declares them.
  /// - Throws: where a destination or a resolver is no host, or a port is 0.
  init(_ rules: NetworkPolicyRules, interface: String, runtimeUser: UInt32) throws(BoardError) {
    for address in rules.destinations.map(\.address) + rules.resolvers where !address.isUnicastHost {
      throw BoardError(code: "policy-failed", reason: "\(address) cannot be declared: it is no address of one host")
    }
    guard rules.servedPort != 0, !rules.destinations.contains(where: { $0.port == 0 }) else {
      throw BoardError(code: "policy-failed", reason: "port 0 cannot be declared")
    }
    // What this device says to itself stays.
    let input = ["iifname \"lo\" accept", "iifname != \"\(interface)\" drop"]
    let output = ["oifname \"lo\" accept", "oifname != \"\(interface)\" drop"]
    let isOpen = rules.grade != .locked
    internet =
      (isOpen ? Self.untracked(rules, interface: interface) : []) + [
        Chain(hook: "input", place: "", rules: isOpen ? input + Self.accepted(rules) : ["iifname \"lo\" accept"]),
        Chain(hook: "forward", place: "", rules: []),
        Chain(
          hook: "output", place: "",
          rules: isOpen ? output + Self.sent(rules) + [Self.notEvidence] + Self.evidence(runtimeUser) : ["oifname \"lo\" accept"]),
      ]
    let frames = isOpen ? ["meta protocol { ip, arp, ip6 } accept"] : []
    link = ["ingress", "egress"].map { Chain(hook: $0, place: " device \"\(interface)\"", rules: frames) }
  }

  /// One transaction for nft(8): whatever rules were there go, these come. `add` first, because there may be nothing to remove. The `inet` table is
  /// emptied and not deleted, so that its counter goes on; what is left of a chain that has no rules any more decides nothing.
  var script: String {
    let counter = "  counter \(Self.counter) {\n  }\n"
    return """
      add table inet \(Self.table)
      flush table inet \(Self.table)
      add table netdev \(Self.table)
      delete table netdev \(Self.table)
      table inet \(Self.table) {
      \(counter)\(internet.map(\.text).joined())}
      table netdev \(Self.table) {
      \(link.map(\.text).joined())}

      """
  }

  // MARK: Rules

  /// What strangers send to the served port, and the answers, are not tracked: the table of a small machine has some hundred places, and each
  /// connection keeps one for two minutes after its end. Whoever opens a few connections a second would fill it, and nobody else got in.
  private static func untracked(_ rules: NetworkPolicyRules, interface: String) -> [Chain] {
    let neighbours = discovers(rules) ? "\(isMulticastDNS) notrack" : nil
    return [
      Chain(
        hook: "prerouting", place: "",
        rules: [
          "iifname \"\(interface)\" tcp dport \(rules.servedPort) notrack",
          "iifname \"\(interface)\" udp dport 68 notrack",
        ] + (neighbours.map { ["iifname \"\(interface)\" \($0)"] } ?? []), isUntracking: true),
      Chain(
        hook: "output", place: "",
        rules: ["oifname \"\(interface)\" tcp sport \(rules.servedPort) \(isAnswer) notrack"]
          + (neighbours.map { ["oifname \"\(interface)\" \($0)"] } ?? []), isUntracking: true),
    ]
  }

  /// Whatever a server sends: never SYN without ACK, with which a client begins (RFC 9293 section 3.5).
  private static let isAnswer = "tcp flags & (syn | ack) != syn"
  /// A TCP connection begins with this (RFC 9293 section 3.5). Connection tracking alone would also take a later segment for a beginning.
  private static let isOpening = "tcp flags & (fin | syn | rst | ack) == syn"
  /// Of a flow that began at the other end.
  private static let isReply = "ct state established ct direction reply"
  /// Destination unreachable, time exceeded, parameter problem (RFC 792).
  private static let isError = "icmp type { 3, 11, 12 } ct state related"
  /// The same and packet too big (RFC 4443), without which a path's MTU is never learnt.
  private static let isError6 = "icmpv6 type { 1, 2, 3, 4 } ct state related"
  /// No router lowered it, so the sender is a neighbour (RFC 4861 section 7.1.1).
  private static let isFromNeighbour = "icmpv6 code 0 ip6 hoplimit 255"
  /// Multicast DNS to its group alone, of the same provenance (RFC 6762 section 11): nobody is answered by unicast, so nobody can have others answered.
  private static let isMulticastDNS = "ip daddr 224.0.0.251 ip ttl 255 udp sport 5353 udp dport 5353"

  private static func accepted(_ rules: NetworkPolicyRules) -> [String] {
    var lines = [
      "tcp dport \(rules.servedPort) accept",
      // A DHCP server answers with a broadcast, or from an address that was not asked: connection tracking knows no flow.
      "meta nfproto ipv4 udp sport 67 udp dport 68 accept",
    ]
    lines += asked(rules).map { "\(from($0)) udp sport 53 \(isReply) accept" }
    lines += rules.destinations.map { "\(from($0.address)) tcp sport \($0.port) \(isReply) accept" }
    if discovers(rules) { lines.append("\(isMulticastDNS) accept") }
    return lines + [
      // Also about connections of the served port, which are not tracked: the kernel itself looks whether an error belongs to one (RFC 5927).
      "icmp type { 3, 11, 12 } accept",
      "icmpv6 type { 1, 2, 3, 4 } accept",
      // Router advertisement, neighbour solicitation, neighbour advertisement (RFC 4861).
      "icmpv6 type { 134, 135, 136 } \(isFromNeighbour) accept",
      // Multicast listener query: a switch forgets who does not answer it (RFC 3810).
      "icmpv6 type 130 ip6 saddr fe80::/10 ip6 hoplimit 1 accept",
    ]
  }

  private static func sent(_ rules: NetworkPolicyRules) -> [String] {
    var lines = [
      "tcp sport \(rules.servedPort) \(isAnswer) accept",
      // Broadcast alone: the runtime holds this socket, and no server's address is declared that it could be sent to otherwise.
      "ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
    ]
    lines += asked(rules).map { "\(to($0)) udp dport 53 accept" }
    // Whatever the state: a connection to a destination that is declared no more matches none of these, and stops. One that began at the served
    // port would go on as an answer, so there is none.
    lines += rules.destinations.map { "\(to($0.address)) tcp dport \($0.port) tcp sport != \(rules.servedPort) accept" }
    if discovers(rules) { lines.append("\(isMulticastDNS) accept") }
    return lines + [
      "\(isError) accept",
      "\(isError6) accept",
      // Router solicitation, neighbour solicitation, neighbour advertisement.
      "icmpv6 type { 133, 135, 136 } \(isFromNeighbour) accept",
      // Multicast listener reports of both versions, and done: neighbour solicitations come by multicast.
      "icmpv6 type { 131, 132, 143 } ip6 hoplimit 1 accept",
    ]
  }

  /// Questions to name servers that are declared no more, or not yet: which ones there are is whoever answers DHCP to say, and a resolver library
  /// asks by TCP after an answer that was cut short, which whoever forges one can bring about. Dropped, and no evidence.
  private static let notEvidence = "meta l4proto { 6, 17 } th dport 53 drop"

  /// The first packet of a flow of the runtime's own making. `confirmed` is a flow that was let through once: its repeated packets come from the
  /// kernel. Of TCP only an opening counts, because the kernel repeats and refuses whatever strangers send.
  private static func evidence(_ runtimeUser: UInt32) -> [String] {
    let isFirst = "ct state new ct status & confirmed == 0"
    let count = "counter name \"\(counter)\" drop"
    return [
      "meta skuid \(runtimeUser) \(isFirst) \(isOpening) \(count)",
      "meta skuid \(runtimeUser) \(isFirst) meta l4proto != 6 \(count)",
      // The runtime's as well, although the supervisor opened it: the one socket with this port. A DHCP client asks port 67, and may renew by unicast.
      "udp sport 68 udp dport != 67 \(isFirst) \(count)",
    ]
  }

  /// Quarantine asks for no names.
  private static func asked(_ rules: NetworkPolicyRules) -> [NetworkAddress] { rules.grade < .quarantined ? rules.resolvers : [] }

  /// Nor does it speak to neighbours.
  private static func discovers(_ rules: NetworkPolicyRules) -> Bool { rules.grade < .quarantined && rules.discovers }

  private static func from(_ address: NetworkAddress) -> String { "\(family(address)) saddr \(text(address))" }
  private static func to(_ address: NetworkAddress) -> String { "\(family(address)) daddr \(text(address))" }
  private static func family(_ address: NetworkAddress) -> String { address.isIPv4 ? "ip" : "ip6" }

  /// Of IPv6 all eight groups: the one form that cannot be read as anything else.
  private static func text(_ address: NetworkAddress) -> String {
    guard !address.isIPv4 else { return address.bytes.map { String($0) }.joined(separator: ".") }
    return stride(from: 0, to: 16, by: 2).map { String(UInt16(address.bytes[$0]) << 8 | UInt16(address.bytes[$0 + 1]), radix: 16) }
      .joined(separator: ":")
  }
}
