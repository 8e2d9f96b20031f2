public import Foundations

/// The DHCPv4 client (RFC 2131 section 4.4) as a state machine that touches nothing: time, packets and randomness come in as
/// values, and what shall happen goes out as values. `DHCPDriver` runs it on a socket.
///
/// Two things it leaves out, and why:
/// - DHCPDECLINE (section 4.4.1) needs an ARP probe for somebody else who uses the address. The runtime has one UDP socket
///   and no privilege for ARP; a conflict shows as an address that does not work, and the server's own ping check stands.
/// - DHCPRELEASE (section 4.4.6) is optional. A device that restarts wants its address back, and whoever can forge packets
///   could forge this one.
///
/// It takes the first acceptable offer rather than waiting for better ones: a home has one server.
public struct DHCPClient: Sendable {
  /// What happened.
  public enum Input: Sendable {
    case linkUp
    case linkDown
    /// The time of the last `.setTimer` has come. Early ones do no harm.
    case timer
    /// A UDP payload that came from port 67 of somebody.
    case datagram([UInt8])
    /// The lease of the last `.apply` could not be set on the interface.
    case applyFailed(reason: String)
  }

  /// What shall happen, in this order.
  public enum Output: Hashable, Sendable {
    /// Send to port 67 of that address; the broadcast address is the limited one.
    case send(DHCPMessage, to: IPv4Address)
    /// Set this on the interface in place of whatever was there; again after each renewal, with its new times.
    case apply(DHCPLease)
    /// Remove address, route and resolvers from the interface.
    case drop
    /// Replace the one timer.
    case setTimer(at_ms: UInt64)
    case clearTimer
    case log(LogLevel, String)
  }

  /// The states of RFC 2131 figure 5, and `down` for an interface without link.
  public enum State: String, Sendable, CaseIterable {
    case down = "DOWN"
    case initializing = "INIT"
    case selecting = "SELECTING"
    case requesting = "REQUESTING"
    case rebooting = "REBOOTING"
    case bound = "BOUND"
    case renewing = "RENEWING"
    case rebinding = "REBINDING"
  }

  /// 4 + 8 + 16 + 32 s: after a minute without an answer the server is gone and another may offer (section 3.1 step 5).
  static let requestAttempts = 4
  /// 4 + 8 + 16 s to confirm an old lease; then it is used on (section 3.2 step 3).
  static let rebootAttempts = 3
  /// RFC 2131 section 4.4.5: the least time between two renewals.
  static let renewalRetry_ms: UInt64 = 60_000
  /// Refused packets that are logged in one state; anyone on the link can send more.
  static let refusalsLogged = 8

  public let configuration: DHCPClientConfiguration
  public private(set) var state: State = .down
  /// What is set on the interface, whatever the state.
  public private(set) var lease: DHCPLease?

  var random: any RandomNumberGenerator & Sendable
  /// The offer that was asked for, in REQUESTING.
  var offer: DHCPLease?
  /// `xid` of the message that waits for its answer.
  var transaction: UInt32 = 0
  /// When that message was sent; a lease counts from there. In REQUESTING the first of its repetitions, elsewhere the last.
  var requestTime_ms: UInt64 = 0
  /// When the search for an address began; `secs` counts from there.
  var searchStart_ms: UInt64 = 0
  /// `secs` of the last DISCOVER, which the REQUEST repeats (section 4.4.1).
  var elapsed_s: UInt16 = 0
  private var attempt = 0
  /// NAKs and failures to apply since a lease last held until T1; they lengthen the wait before the next DISCOVER.
  private var failures = 0
  private var refusals = 0
  /// When the machine wants to be called; `UInt64.max` is never.
  private var wake_ms: UInt64 = .max
  private var armed_ms: UInt64 = .max

  /// - Parameter random: source of `xid` and jitter; unpredictable on a device, seeded in a test.
  public init(configuration: DHCPClientConfiguration, random: any RandomNumberGenerator & Sendable) {
    self.configuration = configuration
    self.random = random
  }

