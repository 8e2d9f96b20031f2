import Foundations

/// Lets one decision of each cause through in each pause.
struct DecisionPace {
  private let pause_ms: UInt64
  /// At most one for each cause, which are a closed set.
  private var last_ms: [GradeCause: UInt64] = [:]

  init(pause_ms: UInt32) { self.pause_ms = UInt64(pause_ms) }

  /// Whether a decision of this cause may go out now, which it then does.
  ///
  /// - Parameter now_ms: milliseconds of a time that never goes back.
  mutating func allows(_ cause: GradeCause, now_ms: UInt64) -> Bool {
    if let last_ms = last_ms[cause], now_ms < last_ms || now_ms - last_ms < pause_ms { return false }
    last_ms[cause] = now_ms
    return true
  }
}
