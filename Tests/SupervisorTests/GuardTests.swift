import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("The grade is the supervisor's")
struct GuardTests {
  private let rig: Rig

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private var grade: Grade { rig.supervisor.guardState.grade }
  private var grades: [GradeReport] { rig.host.heard.compactMap { if case .grade(let report) = $0 { report } else { nil } } }
  private var answers: [RequestOutcome] { rig.host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } } }
  private var lastRules: NetworkPolicyRules? { rig.board.fakePolicy.applied.last }

  private func ask(_ message: RuntimeMessage) -> RequestOutcome? {
    let before = answers.count
    rig.host.say(message)
    rig.turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }

  private func statement(
    _ kind: StatementKind, event: UInt64? = nil, nonce: [UInt8]? = nil, body: [UInt8] = [], isSigned: Bool = true
  ) throws -> SignedStatement {
    let state = rig.supervisor.guardState
    return try #require(
      SignedStatement(
        kind: kind, event: event ?? state.event, nonce: nonce ?? state.nonce, body: body, certificate: [0x30], signature: isSigned ? [1] : [0]))
  }
  private func pinOwner() { #expect(ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30, 0x01])) == .done) }
  private let broker: [UInt8] = [0x22, 0xb3] + Array("broker.example".utf8)

  @Test("boot puts rules in force before the interface is up")
  func rulesBeforeNetwork() {
    let fresh = Rig()
    #expect(fresh.supervisor.boot() == .goOn)
    #expect(fresh.board.fakePolicy.applied.count == 1)
    #expect(fresh.board.fakePolicy.applied.first?.grade == .normal)
    #expect(fresh.board.fakePolicy.applied.first?.destinations.isEmpty == true)
    let names = fresh.supervisor.bootReports.map(\.name.text)
    #expect(names.firstIndex(of: "network-policy").map { first in names.firstIndex(of: "network").map { first < $0 } ?? false } == true)
  }

  @Test("without rules the interface stays down, and the device lives on")
  func noRulesNoNetwork() {
    let fresh = Rig()
    fresh.board.fakePolicy.fails = true
    #expect(fresh.supervisor.boot() == .goOn)
    let outcomes = Dictionary(fresh.supervisor.bootReports.map { ($0.name.text, $0.outcome) }, uniquingKeysWith: { first, _ in first })
    #expect(outcomes["network-policy"] == .failed)
    #expect(outcomes["network"] == .skipped)
    #expect(fresh.isAlive)
  }

  @Test("what anyone on the network can produce leads to restricted, and ends by itself")
  func restrictionDecays() {
    #expect(ask(.raiseGrade(request: 1, .restricted, .authenticationFailures, evidence: "21 refusals")) == .done)
    #expect(grade == .restricted)
    rig.turn(most: 5) { false }
    #expect(lastRules?.grade == .restricted)
    // New evidence renews it and is no new event.
    rig.run(for: 40_000_000)
    #expect(ask(.raiseGrade(request: 2, .restricted, .authenticationFailures, evidence: "more")) == .done)
    rig.run(for: 40_000_000)
    #expect(grade == .restricted)
    #expect(rig.supervisor.guardState.event == 1)
    rig.run(for: 25_000_000)
    #expect(grade == .normal)
    #expect(rig.supervisor.guardState.cause == .decayed)
    #expect(lastRules?.grade == .normal)
    #expect(rig.board.fakeGpio.areOutputsSafe)
  }

  @Test("that evidence never leads further, whatever the runtime asks", arguments: [Grade.quarantined, .locked])
  func ceilings(asked: Grade) {
    #expect(ask(.raiseGrade(request: 1, asked, .authenticationFailures, evidence: "")) == .refused)
    #expect(ask(.raiseGrade(request: 2, .locked, .requested, evidence: "")) == .refused)
    #expect(ask(.raiseGrade(request: 3, .normal, .requested, evidence: "")) == .refused)
    #expect(grade == .normal)
  }

  @Test("facts are the supervisor's: the runtime cannot invent them, nor a release")
  func inventedFacts() {
    for cause in GradeCause.allCases where cause != .authenticationFailures && cause != .requested {
      #expect(ask(.raiseGrade(request: 1, .quarantined, cause, evidence: "")) == .refused, "\(cause)")
    }
    #expect(grade == .normal)
  }

  @Test("undeclared packets quarantine: outputs safe and refused, rules narrowed, and time does not end it")
  func undeclaredEgress() throws {
    pinOwner()
    #expect(ask(.statement(request: 2, try statement(.bindCloud, body: broker))) == .done)
    let address = try #require(NetworkAddress("192.0.2.7"))
    #expect(ask(.destinationAddresses(request: 3, [address])) == .done)
    #expect(ask(.setOutput(request: 4, name: try #require(ShortName("relay")), value: true)) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.destinations == [.init(address: address, port: 8_883)])

    rig.board.fakePolicy.undeclared = 3
    rig.run(for: 1_000_000)
    #expect(grade == .quarantined)
    #expect(rig.supervisor.guardState.evidence.contains("3 packets"))
    #expect(rig.board.fakeGpio.areOutputsSafe)
    rig.turn(most: 5) { false }
    #expect(lastRules?.grade == .quarantined)
    // The alert path stays, at the cached address.
    #expect(lastRules?.destinations == [.init(address: address, port: 8_883)])
    #expect(ask(.setOutput(request: 5, name: try #require(ShortName("relay")), value: true)) == .notInThisGrade)
    #expect(ask(.destinationAddresses(request: 6, [try #require(NetworkAddress("198.51.100.9"))])) == .notInThisGrade)
    rig.run(for: 3_600_000_000)
    #expect(grade == .quarantined)
    #expect(rig.board.fakeGpio.areOutputsSafe)

    let before = rig.supervisor.guardState
    // What was tried in quarantine is no new evidence once the owner has ended it.
    rig.board.fakePolicy.undeclared = 5
    #expect(ask(.statement(request: 7, try statement(.release))) == .done)
    #expect(grade == .normal)
    #expect(rig.supervisor.guardState.event == before.event + 1)
    #expect(rig.supervisor.guardState.nonce != before.nonce)
    rig.run(for: 2_000_000)
    #expect(grade == .normal)
    #expect(lastRules?.grade == .normal)
    #expect(ask(.setOutput(request: 8, name: try #require(ShortName("relay")), value: true)) == .done)
  }

  @Test("a forbidden system call and a broken link quarantine", arguments: [true, false])
  func violations(isSystemCall: Bool) {
    if isSystemCall {
      rig.host.crash(.killed(signal: 31))
    } else {
      rig.host.inbox.append(.packet([1, 2, 3]))
    }
    rig.run(for: 3_000_000)
    #expect(grade == .quarantined)
    #expect(rig.supervisor.guardState.cause == (isSystemCall ? .sandboxViolation : .linkViolation))
    #expect(rig.isAlive)
    // The next runtime hears of it before anything else that it can act on.
    #expect(grades.last?.grade == .quarantined)
  }

  @Test("statements: stale, unsigned, without an owner, senseless")
  func statements() throws {
    #expect(ask(.statement(request: 1, try statement(.bindCloud, body: broker))) == .notPermitted)
    pinOwner()
    #expect(ask(.statement(request: 2, try statement(.bindCloud, event: 9, body: broker))) == .stale)
    #expect(ask(.statement(request: 3, try statement(.bindCloud, nonce: [UInt8](repeating: 0xee, count: 32), body: broker))) == .stale)
    #expect(ask(.statement(request: 4, try statement(.bindCloud, body: broker, isSigned: false))) == .notPermitted)
    for body in [[], [0x22, 0xb3], [0, 0, 0x62], [0x22, 0xb3, 0x2e], [0x22, 0xb3, 0xff]] as [[UInt8]] {
      #expect(ask(.statement(request: 5, try statement(.bindCloud, body: body))) == .refused, "\(body)")
    }
    #expect(rig.supervisor.destination == nil)
    let good = try statement(.bindCloud, body: broker)
    #expect(ask(.statement(request: 6, good)) == .done)
    #expect(rig.supervisor.destination?.host == "broker.example")
    // Used once: the same statement again is stale.
    #expect(ask(.statement(request: 7, good)) == .stale)
  }

  @Test("a release of a normal device is no event's end, and is refused as stale after it")
  func releaseWhenNormal() throws {
    pinOwner()
    let release = try statement(.release)
    #expect(ask(.statement(request: 1, release)) == .done)
    #expect(grade == .normal)
    #expect(ask(.statement(request: 2, release)) == .stale)
  }

  @Test("the first owner stays pinned")
  func pinnedOnce() {
    pinOwner()
    pinOwner()
    #expect(ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30, 0x02])) == .refused)
    #expect(ask(.pinOwner(request: 2, device: [UInt8](repeating: 2, count: 10), certificate: [0x30, 0x01])) == .refused)
    #expect(rig.supervisor.owner?.certificate == [0x30, 0x01])
  }

  @Test("addresses of the declared name are bounded in kind, number and rate")
  func addresses() throws {
    func addresses(_ texts: String...) throws -> [NetworkAddress] { try texts.map { try #require(NetworkAddress($0)) } }
    #expect(ask(.destinationAddresses(request: 1, try addresses("192.0.2.7"))) == .unknownName)
    pinOwner()
    #expect(ask(.statement(request: 2, try statement(.bindCloud, body: broker))) == .done)
    for wrong in ["127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "ff02::1"] {
      #expect(ask(.destinationAddresses(request: 3, try addresses(wrong))) == .refused, "\(wrong)")
    }
    #expect(ask(.destinationAddresses(request: 4, [])) == .refused)
    for round in 1...4 { #expect(ask(.destinationAddresses(request: 5, try addresses("192.0.2.\(round)"))) == .done) }
    #expect(ask(.destinationAddresses(request: 6, try addresses("192.0.2.9"))) == .busy)
    // What is known already costs nothing.
    #expect(ask(.destinationAddresses(request: 7, try addresses("192.0.2.4"))) == .done)
    rig.run(for: 31_000_000)
    #expect(ask(.destinationAddresses(request: 8, try addresses("192.0.2.9"))) == .done)
    // A broker with a numeric address has that one alone.
    #expect(ask(.statement(request: 9, try statement(.bindCloud, body: [0x22, 0xb3] + Array("192.0.2.1".utf8)))) == .done)
    #expect(ask(.destinationAddresses(request: 10, try addresses("192.0.2.9"))) == .unknownName)
    #expect(rig.supervisor.addresses.map(\.description) == ["192.0.2.1"])
  }

  @Test("a destination that is withdrawn is let through for a moment longer, but not in quarantine")
  func withdrawal() throws {
    pinOwner()
    func bind(_ host: String) throws -> RequestOutcome? {
      ask(.statement(request: 1, try statement(.bindCloud, body: [0x22, 0xb3] + Array(host.utf8))))
    }
    func hosts() -> [String] {
      rig.turn(most: 5) { false }
      return lastRules?.destinations.map(\.address.description) ?? []
    }
    #expect(try bind("192.0.2.1") == .done)
    #expect(hosts() == ["192.0.2.1"])
    #expect(try bind("192.0.2.2") == .done)
    #expect(hosts() == ["192.0.2.2", "192.0.2.1"])
    rig.run(for: 6_000_000)
    #expect(hosts() == ["192.0.2.2"])
    #expect(try bind("192.0.2.3") == .done)
    #expect(ask(.raiseGrade(request: 2, .quarantined, .requested, evidence: "")) == .done)
    #expect(hosts() == ["192.0.2.3"])
  }

  @Test("the runtime hears of a destination when the rules let it through, and not before: a connection made sooner would be undeclared")
  func destinationInForceFirst() throws {
    pinOwner()
    rig.journal.clear()
    var order: [String] = []
    func note(_ what: String) { if !order.contains(what) { order.append(what) } }
    func look() {
      if lastRules?.destinations.isEmpty == false { note("rules") }
      if rig.host.heard.contains(where: { if case .destination = $0 { true } else { false } }) { note("told") }
    }
    rig.host.say(.statement(request: 1, try statement(.bindCloud, body: [0x22, 0xb3] + Array("192.0.2.1".utf8))))
    for _ in 0..<10 {
      rig.turn(most: 1) { true }
      look()
    }
    #expect(order == ["rules", "told"])

    // Addresses of a name are answered when they are let through; while the rules cannot be replaced, they are not.
    #expect(ask(.statement(request: 2, try statement(.bindCloud, body: broker))) == .done)
    rig.turn(most: 5) { false }
    rig.board.fakePolicy.fails = true
    let address = try #require(NetworkAddress("192.0.2.7"))
    #expect(ask(.destinationAddresses(request: 3, [address])) == .failed)
    rig.board.fakePolicy.fails = false
    rig.run(for: 3_000_000)
    #expect(ask(.destinationAddresses(request: 4, [address])) == .done)
    #expect(lastRules?.destinations.contains(.init(address: address, port: 8_883)) == true)
  }

  @Test("a worker that fails may have replaced the rules before: they are replaced once more, whatever was in force last")
  func unknownRules() throws {
    pinOwner()
    #expect(ask(.raiseGrade(request: 1, .quarantined, .requested, evidence: "")) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.grade == .quarantined)
    // The owner releases; the worker for the normal rules fails, and at once there is new evidence.
    rig.board.fakePolicy.fails = true
    #expect(ask(.statement(request: 2, try statement(.release))) == .done)
    rig.turn(most: 2) { false }
    #expect(ask(.raiseGrade(request: 3, .quarantined, .requested, evidence: "")) == .done)
    let before = rig.board.fakePolicy.applied.count
    rig.board.fakePolicy.fails = false
    rig.run(for: 3_000_000)
    #expect(rig.board.fakePolicy.applied.count > before)
    #expect(lastRules?.grade == .quarantined)
  }

  @Test("rules that failed at boot are tried again, and the network comes up with them")
  func lateNetwork() {
    let fresh = Rig()
    fresh.board.fakePolicy.fails = true
    #expect(fresh.supervisor.boot() == .goOn)
    fresh.run(for: 2_000_000)
    #expect(!fresh.supervisor.networkIsUp)
    fresh.board.fakePolicy.fails = false
    fresh.run(for: 3_000_000)
    #expect(fresh.supervisor.networkIsUp)
    #expect(fresh.host.heard.contains(.link(up: true)))
  }

  @Test("a statement's answer is for the runtime that asked, and not for its successor")
  func answerOfAnotherRuntime() throws {
    pinOwner()
    rig.host.workerRuns = false
    rig.host.say(.statement(request: 77, try statement(.release)))
    rig.turn(most: 2) { false }
    rig.host.crash(.killed(signal: 9))
    rig.turn(most: 50) { rig.isAlive && rig.supervisor.startCount == 2 }
    rig.run(for: 7_000_000)
    #expect(!rig.host.heard.contains { if case .answer(77, _) = $0 { true } else { false } })
  }

  @Test("a runtime that does not read while an output is broken: one condemnation, and no way back into it")
  func brokenOutputAndFullQueue() {
    rig.board.fakeGpio.failsToDriveSafe = true
    rig.host.room = 0
    for _ in 0..<1_000 { rig.supervisor.tell(.link(up: true)) }
    rig.run(for: 3_000_000)
    #expect(rig.journal.entries.filter { $0 == "kill" }.count == 1)
  }

  @Test("why a statement is refused is in the log")
  func refusalIsLogged() throws {
    pinOwner()
    #expect(ask(.statement(request: 1, try statement(.release, isSigned: false))) == .notPermitted)
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("a statement is refused: signature-invalid: it is not that of kim") })
  }

  @Test("runtimes that end in a row: quarantine first, then the machine starts anew")
  func crashLoop() {
    rig.host.isHealthy = false
    var verdict = Supervisor.Verdict.goOn
    var quarantinedAfter = 0
    for round in 1...10 {
      rig.host.crash()
      verdict = rig.turn(most: 200) { rig.isAlive }
      if grade == .quarantined, quarantinedAfter == 0 { quarantinedAfter = round }
      if verdict != .goOn { break }
    }
    // The first one had settled.
    #expect(quarantinedAfter == 4)
    #expect(rig.supervisor.guardState.cause == .crashLoop)
    guard case .restart = verdict else { return #expect(Bool(false), "it goes on for ever") }
  }

  @Test("rules that cannot be put in force in quarantine restart the machine; else they are tried again")
  func brokenPolicy() {
    rig.board.fakePolicy.fails = true
    #expect(ask(.raiseGrade(request: 1, .restricted, .authenticationFailures, evidence: "")) == .done)
    rig.run(for: 10_000_000)
    #expect(rig.isAlive)
    rig.board.fakePolicy.fails = false
    rig.run(for: 3_000_000)
    #expect(lastRules?.grade == .restricted)
    rig.board.fakePolicy.fails = true
    #expect(ask(.raiseGrade(request: 2, .quarantined, .requested, evidence: "the product asks")) == .done)
    guard case .restart = rig.run(for: 20_000_000) else { return #expect(Bool(false), "old rules stay for ever") }
  }

  @Test("the resolvers of the lease are declared, and those before for one lease more")
  func resolvers() throws {
    func lease(_ resolver: UInt32) throws -> NetworkLease {
      NetworkLease(
        prefix: try #require(IPv4Prefix(address: 0x0a00_020f, prefixLength: 24)), router: 0x0a00_0202, resolvers: [resolver], valid_s: 3_600)
    }
    #expect(ask(.applyLease(request: 1, try lease(0x0a00_0203))) == .done)
    rig.turn(most: 5) { false }
    // Nobody need be asked for names while no name is declared.
    #expect(lastRules?.resolvers == [])
    pinOwner()
    #expect(ask(.statement(request: 8, try statement(.bindCloud, body: broker))) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.resolvers.map(\.description) == ["10.0.2.3"])
    #expect(ask(.applyLease(request: 2, try lease(0x0a00_0204))) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.resolvers.map(\.description) == ["10.0.2.4", "10.0.2.3"])
    #expect(ask(.applyLease(request: 3, try lease(0x0a00_0205))) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.resolvers.map(\.description) == ["10.0.2.5", "10.0.2.4"])
    // Whoever takes over the runtime cannot walk through the world by ever new resolvers.
    for number in 6...20 as ClosedRange<UInt32> { #expect(ask(.applyLease(request: number, try lease(0x0a00_0200 + number))) == .done) }
    rig.turn(most: 5) { false }
    #expect(lastRules?.resolvers.map(\.description) == ["10.0.2.6", "10.0.2.5"])
    // A broker that is bound by its number needs no resolver.
    #expect(ask(.statement(request: 9, try statement(.bindCloud, body: [0x22, 0xb3] + Array("192.0.2.1".utf8)))) == .done)
    rig.turn(most: 5) { false }
    #expect(lastRules?.resolvers == [])
  }
}
