/// Microseconds from `earlier` to `now`; 0 where `earlier` is later. (A trap ends PID 1 and with it the machine: nothing here computes unchecked.)
func elapsed_us(since earlier: UInt64, now: UInt64) -> UInt64 { now > earlier ? now &- earlier : 0 }

/// `time` and `more` microseconds, at most the largest number.
func later(_ time: UInt64, by more: UInt64) -> UInt64 {
  let (sum, overflows) = time.addingReportingOverflow(more)
  return overflows ? .max : sum
}

extension UInt64 {
  /// The next number, and at the largest one itself.
  var successor: UInt64 { self == .max ? self : self &+ 1 }
}
extension UInt32 {
  var successor: UInt32 { self == .max ? self : self &+ 1 }
}