  /// - Parameter now_ms: milliseconds of a clock that never goes back and also counts while the machine sleeps.
  public mutating func handle(_ input: Input, now_ms: UInt64) -> [Output] {
    var outputs: [Output] = []
    if let lease, lease.end_ms <= now_ms { expire(lease, now_ms, &outputs) }
    switch input {
    case .linkUp: linkUp(now_ms, &outputs)
    case .linkDown: linkDown(&outputs)
    case .timer:
      // It fires once: what is still awaited must be set again.
      armed_ms = .max
      if now_ms >= wake_ms { wake(now_ms, &outputs) }
    case .datagram(let bytes): receive(bytes, now_ms, &outputs)
    case .applyFailed(let reason):
      guard let lease else { break }
      outputs.append(.log(.error, "\(lease.address)/\(lease.prefixLength) could not be set on the interface: \(reason)"))
      giveUp(now_ms, &outputs)
    }
    if armed_ms != wake_ms {
      armed_ms = wake_ms
      outputs.append(wake_ms == .max ? .clearTimer : .setTimer(at_ms: wake_ms))
    }
    return outputs
  }

  // MARK: Transitions

  private mutating func linkUp(_ now_ms: UInt64, _ outputs: inout [Output]) {
    guard state == .down else { return }
    searchStart_ms = now_ms
    if let lease {
      outputs.append(.log(.info, "link up: asking whether \(lease.address) is still ours"))
      enter(.rebooting)
      sendRequest(now_ms, &outputs)
    } else {
      outputs.append(.log(.info, "link up"))
      initialize(now_ms, delay_ms: random(upTo: configuration.initialDelay_ms))
    }
  }

  private mutating func linkDown(_ outputs: inout [Output]) {
    guard state != .down else { return }
    // The address stays until its lease ends: a cable that is plugged back in should break no connection.
    outputs.append(.log(.info, "link down"))
    enter(.down)
    wait(until_ms: .max)
  }

  /// INIT: waits, then discovers.
  private mutating func initialize(_ now_ms: UInt64, delay_ms: UInt64) {
    enter(.initializing)
    searchStart_ms = now_ms
    wait(until_ms: now_ms.after(milliseconds: delay_ms))
  }

  /// Drops what is set on the interface, and starts over after 1, 2, 4 … 64 s and a random part of a second.
  mutating func giveUp(_ now_ms: UInt64, _ outputs: inout [Output]) {
    if lease != nil {
      lease = nil
      outputs.append(.drop)
    }
    failures = min(failures + 1, 7)
    if state == .down {
      wait(until_ms: .max)
    } else {
      initialize(now_ms, delay_ms: 1_000 << UInt64(failures - 1) + random(upTo: 1_000))
    }
  }

  private mutating func expire(_ ended: DHCPLease, _ now_ms: UInt64, _ outputs: inout [Output]) {
    lease = nil
    outputs.append(.log(.warning, "the lease of \(ended.address) from \(ended.server) ended without renewal"))
    outputs.append(.drop)
    // The moment gives the holder time to remove the address, so that the next DISCOVER does not come from it.
    if state == .down { wait(until_ms: .max) } else { initialize(now_ms, delay_ms: 500 + random(upTo: 500)) }
  }

  /// BOUND: `new` is set on the interface.
  mutating func bind(_ new: DHCPLease, _ outputs: inout [Output]) {
    lease = new
    offer = nil
    let length = new.isInfinite ? "for ever" : "for \(new.duration_s) s, T1 \(new.renewal_s) s, T2 \(new.rebinding_s) s"
    let router = new.router.map { "router \($0)" } ?? "no router"
    outputs.append(.log(.info, "bound to \(new.address)/\(new.prefixLength) \(length), \(router), by \(new.server)"))
    outputs.append(.apply(new))
    enter(.bound)
    wait(until_ms: new.renewalTime_ms)
  }

  mutating func requestOffer(_ chosen: DHCPLease, _ now_ms: UInt64, _ outputs: inout [Output]) {
    offer = chosen
    requestTime_ms = now_ms
    enter(.requesting)
    sendRequest(now_ms, &outputs)
  }

