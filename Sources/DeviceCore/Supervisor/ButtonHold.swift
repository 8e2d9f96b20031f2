/// Wiping the device by hand: the button is held, the light blinks slowly, then fast, then is steady; who lets go while it is steady wants it.
///
/// Letting go at any other time means nothing, so a button that is stuck, or something that leans on it, wipes nothing. A value: time is given to it.
struct ButtonHold: Equatable {
  /// Until here it is a press like any other, and the light is the product's.
  static let begins_us: UInt64 = 2_000_000
  static let fast_us: UInt64 = 6_000_000
  static let steady_us: UInt64 = 10_000_000
  /// Held on, it means nothing any more.
  static let over_us: UInt64 = 15_000_000
  private static let slowHalf_us: UInt64 = 500_000
  private static let fastHalf_us: UInt64 = 125_000

  private var since_us: UInt64?

  /// The button was pressed or let go; whether a wipe is wanted by it.
  mutating func take(isPressed: Bool, now_us: UInt64) -> Bool {
    guard !isPressed else {
      since_us = now_us
      return false
    }
    defer { since_us = nil }
    return isSteady(now_us: now_us)
  }

  /// Whether letting go now wipes the device.
  func isSteady(now_us: UInt64) -> Bool {
    guard let since_us else { return false }
    return (Self.steady_us..<Self.over_us).contains(elapsed_us(since: since_us, now: now_us))
  }

  /// What the light shows; nil where it is the product's.
  func light(now_us: UInt64) -> Bool? {
    guard let since_us else { return nil }
    let held_us = elapsed_us(since: since_us, now: now_us)
    switch held_us {
    case Self.begins_us..<Self.fast_us: return (held_us - Self.begins_us) / Self.slowHalf_us % 2 == 0
    case Self.fast_us..<Self.steady_us: return (held_us - Self.fast_us) / Self.fastHalf_us % 2 == 0
    case Self.steady_us..<Self.over_us: return true
    default: return nil
    }
  }

  /// How long until the light may change; nil where nothing is under way.
  func next_us(now_us: UInt64) -> UInt64? {
    guard let since_us else { return nil }
    let held_us = elapsed_us(since: since_us, now: now_us)
    switch held_us {
    case ..<Self.begins_us: return Self.begins_us - held_us
    case Self.begins_us..<Self.fast_us: return Self.slowHalf_us - (held_us - Self.begins_us) % Self.slowHalf_us
    case Self.fast_us..<Self.steady_us: return Self.fastHalf_us - (held_us - Self.fast_us) % Self.fastHalf_us
    case Self.steady_us..<Self.over_us: return Self.over_us - held_us
    default: return nil
    }
  }
}
