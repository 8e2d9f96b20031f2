import Foundations
import Testing

@testable import Guard

/// What must hold for every sequence of signals.
@Suite struct GuardPropertyTests {
  /// A flood of invented peers fills no memory, and the limit of all together does not forget it.
  @Test(arguments: 0..<20 as Range<UInt64>) func inventedPeersAreBoundedAndCounted(_ seed: UInt64) {
    var random = SeededRandom(seed)
    let limits = GuardLimits()
    var detector = AuthenticationFailureDetector(limits: limits, now_ms: 0)
    var now_ms: UInt64 = 0
    var passed: UInt64 = 0
    for attempt in 0..<3_000 {
      now_ms += UInt64.random(in: 0...40, using: &random)
      if detector.refused(peer: "peer-\(attempt)", reason: "r", now_ms: now_ms) == nil { passed += 1 }
      #expect(detector.peerCount <= limits.peers)
      // No more pass without a finding than the burst and what time has forgiven since.
      #expect(passed <= UInt64(limits.refusalsOfAll) + now_ms / UInt64(limits.forgivenOfAll_ms))
    }
    #expect(detector.peerCount == limits.peers)
  }

  /// The peers that were refused most recently are those that are remembered.
  @Test(arguments: 0..<10 as Range<UInt64>) func theLeastRecentlySeenIsForgotten(_ seed: UInt64) {
    var random = SeededRandom(seed)
    var limits = GuardLimits()
    limits.peers = Int.random(in: 1...8, using: &random)
    limits.refusalsOfPeer = 1
    var detector = AuthenticationFailureDetector(limits: limits, now_ms: 0)
    var recent: [String] = []
    for _ in 0..<400 {
      let peer = "\(Int.random(in: 0..<16, using: &random))"
      _ = detector.refused(peer: peer, reason: "r", now_ms: 0)
      recent.removeAll { $0 == peer }
      recent.append(peer)
      if recent.count > limits.peers { recent.removeFirst() }
      for number in 0..<16 { #expect(detector.isOver("\(number)", now_ms: 0) == recent.contains("\(number)")) }
    }
  }

  /// Clocks that stand, run back, leap and overflow: nothing traps, decisions stay rare, and quiet heals everything.
  @Test(arguments: 0..<40 as Range<UInt64>) func anyClockIsSurvived(_ seed: UInt64) {
    var random = SeededRandom(seed)
    let decisions = Decisions()
    let engine = Guard(respond: { decisions.add($0) })
    var now_ms = UInt64.random(in: 0...UInt64.max, using: &random)
    var forwards_ms: UInt64 = 0
    for _ in 0..<2_000 {
      let before_ms = now_ms
      switch Int.random(in: 0..<12, using: &random) {
      case 0: now_ms = UInt64.random(in: 0...UInt64.max, using: &random)
      case 1: now_ms = .max
      case 2: now_ms = 0
      case 3, 4: now_ms &-= UInt64.random(in: 0...4_000, using: &random)
      default: now_ms &+= UInt64.random(in: 0...100, using: &random)
      }
      if now_ms > before_ms { forwards_ms += min(now_ms - before_ms, SteadyTime.longestStep_ms) }
      engine.take(.authenticationRefused(peer: "\(Int.random(in: 0..<300, using: &random))", reason: "r", at_ms: now_ms))
      #expect(engine.peerCount <= GuardLimits().peers)
    }
    #expect(UInt64(decisions.count) <= forwards_ms / 1_000 + 1)

    // Whatever was before: after the longest decay the guard is as new.
    let quiet_ms = 200_000 + SteadyTime.disorder_ms
    now_ms = now_ms > .max - quiet_ms ? 1_000_000 : now_ms
    _ = engine.isOver("any", at_ms: now_ms)
    now_ms += quiet_ms
    for peer in 0..<300 { #expect(!engine.isOver("\(peer)", at_ms: now_ms)) }
    let before = decisions.count
    for _ in 0..<20 { engine.take(.authenticationRefused(peer: "new", reason: "r", at_ms: now_ms)) }
    #expect(decisions.count == before)
  }

  /// A bucket gives its burst and one more each pause, never more, and never less after a pause.
  @Test(arguments: 0..<40 as Range<UInt64>) func aBucketKeepsItsPromise(_ seed: UInt64) {
    var random = SeededRandom(seed)
    let burst = UInt32.random(in: 0...50, using: &random)
    let pause_ms = UInt32.random(in: 1...20_000, using: &random)
    var bucket = TokenBucket(burst: burst, pause_ms: pause_ms, now_ms: 0)
    var now_ms: UInt64 = 0
    var taken: UInt64 = 0
    for _ in 0..<500 {
      now_ms += UInt64.random(in: 0...UInt64(pause_ms), using: &random)
      let isEmpty = bucket.isEmpty(now_ms: now_ms)
      let gave = bucket.take(now_ms: now_ms)
      #expect(gave != isEmpty)
      if gave { taken += 1 }
      #expect(taken <= UInt64(burst) + now_ms / UInt64(pause_ms))
    }
    let later_ms = now_ms + UInt64(pause_ms)
    #expect(bucket.isEmpty(now_ms: later_ms) == (burst == 0))
    #expect(bucket.isFull(now_ms: .max))
  }

  @Test func theExtremesOfTheLimitsDoNotTrap() {
    var bucket = TokenBucket(burst: .max, pause_ms: .max, now_ms: .max)
    for now_ms in [0, .max, 0] as [UInt64] {
      let gave = bucket.take(now_ms: now_ms)
      #expect(gave && !bucket.isEmpty(now_ms: now_ms))
    }
    var none = TokenBucket(burst: 0, pause_ms: 0, now_ms: 0)
    let gave = none.take(now_ms: .max)
    #expect(!gave)
    var limits = GuardLimits()
    limits.peers = 0
    limits.peerName_bytes = 0
    var detector = AuthenticationFailureDetector(limits: limits, now_ms: .max)
    let finding = detector.refused(peer: "x", reason: "", now_ms: 0)
    #expect(finding == nil && detector.peerCount == 1)
  }
}

@Suite struct SteadyTimeTests {
  @Test func itGrowsWithTheClockAndNeverGoesBack() {
    var time = SteadyTime()
    // The third comes from a thread that is out of order: no time is counted twice.
    let grown = [1_000, 1_250, 1_100, 1_260].map { time.at($0) }
    #expect(grown == [0, 250, 250, 260])
  }

  @Test func aClockThatWasSetBackIsFollowed() {
    var time = SteadyTime()
    let grown = [.max, 5, 1_005].map { time.at($0) }
    #expect(grown == [0, 0, 1_000])
  }

  @Test func aLeapCountsAsADay() {
    var time = SteadyTime()
    let grown = [0, .max].map { time.at($0) }
    #expect(grown == [0, SteadyTime.longestStep_ms])
  }
}
