import Testing

@testable import CloudLink

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

@Suite("Waiting between tries") struct BackoffTests {
  @Test("the longest wait doubles from a second to a minute, and never overflows") func ceiling() {
    #expect((1...8).map { Backoff.ceiling_ms(failures: $0) } == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    #expect([Int.min, -1, 0].allSatisfy { Backoff.ceiling_ms(failures: $0) == 1_000 })
    #expect([17, 63, 64, 65, Int.max].allSatisfy { Backoff.ceiling_ms(failures: $0) == 60_000 })
  }

  @Test("waits lie anywhere from zero to the longest, evenly", arguments: 1...8) func jitter(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    for failures in 1...40 {
      let ceiling = Backoff.ceiling_ms(failures: failures)
      let delays = (0..<2_000).map { _ in Backoff.delay_ms(failures: failures, using: &random) }
      #expect(delays.allSatisfy { $0 <= ceiling })
      // Each tenth gets its share of 200; five standard deviations (13.4 each) leave no room for chance.
      let tenths = Dictionary(grouping: delays) { min($0 * 10 / ceiling, 9) }
      #expect(tenths.count == 10 && tenths.values.allSatisfy { (130...270).contains($0.count) }, "failures \(failures)")
    }
  }
}
