import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("What a restart of the machine does not make the supervisor forget")
struct BeliefTests {
  private let rig: Rig
  private static let device = [UInt8](repeating: 1, count: 10)
  private static let broker: [UInt8] = [0x22, 0xb3] + Array("broker.example".utf8)

  init() {
    rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    rig.turn { false }
    rig.host.sent = []
  }

  private func pin(_ rig: Rig, certificate: [UInt8] = [0x30, 0x01]) -> RequestOutcome? {
    rig.ask(.pinOwner(request: 1, device: Self.device, certificate: certificate))
  }
  private func statement(_ rig: Rig, _ kind: StatementKind, body: [UInt8] = []) throws -> SignedStatement {
    let state = rig.supervisor.guardState
    return try #require(SignedStatement(kind: kind, event: state.event, nonce: state.nonce, body: body, certificate: [0x30], signature: [1]))
  }
  private func order(_ rig: Rig, _ kind: StatementKind, body: [UInt8] = []) throws -> RequestOutcome? {
    rig.ask(.statement(request: 2, try statement(rig, kind, body: body)))
  }
  private func quarantine(_ rig: Rig) {
    rig.board.fakePolicy.undeclared = 3
    rig.run(for: 1_500_000)
    #expect(rig.supervisor.guardState.grade == .quarantined)
  }
  private let address = NetworkAddress(ipv4: 0xc000_0207)
  private func places() throws -> PeerDestinations {
    let place = try #require(PeerDestinations.Destination(address: NetworkAddress(ipv4: 0xc000_0208), port: 8_443))
    return try #require(PeerDestinations([place]))
  }

  /// Everything that the supervisor can be told.
  private func tellAll() throws {
    #expect(pin(rig) == .done)
    #expect(rig.ask(.revocations(request: 3, [7, 8])) == .done)
    #expect(try order(rig, .bindCloud, body: Self.broker) == .done)
    #expect(rig.ask(.destinationAddresses(request: 4, [address])) == .done)
    #expect(try order(rig, .setPeers, body: try places().encoded) == .done)
    #expect(try order(rig, .setDiscovery, body: [1]) == .done)
  }

  @Test("owner, broker with its addresses, peers and revocation list are there again, and the runtime hears of them when they are let through")
  func everything() throws {
    try tellAll()
    let next = rig.restarted()
    next.turn(most: 10) { false }
    #expect(next.supervisor.owner == PinnedOwner(device: Self.device, certificate: [0x30, 0x01]))
    #expect(next.supervisor.revocations == [7, 8])
    #expect(next.supervisor.guardState.grade == .normal)
    let destination = try #require(CloudDestination(encoded: Self.broker))
    #expect(next.host.heard.contains(.destination(DestinationReport(destination: destination, addresses: [address]))))
    #expect(next.host.heard.contains(.peers(try places())))
    #expect(next.host.heard.contains(.discovery(isOn: true)) && next.board.fakePolicy.applied.last?.discovers == true)
    #expect(next.board.fakePolicy.applied.last?.destinations.map(\.port) == [8_883, 8_443])
    // What is known already is not written again.
    let written = rig.beliefs.written
    #expect(pin(next) == .done)
    #expect(next.ask(.revocations(request: 3, [7, 8])) == .done)
    #expect(rig.beliefs.written == written)
    // Another owner is not let in by a restart.
    #expect(pin(next, certificate: [0x30, 0x02]) == .refused)
  }

  @Test("a device that was in quarantine is born into it, with its evidence, and only the owner ends it")
  func quarantined() throws {
    try tellAll()
    quarantine(rig)
    let before = rig.supervisor.guardState
    let old = try statement(rig, .release)
    let next = rig.restarted()
    let kept = next.supervisor.guardState
    #expect([kept.grade, .quarantined] == [before.grade, kept.grade] && kept.cause == before.cause && kept.evidence == before.evidence)
    #expect(kept.event == before.event && kept.since_us == 0 && kept.decays_us == nil)
    #expect(kept.nonce != before.nonce)
    // The first that the runtime hears of the grade is this; it reaches no peers, and the broker for the alert alone.
    let told = next.host.heard.compactMap { if case .grade(let report) = $0 { report } else { nil } }
    #expect(told.first?.grade == .quarantined && told.first?.cause == .undeclaredEgress && told.first?.at_us == 0)
    next.turn(most: 10) { false }
    #expect(next.board.fakePolicy.applied.last?.grade == .quarantined && next.board.fakePolicy.applied.last?.discovers == false)
    #expect(next.board.fakePolicy.applied.last?.destinations == [.init(address: address, port: 8_883)])
    #expect(next.ask(.setOutput(request: 5, name: try #require(ShortName("relay")), value: true)) == .notInThisGrade)
    // A release that was signed before the restart is of another start.
    #expect(next.ask(.statement(request: 6, old)) == .stale)
    #expect(next.restarted().supervisor.guardState.grade == .quarantined)

    #expect(try order(next, .release) == .done)
    #expect(next.supervisor.guardState.event == before.event + 1)
    next.run(for: 1_000_000)
    #expect(next.host.heard.contains(.peers(try places())))
    let released = next.restarted()
    #expect(released.supervisor.guardState.grade == .normal)
    #expect(released.supervisor.destination != nil && released.supervisor.owner != nil)
  }

