/// Counts what may happen now and then and not often: so many at once, and one more after each pause.
///
/// Credit is counted in milliseconds, so nothing is lost to rounding, and it is never negative: however much is taken, the bucket is as
/// good as new after `burst` pauses.
struct TokenBucket: Equatable {
  /// What one costs, milliseconds; at least 1.
  private let pause_ms: UInt64
  /// At most 2^64 - 2^33 + 1, as the product of two 32-bit numbers.
  private let full_ms: UInt64
  private var credit_ms: UInt64
  private var counted_ms: UInt64

  init(burst: UInt32, pause_ms: UInt32, now_ms: UInt64) {
    self.pause_ms = UInt64(max(1, pause_ms))
    full_ms = UInt64(burst) * self.pause_ms
    credit_ms = full_ms
    counted_ms = now_ms
  }

  /// Takes one; false where there is none.
  mutating func take(now_ms: UInt64) -> Bool {
    credit_ms = credit(now_ms: now_ms)
    counted_ms = max(counted_ms, now_ms)
    guard credit_ms >= pause_ms else { return false }
    credit_ms -= pause_ms
    return true
  }

  /// Whether there is none to take.
  func isEmpty(now_ms: UInt64) -> Bool { credit(now_ms: now_ms) < pause_ms }

  /// Whether nothing was taken that is not made good.
  func isFull(now_ms: UInt64) -> Bool { credit(now_ms: now_ms) == full_ms }

  private func credit(now_ms: UInt64) -> UInt64 {
    let elapsed_ms = now_ms > counted_ms ? now_ms - counted_ms : 0
    return elapsed_ms < full_ms - credit_ms ? credit_ms + elapsed_ms : full_ms
  }
}
