/// How long to wait before the next try: exponential with full jitter. Many devices lose their broker at the same moment; a wait that is random
/// from zero on spreads their return evenly, where a fixed part would bring them back together.
public struct Backoff: Sendable {
  /// A broker that restarts is back within seconds: the first wait is half a second on average.
  public static let base_ms: UInt64 = 1_000
  /// A broker that comes back after a long time finds its devices again within a minute, and was asked by each twice a minute until then.
  public static let maximum_ms: UInt64 = 60_000
  /// A connection that lasted one keep-alive was a working one: the next failure is a new one and starts from the beginning.
  public static let steady_ms: UInt64 = 30_000

  /// Milliseconds to wait after `failures` (1 or more) tries in a row that failed: 0…min(maximum, base · 2^(failures − 1)).
  public static func delay_ms(failures: Int, using generator: inout some RandomNumberGenerator) -> UInt64 {
    UInt64.random(in: 0...ceiling_ms(failures: failures), using: &generator)
  }

  /// The longest wait after `failures` tries in a row that failed.
  public static func ceiling_ms(failures: Int) -> UInt64 {
    // 2^16 s are beyond the maximum already: no shift further.
    min(maximum_ms, base_ms << UInt64(min(max(failures, 1) - 1, 16)))
  }
}