  @Test("three crashes end in a quarantine, three more in a restart, and that in the same quarantine")
  func crashLoop() throws {
    #expect(pin(rig) == .done)
    rig.host.isHealthy = false
    var verdict = Supervisor.Verdict.goOn
    for _ in 0..<12 where verdict == .goOn {
      rig.host.crash()
      verdict = rig.run(for: 2_000_000)
    }
    guard case .restart = verdict else { throw SupervisorError(code: "test", reason: "no restart: \(verdict)") }
    rig.supervisor.shutDown(verdict)
    let next = rig.restarted()
    #expect(next.supervisor.guardState.grade == .quarantined && next.supervisor.guardState.cause == .crashLoop)
  }

  @Test("what anyone on the network can bring about is not kept, and nothing is for a device without an owner")
  func lighter() {
    #expect(rig.ask(.raiseGrade(request: 1, .quarantined, .requested, evidence: "the product says so")) == .done)
    rig.run(for: 1_000_000)
    #expect(rig.beliefs.written == 0)
    #expect(rig.restarted().supervisor.guardState.grade == .normal, "nobody could ever release it")

    let owned = Rig()
    _ = owned.supervisor.boot()
    owned.turn { false }
    #expect(pin(owned) == .done)
    let written = owned.beliefs.written
    #expect(owned.ask(.raiseGrade(request: 1, .restricted, .authenticationFailures, evidence: "21 refusals")) == .done)
    owned.run(for: 70_000_000)
    #expect(owned.beliefs.written == written)
  }

  @Test("a quarantine is written at once, also on the way down")
  func atOnce() throws {
    #expect(pin(rig) == .done)
    rig.board.fakePolicy.undeclared = 3
    rig.turn(most: 20) { rig.supervisor.guardState.grade == .quarantined }
    rig.turn(most: 2) { false }
    #expect(rig.beliefs.belief?.quarantine?.cause == .undeclaredEgress)

    let other = Rig()
    _ = other.supervisor.boot()
    other.turn { false }
    #expect(pin(other) == .done)
    other.supervisor.raise(to: .quarantined, .linkViolation, evidence: "x")
    other.supervisor.shutDown(.restart(reason: "test"))
    #expect(other.beliefs.belief?.quarantine?.cause == .linkViolation)
  }

