/// A time that only grows, made of the times that signals carry.
///
/// Threads that read the clock and then wait for each other hand over times out of order, and a clock may be wrong once. Neither may let
/// evidence decay faster than it should, or make it stay.
struct SteadyTime: Equatable {
  /// Threads differ by no more than this; a larger step back is another clock, which is followed from there.
  static let disorder_ms: UInt64 = 5_000
  /// A larger step forwards counts as this much. A day forgives any evidence, and no sum of such steps comes near the end of the count.
  static let longestStep_ms: UInt64 = 86_400_000

  private var last_ms: UInt64?
  private var grown_ms: UInt64 = 0

  /// The steady time at `now_ms`, milliseconds.
  mutating func at(_ now_ms: UInt64) -> UInt64 {
    guard let last_ms else {
      self.last_ms = now_ms
      return grown_ms
    }
    if now_ms > last_ms {
      let (sum, isTooMuch) = grown_ms.addingReportingOverflow(min(now_ms - last_ms, Self.longestStep_ms))
      grown_ms = isTooMuch ? .max : sum
      self.last_ms = now_ms
    } else if last_ms - now_ms > Self.disorder_ms {
      self.last_ms = now_ms
    }
    return grown_ms
  }
}
