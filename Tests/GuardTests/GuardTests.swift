import Dispatch
import Foundations
import Testing

@testable import Guard

private func refusal(_ peer: String = "192.0.2.9", at_ms: UInt64) -> GuardSignal {
  .authenticationRefused(peer: peer, reason: "certificate-untrusted", at_ms: at_ms)
}

@Suite struct GuardTests {
  let decisions = Decisions()
  let engine: Guard

  init() { engine = Guard(respond: { [decisions] in decisions.add($0) }) }

  @Test func aPeerThatIsRefusedTooOftenRaisesToRestricted() {
    for _ in 0..<20 { engine.take(refusal(at_ms: 7_000)) }
    #expect(decisions.all.isEmpty)
    engine.take(refusal(at_ms: 7_000))
    #expect(
      decisions.all == [
        .raise(.restricted, .authenticationFailures, evidence: "192.0.2.9 was refused 21 times, the last: certificate-untrusted")
      ])
  }

  @Test func manyPeersTogetherRaiseToRestricted() {
    for peer in 0..<60 { engine.take(refusal("192.0.2.\(peer)", at_ms: 1)) }
    #expect(decisions.all.isEmpty)
    engine.take(refusal("192.0.2.60", at_ms: 1))
    #expect(
      decisions.all == [.raise(.restricted, .authenticationFailures, evidence: "61 refusals of several peers, the last: certificate-untrusted")])
  }

  @Test func aClientThatRetriesForDaysIsNoAttack() {
    for attempt in 0..<50_000 as Range<UInt64> { engine.take(refusal(at_ms: attempt * 10_000)) }
    #expect(decisions.all.isEmpty)
  }

  @Test func whileEvidenceGoesOnADecisionComesOnceASecond() {
    // 25 ms apart: 800 refusals in 20 s, of which the first second's raise no doubt.
    for attempt in 0..<800 as Range<UInt64> { engine.take(refusal(at_ms: attempt * 25)) }
    #expect((19...20).contains(decisions.count), "\(decisions.count)")
  }

  @Test func evidenceDecays() {
    for _ in 0..<500 { engine.take(refusal(at_ms: 0)) }
    #expect(decisions.count == 1)
    // All that was taken is made good after 20 times 10 s, however much was tried.
    for _ in 0..<20 { engine.take(refusal(at_ms: 200_000)) }
    #expect(decisions.count == 1)
    engine.take(refusal(at_ms: 200_000))
    #expect(decisions.count == 2)
  }

  @Test func onlyTheLoudPeerIsOverItsLimit() {
    for _ in 0..<200 { engine.take(refusal(at_ms: 0)) }
    #expect(engine.isOver("192.0.2.9", at_ms: 9_999))
    #expect(!engine.isOver("192.0.2.8", at_ms: 0))
    #expect(!engine.isOver("192.0.2.9", at_ms: 10_000))
  }

  @Test func askingRemembersNobody() {
    for peer in 0..<1_000 { #expect(!engine.isOver("\(peer)", at_ms: 0)) }
    #expect(engine.peerCount == 0)
  }

  @Test func whatComesFromOutsideCannotForgeEvidence() {
    let peer = "fe80::1%\u{1b}[2J\n" + String(repeating: "é", count: 200)
    for _ in 0..<21 { engine.take(.authenticationRefused(peer: peer, reason: "\r\n" + String(repeating: "x", count: 10_000), at_ms: 0)) }
    guard case .raise(_, _, let evidence) = decisions.all.first else { return #expect(decisions.count == 1) }
    #expect(evidence.utf8.count <= GuardDecision.evidenceMaximum_bytes)
    #expect(evidence.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(evidence)")
    #expect(evidence.hasPrefix("fe80::1%?[2J?"))
    #expect(engine.peerCount == 1)
  }

  @Test func aFindingLeadsNoFurtherThanItsCauseMay() {
    let finding = GuardFinding(cause: .authenticationFailures, grade: .locked, evidence: "e")
    #expect(GuardDecision(finding) == .raise(.restricted, .authenticationFailures, evidence: "e"))
  }

  @Test func theResponseMayGiveTheNextSignal() {
    let decisions = decisions
    let holder = Holder()
    let engine = Guard(respond: { decision in
      decisions.add(decision)
      holder.engine?.take(refusal(at_ms: 5))
    })
    holder.engine = engine
    for _ in 0..<30 { engine.take(refusal(at_ms: 5)) }
    #expect(decisions.count == 1)
    holder.engine = nil
  }

  @Test func anyThreadMayGiveSignals() {
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for attempt in 0..<500 as Range<UInt64> { engine.take(refusal("10.0.0.\(thread)", at_ms: attempt * 10)) }
    }
    // Five seconds, and what the threads' disorder may add.
    #expect((1...12).contains(decisions.count), "\(decisions.count)")
    #expect(engine.peerCount == 8)
  }
}

/// Ties an engine to its own response; only one thread uses it.
private final class Holder: @unchecked Sendable { var engine: Guard? }