  @Test("an owner's word is answered when it is durable, and by its own word where it is not; then it is tried again")
  func durable() throws {
    rig.host.workerRuns = false
    rig.host.say(.pinOwner(request: 1, device: Self.device, certificate: [0x30, 0x01]))
    rig.run(for: 2_000_000)
    #expect(rig.answers == [], "its worker has not ended yet")
    rig.host.workerRuns = true
    rig.run(for: rig.supervisor.limits.beliefs_us)
    #expect(rig.answers == [.notKept], "it gave no answer in time")
    #expect(pin(rig) == .notKept, "nobody waits for a medium that failed a moment ago")
    rig.run(for: rig.supervisor.limits.beliefsPause_us)
    #expect(pin(rig) == .done)
    #expect(rig.beliefs.belief?.owner.certificate == [0x30, 0x01])

    rig.beliefs.unwritable = "the medium is full"
    #expect(try order(rig, .bindCloud, body: Self.broker) == .notKept)
    #expect(rig.supervisor.destination != nil, "it counts for as long as the machine runs")
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("what the owner said cannot be kept: the medium is full") })
    rig.beliefs.unwritable = nil
    rig.run(for: rig.supervisor.limits.beliefsPause_us + 1_000_000)
    #expect(rig.beliefs.belief?.destination == rig.supervisor.destination)
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("what the owner said is kept again") })
  }

  @Test("many changes at once are one at a time, and the newest wins; every request is answered")
  func coalesced() throws {
    #expect(pin(rig) == .done)
    rig.host.sent = []
    let written = rig.beliefs.written
    // Each of these is a change; they come faster than they are written.
    rig.host.workerRuns = false
    rig.supervisor.keep(revocations: [1])
    rig.turn(most: 1) { false }
    for length in 2...5 { rig.supervisor.keep(revocations: [UInt8](repeating: 1, count: length)) }
    rig.host.workerRuns = true
    rig.run(for: rig.supervisor.limits.beliefs_us + rig.supervisor.limits.beliefsPause_us + 2_000_000)
    #expect(rig.beliefs.written == written + 1)
    #expect(rig.beliefs.belief?.revocations.count == 5)
    // More than may wait are refused, and none is forgotten.
    rig.host.workerRuns = false
    rig.supervisor.keep(revocations: [9, 9, 9, 9, 9, 9])
    rig.turn(most: 1) { false }
    for request in 1...12 as ClosedRange<UInt32> { rig.host.say(.pinOwner(request: request, device: Self.device, certificate: [0x30, 0x01])) }
    rig.run(for: rig.supervisor.limits.beliefs_us + 1_000_000)
    #expect(rig.answers.filter { $0 == .busy }.count == 4 && rig.answers.filter { $0 == .notKept }.count == 8)
  }

  @Test("what cannot be read is a quarantine, whatever happens before the owner is known again; the runtime names whom it ends for")
  func lost() throws {
    try tellAll()
    rig.beliefs.unreadable = "neither of its two copies is whole"
    for _ in 1...2 {
      let next = rig.restarted()
      #expect(next.supervisor.guardState.grade == .quarantined && next.supervisor.guardState.cause == .beliefsLost)
      #expect(next.supervisor.guardState.evidence.contains("neither of its two copies is whole"))
      #expect(next.supervisor.owner == nil && next.supervisor.destination == nil && next.board.fakeGpio.areOutputsSafe)
      next.run(for: 20_000_000)
      next.supervisor.shutDown(.powerOff)
      #expect(rig.beliefs.unreadable != nil, "it stays as it was found")
    }
    let next = rig.restarted()
    #expect(pin(next) == .done)
    #expect(rig.beliefs.unreadable == nil && rig.beliefs.belief?.quarantine?.cause == .beliefsLost)
    let later = next.restarted()
    #expect(later.supervisor.guardState.cause == .beliefsLost)
    #expect(try order(later, .release) == .done)
    #expect(later.restarted().supervisor.guardState.grade == .normal)
  }

  @Test("a record that is no record, and a worker that dies, are no word of the owner's either", arguments: [[], [9], [1, 1, 2], [1, 0, 0]] as [[UInt8]])
  func refused(record: [UInt8]) {
    let beliefs = FakeBeliefs()
    beliefs.record = record
    let rig = Rig(beliefs: beliefs)
    #expect(rig.supervisor.boot() == .goOn)
    #expect(rig.supervisor.guardState.cause == .beliefsLost && rig.isAlive)
  }

  @Test("a storage that is not open is not asked, and one in memory is", arguments: [StorageFacts.State.volatile, .damaged, .locked])
  func otherStorages(state: StorageFacts.State) throws {
    try tellAll()
    let next = Rig(beliefs: rig.beliefs)
    next.board.fakeStorage.facts = StorageFacts(state: state, reason: "because")
    #expect(next.supervisor.boot() == .goOn)
    #expect((next.supervisor.owner != nil) == (state == .volatile))
    let report = try #require(next.supervisor.bootReports.first { $0.name.text == "beliefs" })
    #expect(report.outcome == (state == .volatile ? .done : .skipped))
    #expect(next.supervisor.guardState.grade == .normal)
    // Nothing is written over what could not be read.
    next.turn(most: 5) { false }
    let written = rig.beliefs.written
    #expect(pin(next) == (state == .volatile ? .done : .notKept))
    next.supervisor.shutDown(.powerOff)
    #expect(rig.beliefs.written == written)
  }

  @Test("from the order to wipe on there is nothing to keep: the next owner begins with nothing", arguments: [StorageFacts.State.open, .volatile])
  func wiped(state: StorageFacts.State) throws {
    let rig = Rig()
    rig.board.fakeStorage.facts = StorageFacts(state: state, reason: "")
    _ = rig.supervisor.boot()
    rig.turn { false }
    #expect(pin(rig) == .done)
    quarantine(rig)
    #expect(rig.beliefs.belief?.quarantine != nil)
    #expect(try order(rig, .transfer) == .done)
    #expect(pin(rig) == .busy, "nobody is pinned in a life that is ending")
    let verdict = rig.run(for: 20_000_000)
    #expect(verdict == .restart(reason: "the device is wiped"))
    rig.supervisor.shutDown(verdict)
    #expect(rig.beliefs.record == [1, 0])
    let next = rig.restarted()
    #expect(next.supervisor.owner == nil && next.supervisor.guardState.grade == .normal)
    #expect(pin(next, certificate: [0x30, 0x09]) == .done)
  }
}
