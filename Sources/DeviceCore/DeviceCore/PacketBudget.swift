/// How many packets may go to the supervisor: it ends a runtime that floods it (256 a second, 512 at once), and what makes packets here are,
/// in the end, requests of people. Half of that is left alone for what was not counted.
struct PacketBudget: Sendable {
  static let perSecond: Double = 128
  static let burst: Double = 128
  /// Log lines leave this much to requests: a full console must never keep an actuator from being set.
  static let reserve: Double = 64

  private var tokens = Self.burst
  private var last_ms: UInt64

  init(now_ms: UInt64) { last_ms = now_ms }

  /// Takes one packet's worth, leaving `reserve`; false where there is none.
  mutating func take(leaving reserve: Double = 0, now_ms: UInt64) -> Bool {
    if now_ms > last_ms {
      tokens = min(Self.burst, tokens + Double(now_ms - last_ms) / 1_000 * Self.perSecond)
      last_ms = now_ms
    }
    guard tokens - reserve >= 1 else { return false }
    tokens -= 1
    return true
  }
}
