/// How long the next proof of the label must wait, after wrong ones. A value: time is given to it.
///
/// The code has 128 random bits, so no number of tries finds it: what this bounds is the work and the noise that a stranger can make, and what a
/// flaw elsewhere could be worth.
struct LockOut: Equatable, Sendable {
  /// After the first wrong proof; doubled with each that follows.
  static let firstWait_ms: UInt64 = 1_000
  static let longestWait_ms: UInt64 = 64_000
  /// So many wrong proofs are no typing errors any more.
  static let lockedAfter = 10
  /// Of running time. Only time ends it: a way around would be a way for whoever is locked out, too.
  static let lock_ms: UInt64 = 3_600_000

  /// Wrong proofs since the last right one.
  private(set) var failures = 0
  /// When the next proof is looked at, in milliseconds of the clock that never goes back.
  private(set) var opens_ms: UInt64 = 0

  init() {}

  /// As it was stored: what was left to wait then is left now, so that switching the device off and on gains nothing.
  init(_ stored: StoredLockOut, now_ms: UInt64) {
    failures = max(0, min(stored.failures, Int(Int32.max)))
    opens_ms = now_ms &+ min(stored.waitMilliseconds, Self.lock_ms)
  }

  var isLocked: Bool { failures >= Self.lockedAfter }

  func wait_ms(now_ms: UInt64) -> UInt64 { opens_ms > now_ms ? opens_ms - now_ms : 0 }

  /// One more wrong proof.
  mutating func count(now_ms: UInt64) {
    failures = min(failures + 1, Int(Int32.max))
    let wait_ms = isLocked ? Self.lock_ms : min(Self.longestWait_ms, Self.firstWait_ms << UInt64(min(failures - 1, 16)))
    opens_ms = now_ms &+ wait_ms
  }

  func stored(now_ms: UInt64) -> StoredLockOut { StoredLockOut(failures: failures, waitMilliseconds: wait_ms(now_ms: now_ms)) }
}
