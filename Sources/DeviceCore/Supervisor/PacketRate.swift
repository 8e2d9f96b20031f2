/// Bounds how often a runtime does something: a burst, and so many a second after it, or one in so many seconds (a token bucket).
struct PacketRate {
  private let burst: UInt64
  /// Millionths of a packet in a microsecond.
  private let refill: UInt64
  /// Microseconds for one `refill`.
  private let divisor: UInt64
  /// Millionths of a packet, so that a slow refill loses nothing to rounding.
  private var credit: UInt64
  private var counted_us: UInt64

  init(burst: UInt64, perSecond: UInt64, now_us: UInt64) {
    self.init(burst: burst, refill: min(perSecond, 1_000_000), divisor: 1, now_us: now_us)
  }

  init(burst: UInt64, interval_s: UInt64, now_us: UInt64) {
    self.init(burst: burst, refill: 1, divisor: max(interval_s, 1), now_us: now_us)
  }

  private init(burst: UInt64, refill: UInt64, divisor: UInt64, now_us: UInt64) {
    self.burst = min(burst, 1_000_000)
    self.refill = refill
    self.divisor = divisor
    credit = self.burst &* 1_000_000
    counted_us = now_us
  }

  /// Counts one packet; false where it is one too many.
  mutating func take(now_us: UInt64) -> Bool {
    // A minute refills any burst that is worth the name; the cap keeps the product small.
    let elapsed = min(elapsed_us(since: counted_us, now: now_us), 60_000_000)
    credit = min(burst &* 1_000_000, credit &+ elapsed &* refill / divisor)
    counted_us = now_us
    guard credit >= 1_000_000 else { return false }
    credit = credit &- 1_000_000
    return true
  }
}
