/// Judges what a server offers. Anyone on the link can answer a broadcast, so nothing is taken as it comes.
enum DHCPLeasePolicy {
  /// A wider network than /8 would swallow most of the Internet as "on link"; a narrower one than /30 has no room for a router.
  static let prefixLengths: ClosedRange<UInt8> = 8...30
  /// A shorter lease is an outage at each lost packet: one exchange with all its retransmissions takes up to a minute.
  /// It is also the shortest that dnsmasq gives.
  static let shortestLease_s: UInt32 = 120
  /// A server cannot make the device ask more often than it retransmits (RFC 2131 section 4.1 begins with 4 s).
  static let shortestRenewal_s: UInt32 = 4

  struct Refusal: Error { let reason: String }

  struct Verdict {
    let lease: DHCPLease
    /// What was left out of the lease, one sentence each.
    let remarks: [String]
  }

  /// - Parameter start_ms: when the request was sent that `message` (an offer or an acknowledgement) answers.
  static func judge(_ message: DHCPMessage, start_ms: UInt64) throws(Refusal) -> Verdict {
    guard let server = message.address(DHCPOptionCode.serverIdentifier) else {
      throw Refusal(reason: "it names no server (option 54)")
    }
    guard server.isUsableByHost else { throw Refusal(reason: "\(server) cannot be a server (option 54)") }
    let address = message.yourAddress
    guard address.isUsableByHost else { throw Refusal(reason: "no host can have the address \(address)") }
    guard let mask = message.number(DHCPOptionCode.subnetMask) else {
      throw Refusal(reason: "it has no subnet mask (option 1)")
    }
    let length = UInt8(mask.nonzeroBitCount)
    guard IPv4Address.mask(prefixLength: length) == mask else {
      throw Refusal(reason: "the subnet mask \(IPv4Address(rawValue: mask)) has holes")
    }
    guard prefixLengths.contains(length) else {
      throw Refusal(reason: "the network /\(length) is not between /\(prefixLengths.lowerBound) and /\(prefixLengths.upperBound)")
    }
    guard !address.isNetworkOrBroadcast(prefixLength: length) else {
      throw Refusal(reason: "\(address)/\(length) is the network's or its broadcast address")
    }
    guard let duration = message.number(DHCPOptionCode.leaseTime) else {
      throw Refusal(reason: "it has no lease time (option 51)")
    }
    guard duration >= shortestLease_s else {
      throw Refusal(reason: "a lease of \(duration) s is shorter than \(shortestLease_s) s")
    }

    var remarks: [String] = []
    let routers = message.addresses(DHCPOptionCode.router)
    let router = routers.first {
      $0.isUsableByHost && $0 != address && $0.isOnLink(with: address, prefixLength: length)
        && !$0.isNetworkOrBroadcast(prefixLength: length)
    }
    if router == nil, let first = routers.first { remarks.append("router \(first) is not on the link of \(address)/\(length): left out") }
    let resolvers = message.addresses(DHCPOptionCode.domainNameServer).filter { $0 != address }
    let (renewal, rebinding, remark) = times(message, duration_s: duration)
    if let remark { remarks.append(remark) }
    return Verdict(
      lease: DHCPLease(
        address: address, prefixLength: length, router: router, resolvers: ResolverConfiguration(resolvers: resolvers), server: server,
        duration_s: duration, renewal_s: renewal, rebinding_s: rebinding, start_ms: start_ms),
      remarks: remarks)
  }

  /// T1 and T2 (RFC 2131 section 4.4.5): the server's where they are in order, otherwise half and seven eighths of the lease.
  private static func times(_ message: DHCPMessage, duration_s: UInt32) -> (renewal: UInt32, rebinding: UInt32, remark: String?) {
    let defaultRenewal = duration_s / 2
    let defaultRebinding = UInt32(UInt64(duration_s) * 7 / 8)
    // For ever needs neither.
    if duration_s == .max { return (defaultRenewal, defaultRebinding, nil) }
    let renewal = message.number(DHCPOptionCode.renewalTime) ?? defaultRenewal
    let rebinding = message.number(DHCPOptionCode.rebindingTime) ?? defaultRebinding
    guard renewal >= shortestRenewal_s, renewal < rebinding, rebinding < duration_s else {
      return (
        defaultRenewal, defaultRebinding,
        "T1 \(renewal) s and T2 \(rebinding) s do not fit a lease of \(duration_s) s: \(defaultRenewal) s and \(defaultRebinding) s are used"
      )
    }
    return (renewal, rebinding, nil)
  }
}
