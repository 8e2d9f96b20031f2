/// Bounds how many packets a runtime sends: a burst, and so many a second after it (a token bucket).
struct PacketRate {
  private let burst: UInt64
  private let perSecond: UInt64
  /// Millionths of a packet, so that a slow refill loses nothing to rounding.
  private var credit: UInt64
  private var counted_us: UInt64

  init(burst: UInt64, perSecond: UInt64, now_us: UInt64) {
    self.burst = min(burst, 1_000_000)
    self.perSecond = min(perSecond, 1_000_000)
    credit = self.burst &* 1_000_000
    counted_us = now_us
  }

  /// Counts one packet; false where it is one too many.
  mutating func take(now_us: UInt64) -> Bool {
    // A minute refills any burst that is worth the name; the cap keeps the product small.
    let elapsed = min(elapsed_us(since: counted_us, now: now_us), 60_000_000)
    credit = min(burst &* 1_000_000, credit &+ elapsed &* perSecond)
    counted_us = now_us
    guard credit >= 1_000_000 else { return false }
    credit = credit &- 1_000_000
    return true
  }
}