  private mutating func wake(_ now_ms: UInt64, _ outputs: inout [Output]) {
    switch state {
    case .down: wait(until_ms: .max)
    case .initializing:
      transaction = random.next()
      enter(.selecting)
      sendDiscover(now_ms, &outputs)
    case .selecting:
      attempt += 1
      sendDiscover(now_ms, &outputs)
    case .requesting:
      attempt += 1
      if attempt < Self.requestAttempts {
        sendRequest(now_ms, &outputs)
      } else {
        outputs.append(.log(.warning, "no answer to the request for \(offer.map { "\($0.address) by \($0.server)" } ?? "an offer")"))
        initialize(now_ms, delay_ms: 0)
      }
    case .rebooting:
      attempt += 1
      if attempt < Self.rebootAttempts {
        sendRequest(now_ms, &outputs)
      } else if let lease {
        outputs.append(.log(.notice, "no server answered: \(lease.address) is used for the rest of its lease"))
        enter(.bound)
        wait(until_ms: max(lease.renewalTime_ms, now_ms))
      }
    case .bound:
      failures = 0
      searchStart_ms = now_ms
      enter(.renewing)
      renewOrRebind(now_ms, &outputs)
    case .renewing, .rebinding: renewOrRebind(now_ms, &outputs)
    }
  }

  private mutating func renewOrRebind(_ now_ms: UInt64, _ outputs: inout [Output]) {
    guard let lease else { return }
    if state == .renewing, now_ms >= lease.rebindingTime_ms {
      outputs.append(.log(.notice, "\(lease.server) does not renew \(lease.address): asking every server"))
      enter(.rebinding)
    }
    sendRequest(now_ms, &outputs)
  }

  // MARK: Sending and waiting

  private mutating func sendDiscover(_ now_ms: UInt64, _ outputs: inout [Output]) {
    elapsed_s = UInt16(clamping: now_ms.since(searchStart_ms) / 1_000)
    outputs.append(.log(.debug, "\(state.rawValue): discover \(attempt + 1)"))
    outputs.append(.send(discover(), to: .broadcast))
    wait(until_ms: now_ms.after(milliseconds: backOff_ms()))
  }

  private mutating func sendRequest(_ now_ms: UInt64, _ outputs: inout [Output]) {
    if state != .requesting {
      // A new xid each time, so that an answer tells which request it answers, and with it when its lease began.
      transaction = random.next()
      requestTime_ms = now_ms
      elapsed_s = UInt16(clamping: now_ms.since(searchStart_ms) / 1_000)
    }
    guard let (message, destination) = request() else { return }
    outputs.append(.log(.debug, "\(state.rawValue): request to \(destination)"))
    outputs.append(.send(message, to: destination))
    switch (state, lease) {
    case (.renewing, let lease?): wait(until_ms: retry(now_ms, before_ms: lease.rebindingTime_ms))
    case (.rebinding, let lease?): wait(until_ms: retry(now_ms, before_ms: lease.end_ms))
    default: wait(until_ms: now_ms.after(milliseconds: backOff_ms()))
    }
  }

  /// RFC 2131 section 4.1: 4, 8, 16, 32, 64, 64 … s, each ± 1 s.
  private mutating func backOff_ms() -> UInt64 {
    4_000 << UInt64(min(attempt, 4)) - 1_000 + random(upTo: 2_000)
  }

  /// RFC 2131 section 4.4.5: half of what is left, at least a minute, but never beyond the end.
  private func retry(_ now_ms: UInt64, before_ms end_ms: UInt64) -> UInt64 {
    min(now_ms.after(milliseconds: max(Self.renewalRetry_ms, end_ms.since(now_ms) / 2)), end_ms)
  }

  /// The end of the lease is a reason to wake in every state.
  private mutating func wait(until_ms: UInt64) { wake_ms = min(until_ms, lease?.end_ms ?? .max) }

  private mutating func enter(_ new: State) {
    state = new
    attempt = 0
    refusals = 0
  }

  private mutating func random(upTo most: UInt64) -> UInt64 {
    most == .max ? random.next() : random.next(upperBound: most + 1)
  }

  /// A line about a packet that was not taken, as long as there are not too many.
  mutating func refuse(_ reason: String, _ outputs: inout [Output]) {
    guard refusals < Self.refusalsLogged else { return }
    refusals += 1
    let last = refusals == Self.refusalsLogged ? "; further ones in this state are not logged" : ""
    outputs.append(.log(.notice, "\(state.rawValue): a packet is ignored: \(reason)\(last)"))
  }
}
