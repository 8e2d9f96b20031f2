internal import Glibc

/// Time that never jumps: `CLOCK_BOOTTIME`, which also counts while the machine sleeps.
public enum BootClock {
  /// Microseconds since the kernel started.
  public static func now_us() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
  }

  /// Milliseconds since the kernel started.
  public static func now_ms() -> UInt64 { now_us() / 1_000 }
}

/// The time of day with a floor: a device whose battery-backed clock is missing or was set back
/// still never believes that it is earlier than when its firmware was built, or than it has already seen.
public struct WallClock: Sendable {
  /// Seconds since 1970-01-01T00:00:00Z; no time before this is ever returned.
  public let floor_s: Int64

  /// - Parameter floor_s: the build time of the firmware or the last time seen, whichever is later; seconds since 1970 UTC.
  public init(floor_s: Int64) { self.floor_s = floor_s }

  /// Seconds since 1970-01-01T00:00:00Z, never before the floor.
  public func now_s() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return max(Int64(time.tv_sec), floor_s)
  }
}
