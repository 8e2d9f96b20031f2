/// What a server gave, judged and made plain: everything in it may be set on the interface as it stands.
public struct DHCPLease: Hashable, Sendable {
  public let address: IPv4Address
  /// 8…30: see `DHCPLeasePolicy`.
  public let prefixLength: UInt8
  /// The default router; on the link of `address`, or nil.
  public let router: IPv4Address?
  public let resolvers: ResolverConfiguration
  /// The server that leased it (option 54).
  public let server: IPv4Address
  /// Seconds that the lease lasts from `start_ms`; `UInt32.max` is for ever (RFC 2131 section 3.3).
  public let duration_s: UInt32
  /// T1: seconds from `start_ms` until the lease is renewed with its server.
  public let renewal_s: UInt32
  /// T2: seconds from `start_ms` until any server is asked.
  public let rebinding_s: UInt32
  /// When the request was sent that this lease answers (RFC 2131 section 4.4.1), in milliseconds of the clock that the client is fed.
  public let start_ms: UInt64

  /// Whether it never ends.
  public var isInfinite: Bool { duration_s == .max }

  /// When it ends, in milliseconds of the same clock; `UInt64.max` for never.
  public var end_ms: UInt64 { isInfinite ? .max : start_ms.after(seconds: duration_s) }
  /// When to renew; `UInt64.max` for never.
  public var renewalTime_ms: UInt64 { isInfinite ? .max : start_ms.after(seconds: renewal_s) }
  /// When to rebind; `UInt64.max` for never.
  public var rebindingTime_ms: UInt64 { isInfinite ? .max : start_ms.after(seconds: rebinding_s) }

  /// Whole seconds that are left at `now_ms`: 0 when it has ended, `UInt32.max` for ever. What the kernel is told (`IFA_CACHEINFO`).
  public func remaining_s(now_ms: UInt64) -> UInt32 {
    if isInfinite { return .max }
    guard end_ms > now_ms else { return 0 }
    return UInt32(clamping: (end_ms - now_ms) / 1_000)
  }
}

extension UInt64 {
  /// This time in milliseconds and so many seconds; stops at the largest number, which counts as never.
  func after(seconds: UInt32) -> UInt64 { after(milliseconds: UInt64(seconds) * 1_000) }

  func after(milliseconds: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(milliseconds)
    return overflow ? .max : sum
  }

  /// How long after `earlier`; 0 where it is not.
  func since(_ earlier: UInt64) -> UInt64 { self > earlier ? self - earlier : 0 }
}
