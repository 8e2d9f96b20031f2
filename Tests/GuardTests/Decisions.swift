import Guard
import NIOConcurrencyHelpers

/// Keeps what a guard decided.
final class Decisions: Sendable {
  private let box = NIOLockedValueBox<[GuardDecision]>([])
  var all: [GuardDecision] { box.withLockedValue { $0 } }
  var count: Int { all.count }
  func add(_ decision: GuardDecision) { box.withLockedValue { $0.append(decision) } }
}

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
