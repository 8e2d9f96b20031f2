import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("What a runtime asks for, and what it must not do")
struct MessageTests {
  private func booted() -> Rig {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 7_000_000)
    rig.host.sent = []
    rig.journal.clear()
    return rig
  }
  private func name(_ text: String) -> ShortName { ShortName(text) ?? .unnamed }
  private func answers(_ rig: Rig) -> [SupervisorMessage] { rig.host.heard.filter { if case .answer = $0 { true } else { false } } }

  @Test("outputs are set by name; what is no output is refused; a broken line is an answer and not the end")
  func outputs() {
    let rig = booted()
    rig.host.say(.setOutput(request: 1, name: name("relay"), value: true))
    rig.host.say(.setOutput(request: 2, name: name("button"), value: true))
    rig.host.say(.setOutput(request: 3, name: name("none"), value: true))
    _ = rig.supervisor.turn()
    rig.board.fakeGpio.failsToSet = true
    rig.host.say(.setOutput(request: 4, name: name("relay"), value: false))
    _ = rig.supervisor.turn()
    #expect(
      answers(rig) == [
        .answer(request: 1, .done), .answer(request: 2, .unknownName), .answer(request: 3, .unknownName), .answer(request: 4, .failed),
      ])
    #expect(rig.journal.entries == ["set relay true"])
    #expect(rig.isAlive)
  }

  @Test("leases that make no sense are refused")
  func leases() throws {
    // Address, prefix length, router, resolvers, valid, and whether it is good.
    let cases: [(UInt32, UInt8, UInt32, [UInt32], UInt32, Bool)] = [
      (0x0a00_020f, 24, 0x0a00_0202, [0x0a00_0203], 3_600, true),
      (0x0a00_020f, 24, 0, [], .max, true),
      (0x0a00_020d, 30, 0x0a00_020e, [0x0808_0808, 0], 1, true),
      (0x0000_0001, 24, 0, [], 3_600, false),  // this network
      (0x7f00_0001, 8, 0, [], 3_600, false),  // loopback
      (0xe000_0001, 24, 0, [], 3_600, false),  // multicast
      (0xf000_0001, 24, 0, [], 3_600, false),  // reserved
      (0xffff_ffff, 24, 0, [], 3_600, false),  // broadcast
      (0x0a00_020f, 31, 0, [], 3_600, false),
      (0x0a00_020f, 32, 0, [], 3_600, false),
      (0x0a00_020f, 0, 0, [], 3_600, false),
      (0x0a00_020f, 7, 0, [], 3_600, false),
      (0x0a00_0200, 24, 0, [], 3_600, false),  // the network itself
      (0x0a00_02ff, 24, 0, [], 3_600, false),  // its broadcast address
      (0x0a00_020f, 24, 0x0a00_0302, [], 3_600, false),  // a router elsewhere
      (0x0a00_020f, 24, 0x0a00_020f, [], 3_600, false),  // a router that is itself
      (0x0a00_020f, 24, 0x0a00_02ff, [], 3_600, false),
      (0x0a00_020f, 24, 0, [0x7f00_0001], 3_600, false),
      (0x0a00_020f, 24, 0, [0xe000_00fb], 3_600, false),
      (0x0a00_020f, 24, 0, [], 0, false),
    ]
    for (number, (address, length, router, resolvers, valid_s, isGood)) in cases.enumerated() {
      let rig = booted()
      let prefix = try #require(IPv4Prefix(address: address, prefixLength: length))
      let lease = NetworkLease(prefix: prefix, router: router, resolvers: resolvers, valid_s: valid_s)
      rig.host.say(.applyLease(request: UInt32(number), lease))
      _ = rig.supervisor.turn()
      #expect(answers(rig) == [.answer(request: UInt32(number), isGood ? .done : .refused)], "case \(number)")
      #expect(rig.journal.entries.isEmpty == !isGood, "case \(number)")
    }
  }

  @Test("an address is given up when its lease ends, also where no runtime is left to do it")
  func leaseEnds() throws {
    let rig = booted()
    let prefix = try #require(IPv4Prefix(address: 0x0a00_020f, prefixLength: 24))
    rig.host.say(.applyLease(request: 1, NetworkLease(prefix: prefix, router: 0, resolvers: [], valid_s: 60)))
    rig.run(for: 50_000_000)
    #expect(!rig.journal.entries.contains("no address"))
    rig.run(for: 11_000_000)
    #expect(rig.journal.entries.contains("no address"))
  }

  @Test("host names are labels")
  func hostNames() {
    let rig = booted()
    for (number, text) in ["haechi-0123", "-a", "a-", "a.b", "a_b", "A9"].enumerated() {
      rig.host.say(.setHostName(request: UInt32(number), name(text)))
    }
    _ = rig.supervisor.turn()
    let outcomes = answers(rig).map { if case .answer(_, let outcome) = $0 { outcome } else { RequestOutcome.failed } }
    #expect(outcomes == [.done, .refused, .refused, .refused, .refused, .done])
    #expect(rig.journal.entries == ["host name haechi-0123", "host name A9"])
  }

  @Test("an input's change is told")
  func inputs() {
    let rig = booted()
    rig.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: 42)]
    rig.board.fakeNetwork.isUp = false
    _ = rig.supervisor.turn()
    #expect(rig.host.heard.contains(.input(name: name("button"), value: true, at_us: 42)))
    #expect(rig.host.heard.contains(.link(up: false)))
  }

  @Test("a board part that fails at every call is asked once a second and ends nothing")
  func brokenParts() {
    let rig = booted()
    rig.board.fakeGpio.failsToTakeEvents = true
    rig.board.fakeNetwork.fails = true
    #expect(rig.run(for: 20_000_000) == .goOn)
    #expect(rig.supervisor.startCount == 1)
    let complaints = rig.board.fakeConsole.lines.filter { $0.contains("inputs: ") }
    #expect((10...21).contains(complaints.count))
  }

  @Test(
    "packets that are refused end the runtime, outputs safe first",
    arguments: ["garbage", "short", "oversized", "reflected", "repeated heartbeat", "ready twice"])
  func violations(kind: String) {
    let rig = booted()
    switch kind {
    case "garbage": rig.host.inbox.append(.packet([UInt8](repeating: 0xa5, count: SupervisorPacket.size)))
    case "short": rig.host.inbox.append(.packet(Array(SupervisorPacket.encode(.ready).prefix(100))))
    case "oversized": rig.host.inbox.append(.packet(SupervisorPacket.encode(.heartbeat(1_000)) + [0]))
    case "reflected": rig.host.inbox.append(.packet(SupervisorPacket.encode(.phasesComplete)))
    case "repeated heartbeat": rig.host.say(.heartbeat(1))
    default: rig.host.say(.ready)
    }
    _ = rig.supervisor.turn()
    #expect(rig.journal.entries.prefix(2) == ["safe", "kill"])
    #expect(rig.supervisor.guardState.cause == .linkViolation)
    rig.turn { rig.isAlive && !rig.host.heard.isEmpty }
    #expect(rig.host.heard.first == .started(count: 2, cause: .violation))
  }

  @Test("a flood ends the runtime; a busy start does not")
  func flood() {
    let rig = booted()
    for _ in 0..<400 { rig.host.say(.log(level: .info, source: name("api"), text: "busy")) }
    rig.turn { rig.host.inbox.isEmpty }
    #expect(rig.isAlive)
    // A second refills 256; more than what is left of the burst follows.
    for _ in 0..<1_000 { rig.host.say(.log(level: .info, source: name("api"), text: "flood")) }
    rig.turn { rig.journal.entries.contains("kill") }
    #expect(rig.journal.entries.prefix(2) == ["safe", "kill"])
  }

  @Test("one that does not read is killed, and never makes the supervisor wait")
  func doesNotRead() {
    let rig = booted()
    rig.host.room = 0
    var number: UInt32 = 0
    rig.turn {
      number += 1
      rig.host.say(.dropLease(request: number))
      return rig.journal.entries.contains("kill")
    }
    #expect(rig.journal.entries.suffix(2) == ["safe", "kill"])
    #expect(rig.supervisor.outgoing.count <= SupervisorLimits().outgoingPackets)
  }

  @Test("what a runtime writes cannot steer a terminal")
  func console() {
    let rig = booted()
    rig.host.say(.log(level: .info, source: name("api"), text: "\u{1b}[2Jhello\r\n\u{9b}1m"))
    _ = rig.supervisor.turn()
    #expect(rig.board.fakeConsole.lines.last?.hasSuffix("info api: ?[2Jhello???1m") == true)
  }
}
