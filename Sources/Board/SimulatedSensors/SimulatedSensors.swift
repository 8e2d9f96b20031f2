public import BoardAPI
internal import Foundations

/// A climate that follows the sun: a daily curve of temperature, humidity that mirrors it, and a little noise.
///
/// Everything is computed from the time and a seed, so two runs with the same seed and the same clock read the same values,
/// and no state is kept. Each measurement is marked as simulated.
public struct SimulatedClimate: Sensors {
  /// What makes this climate differ from another's.
  public let seed: UInt64
  /// Seconds since 1970-01-01T00:00:00Z.
  private let now_s: @Sendable () -> Double

  /// - Parameters:
  ///   - seed: any number; the same seed gives the same climate.
  ///   - now_s: the time in seconds since 1970 UTC.
  public init(seed: UInt64, now_s: @escaping @Sendable () -> Double) {
    self.seed = seed
    self.now_s = now_s
  }

  /// A climate on this machine's own clock.
  public init(seed: UInt64) {
    // No floor: a simulated climate has no reason to distrust the clock.
    self.init(seed: seed) { Double(WallClock(floor_s: 0).now_s()) }
  }

  public var quantities: [Quantity] { Quantity.allCases }

  public func measure(_ quantity: Quantity) async throws -> Measurement {
    Measurement(quantity: quantity, value: value(of: quantity, at_s: now_s()), isSimulated: true)
  }

  /// The value in the unit of `quantity`, at `at_s` seconds since 1970 UTC; rounded to what such a sensor resolves.
  func value(of quantity: Quantity, at_s: Double) -> Double {
    // The warmest moment of a room's day is about 15:00; `warmth` runs from -1 (03:00) to 1 (15:00).
    let dayFraction = (at_s / Self.day_s).truncatingRemainder(dividingBy: 1)
    let warmth = Self.cosine(ofTurns: dayFraction - 15.0 / 24)
    switch quantity {
    case .temperature_C:
      // 21.5 °C in the mean, 2.5 °C up and down, ±0.15 °C of noise: a heated room. 0.01 °C is the usual resolution.
      return Self.rounded(21.5 + 2.5 * warmth + 0.15 * noise(salt: 1, at_s: at_s), steps: 100)
    case .humidity_percent:
      // The same water in warmer air is less relative humidity. 45 % ± 8 %, ±0.5 % of noise; 0.1 % is the usual resolution.
      let humidity = 45 - 8 * warmth + 0.5 * noise(salt: 2, at_s: at_s)
      return Self.rounded(min(max(humidity, 0), 100), steps: 10)
    }
  }

  private static let day_s = 86_400.0

  private static func rounded(_ value: Double, steps: Double) -> Double { (value * steps).rounded() / steps }

  /// -1…1, smooth: random values a minute apart, joined by straight lines.
  private func noise(salt: UInt64, at_s: Double) -> Double {
    let minute = (at_s / 60).rounded(.down)
    let fraction = at_s / 60 - minute
    // Bounded before it becomes an integer: a clock that lies must not trap.
    let index = UInt64(min(max(minute, 0), 1e15))
    let before = randomUnit(salt: salt, index: index)
    let after = randomUnit(salt: salt, index: index + 1)
    return before + (after - before) * min(max(fraction, 0), 1)
  }

  /// -1…1 for each index: the finaliser of SplitMix64, which spreads each input bit over all output bits.
  private func randomUnit(salt: UInt64, index: UInt64) -> Double {
    var z = seed &+ salt &* 0x9e37_79b9_7f4a_7c15 &+ index &* 0xd1b5_4a32_d192_ed03
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    z ^= z >> 31
    return Double(z >> 11) / Double(UInt64(1) << 52) - 1
  }

  /// The cosine of an angle given in turns, to 2e-3: enough for a climate, and no mathematics library to link.
  static func cosine(ofTurns turns: Double) -> Double {
    // Folded to 0…0.5 turn by symmetry; then Bhaskara's rational approximation on a quarter turn.
    var x = turns - turns.rounded(.down)
    if x > 0.5 { x = 1 - x }
    let sign = x > 0.25 ? -1.0 : 1.0
    if x > 0.25 { x = 0.5 - x }
    let square = 4 * x * x
    return sign * (1 - 4 * square) / (1 + square)
  }
}
