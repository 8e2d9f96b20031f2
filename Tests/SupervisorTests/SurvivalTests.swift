import BoardAPI
import SupervisorLink
import Testing

@testable import Supervisor

/// A seeded generator (SplitMix64, Steele et al. 2014), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// PID 1 survives anything the runtime does: a trap here would end this test's process.
@Suite("The supervisor survives")
struct SurvivalTests {
  @Test("garbage, floods, half packets, closed links, every signal, failing parts", arguments: 1...20 as ClosedRange<UInt64>)
  func anything(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var limits = SupervisorLimits()
    // The ceiling has its own tests; here the loop shall go on.
    limits.ceiling = .max
    let rig = Rig(limits: limits)
    _ = rig.supervisor.boot()
    for _ in 0..<500 {
      misbehave(rig, &generator)
      let verdict = rig.supervisor.turn()
      if case .alive = rig.supervisor.state {
      } else {
        #expect(rig.board.fakeGpio.areOutputsSafe, "seed \(seed): no runtime, and outputs are not safe")
      }
      #expect(rig.supervisor.outgoing.count <= limits.outgoingPackets)
      // The one thing that may restart the machine here.
      if case .restart(let reason) = verdict { #expect(reason.contains("outlives SIGKILL")) }
    }
    // And it still does its work.
    rig.host.isHealthy = true
    rig.host.survivesKill = false
    rig.host.startFails = false
    rig.host.room = .max
    rig.board.fakeGpio.failsToTakeEvents = false
    rig.host.crash()
    rig.turn { rig.isAlive && rig.supervisor.policy.unsettledEnds == 0 }
    #expect(rig.isAlive)
  }

  private func misbehave(_ rig: Rig, _ generator: inout SeededGenerator) {
    let host = rig.host
    switch Int.random(in: 0..<14, using: &generator) {
    case 0:
      let count = Int.random(in: 1...300, using: &generator)
      host.inbox.append(.packet((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }))
    case 1:
      var packet = SupervisorPacket.encode(.heartbeat(UInt64.random(in: 0 ... .max, using: &generator)))
      packet[Int.random(in: packet.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      host.inbox.append(.packet(packet))
    case 2: for _ in 0..<Int.random(in: 1...800, using: &generator) { host.say(.dropLease(request: 1)) }
    case 3: host.inbox.append(.closed)
    case 4: host.crash(.killed(signal: Int32.random(in: 1...64, using: &generator)))
    case 5: host.crash(.exited(code: Int32.random(in: 0...255, using: &generator)))
    case 6: host.isHealthy.toggle()
    case 7: host.room = Bool.random(using: &generator) ? 0 : Int.random(in: 0...500, using: &generator)
    case 8: host.endedChildren.append(EndedChild(process: Int32.random(in: .min ... .max, using: &generator), end: .exited(code: 0)))
    case 9: host.startFails = Int.random(in: 0..<4, using: &generator) == 0
    case 10: host.now = Bool.random(using: &generator) ? host.now + UInt64.random(in: 0...100_000_000, using: &generator) : host.now
    case 11:
      if let relay = ShortName("relay") { host.say(.setOutput(request: .max, name: relay, value: .random(using: &generator))) }
      if let prefix = IPv4Prefix(address: UInt32.random(in: 0 ... .max, using: &generator), prefixLength: UInt8.random(in: 0...32, using: &generator)) {
        host.say(.applyLease(request: 0, NetworkLease(prefix: prefix, router: .max, resolvers: [.max], valid_s: .max)))
      }
    case 12:
      rig.board.fakeGpio.failsToSet.toggle()
      rig.board.fakeGpio.failsToTakeEvents.toggle()
      rig.board.fakeNetwork.fails.toggle()
    default:
      host.survivesKill = Int.random(in: 0..<8, using: &generator) == 0
      host.inbox.append(.packet([]))
    }
  }

  @Test("the clock at its ends does not trap")
  func extremeTimes() {
    let rig = Rig()
    rig.host.now = 0
    _ = rig.supervisor.boot()
    _ = rig.supervisor.turn()
    #expect(later(.max, by: 1) == .max)
    #expect(elapsed_us(since: .max, now: 0) == 0)
    var rate = PacketRate(burst: .max, perSecond: .max, now_us: 0)
    let isTaken = rate.take(now_us: .max)
    #expect(isTaken)
  }
}
