import Foundations

/// Finds those who try to get in and cannot: one peer that is refused too often, or all peers together.
///
/// Anyone on the network can produce this evidence, so it decays: each bucket fills again by itself, and nothing is remembered beyond that.
/// Memory is bounded: of the peers that were refused least recently each is forgotten when there are too many, and the bucket of all
/// peers together forgets none of their refusals with them.
struct AuthenticationFailureDetector {
  private struct Peer {
    var bucket: TokenBucket
    /// Refusals since the bucket was last full.
    var refusals: UInt32 = 0
    /// Which refusal of all was its last, so that the order does not depend on a clock.
    var order: UInt64 = 0
  }

  private let limits: GuardLimits
  private var peers: [String: Peer] = [:]
  private var all: TokenBucket
  private var refusals: UInt32 = 0
  private var order: UInt64 = 0

  /// - Parameter now_ms: as in all calls, milliseconds of a time that never goes back.
  init(limits: GuardLimits, now_ms: UInt64) {
    self.limits = limits
    all = TokenBucket(burst: limits.refusalsOfAll, pause_ms: limits.forgivenOfAll_ms, now_ms: now_ms)
  }

  /// How many peers are remembered.
  var peerCount: Int { peers.count }

  /// Counts a refusal; a finding where it is one too many, for its peer or for all.
  mutating func refused(peer: String, reason: String, now_ms: UInt64) -> GuardFinding? {
    let name = name(of: peer)
    order &+= 1
    if all.isFull(now_ms: now_ms) { refusals = 0 }
    if refusals < .max { refusals += 1 }
    let allMayGo = all.take(now_ms: now_ms)

    var entry = peers[name] ?? Peer(bucket: newBucket(now_ms: now_ms))
    if entry.bucket.isFull(now_ms: now_ms) { entry.refusals = 0 }
    if entry.refusals < .max { entry.refusals += 1 }
    entry.order = order
    let peerMayGo = entry.bucket.take(now_ms: now_ms)
    remember(entry, as: name)

    let last = "the last: \(reason.prefix(31))"
    if !peerMayGo { return finding("\(name) was refused \(entry.refusals) times, \(last)") }
    if !allMayGo { return finding("\(refusals) refusals of several peers, \(last)") }
    return nil
  }

  /// Whether one more refusal of this peer would be a finding. A peer that was never refused, or was forgotten, is not over its limit.
  func isOver(_ peer: String, now_ms: UInt64) -> Bool { peers[name(of: peer)]?.bucket.isEmpty(now_ms: now_ms) ?? false }

  /// Each time before a peer is added there is room for it.
  private mutating func remember(_ entry: Peer, as name: String) {
    if peers[name] == nil, peers.count >= max(1, limits.peers), let oldest = peers.min(by: { $0.value.order < $1.value.order }) {
      peers.removeValue(forKey: oldest.key)
    }
    peers[name] = entry
  }

  private func newBucket(now_ms: UInt64) -> TokenBucket {
    TokenBucket(burst: limits.refusalsOfPeer, pause_ms: limits.forgivenOfPeer_ms, now_ms: now_ms)
  }

  private func finding(_ evidence: String) -> GuardFinding {
    GuardFinding(cause: .authenticationFailures, grade: .restricted, evidence: evidence)
  }

  /// A bounded name of a peer.
  private func name(of peer: String) -> String { String(decoding: peer.utf8.prefix(limits.peerName_bytes), as: UTF8.self) }
}
