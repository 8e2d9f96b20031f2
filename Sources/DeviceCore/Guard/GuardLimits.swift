/// Every number of the guard, with its reason.
public struct GuardLimits: Sendable, Equatable {
  /// Refusals of one peer at once that are still no finding. A person with a wrong or expired certificate who tries again and again, or a
  /// browser that opens six connections three times, stays below; a scanner that tries ciphers or certificates does not.
  public var refusalsOfPeer: UInt32 = 20
  /// One more refusal of a peer is forgiven after this long: a forgotten client that retries every 10 s for days is a nuisance and no attack.
  public var forgivenOfPeer_ms: UInt32 = 10_000

  /// Refusals of all peers together at once that are still no finding: three peers at their own limit. This is what an attacker with many
  /// addresses meets.
  public var refusalsOfAll: UInt32 = 60
  /// One more refusal of any peer is forgiven after this long. A handshake costs a small core some 10 ms: one a second is 1 % of it.
  public var forgivenOfAll_ms: UInt32 = 1_000

  /// Peers that are remembered, the least recently refused forgotten first: about 40 KB at the most. A house has fewer hosts; an attacker may
  /// have more addresses, and meets the limit of all together.
  public var peers = 256
  /// Bytes of a peer's address that are kept: the longest IPv6 address has 45, and 15 more are an interface's name after `%`.
  public var peerName_bytes = 61

  /// The same cause leads to a decision no more often than this, so that neither the supervisor's link nor the log is flooded. It is far
  /// below the minute after which the grade would end, so that a lasting attack renews it.
  public var pause_ms: UInt32 = 1_000

  public init() {}
}
