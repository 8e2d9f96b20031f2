internal import Foundations
internal import SupervisorLink

// Whether the device speaks multicast DNS is the owner's to say. While it does, a peer that the owner declared may be looked for at one more address, of
// the same link: what neighbours say is anybody's to forge, and leads to a handshake that fails at the most.

extension Supervisor {
  /// What a statement about discovery orders; nil where its body is not the one byte.
  static func isOn(_ statement: SignedStatement) -> Bool? {
    switch statement.body {
    case [0]: false
    case [1]: true
    default: nil
    }
  }

  /// Carries out the owner's word.
  func setDiscovery(_ isOn: Bool, now_us: UInt64) {
    guard isOn != discovers else { return }
    discovers = isOn
    // The runtime says good-bye to the neighbours.
    discoveryEnds_us = isOn ? nil : later(now_us, by: limits.withdrawal_us)
    if !isOn { forgetMovedPeers(now_us: now_us) }
    policyIsStale = true
    discoveryIsNews = true
    say(.notice, "discovery is \(isOn ? "on" : "off"), by order of the owner")
  }

  /// Looked at as if an attacker had written it: for a declared peer only, a host of this link, bounded in number and rate. Where the owner said that it
  /// is stays declared beside it.
  ///
  /// `nil`: it is answered once the rules let the address through.
  func movePeer(from: PeerDestinations.Destination, to address: NetworkAddress, request: UInt32, now_us: UInt64) -> RequestOutcome? {
    guard discovers, peers.list.contains(from) else { return .unknownName }
    guard guardState.grade < .quarantined else { return .notInThisGrade }
    guard isNeighbour(address) else { return .refused }
    guard address != movedPeers[from] ?? from.address else { return answerWhenInForce(request) }
    guard peerRate.take(now_us: now_us) else { return .busy }
    withdrawDestinations(now_us: now_us)
    movedPeers[from] = address == from.address ? nil : address
    policyIsStale = true
    say(.info, "the peer declared at \(from) is looked for at \(address), as a neighbour says")
    return answerWhenInForce(request)
  }

  /// The link is another one: where peers were found on the one before says nothing.
  func forgetMovedPeers(now_us: UInt64) {
    guard !movedPeers.isEmpty else { return }
    withdrawDestinations(now_us: now_us)
    movedPeers = [:]
    policyIsStale = true
  }

  /// Whether `address` is another host of the lease's network; on a development host, of the loopback.
  private func isNeighbour(_ address: NetworkAddress) -> Bool {
    guard address.isIPv4 else { return false }
    let number = address.bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard let own = leasePrefix else { return limits.allowsLoopback && number >> 24 == 127 }
    guard own.prefixLength <= 30 else { return false }
    let hostMask = UInt32.max >> UInt32(own.prefixLength)
    return address.isUnicastHost && number & ~hostMask == own.address & ~hostMask && number != own.address && number & hostMask != 0
      && number & hostMask != hostMask
  }
}
