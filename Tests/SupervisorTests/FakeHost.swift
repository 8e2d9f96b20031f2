import Foundations
import SupervisorLink

@testable import Supervisor

/// A machine with a clock and processes of its own. Waiting only advances the clock.
final class FakeHost: ProcessHost {
  let journal: Journal
  var now: UInt64 = 1_000_000
  private var nextProcess: Int32 = 100

  /// The runtime that lives, or nil.
  private(set) var runtime: Int32?
  private var isLinkOpen = false
  /// From the runtime, not yet received.
  var inbox: [LinkReceive] = []
  /// To the runtime.
  var sent: [[UInt8]] = []
  /// Packets that the link still takes.
  var room = Int.max
  var endedChildren: [EndedChild] = []
  var endRequested = false
  var startFails = false
  var survivesKill = false

  /// A healthy runtime says `ready` at once and sends a heartbeat each second.
  var isHealthy = true
  private var heartbeats: UInt64 = 0
  private var nextHeartbeat: UInt64 = 0

  var workerRuns = true
  /// Which worker, counted from 1, never ends by itself.
  var hangingWorker: Int?
  private var workerStarts = 0
  private var workerResults: [Int32: [UInt8]] = [:]
  private(set) var startTimes: [UInt64] = []

  /// - Parameter nonces: how many random numbers another start has had.
  init(journal: Journal, nonces: UInt8 = 0) {
    self.journal = journal
    self.nonces = nonces
  }

  func now_us() -> UInt64 { now }
  /// Different at each call, and the same in each run.
  func randomBytes(_ count: Int) -> [UInt8] {
    nonces += 1
    return [UInt8](repeating: nonces, count: count)
  }
  private var nonces: UInt8

  func wait(for descriptors: [CInt], toSend: Bool, timeout_ms: UInt32) {
    // As poll(2): at once where something is there already.
    if !isLinkOpen || inbox.isEmpty, endedChildren.isEmpty { now += UInt64(timeout_ms) * 1_000 }
    if runtime != nil, isHealthy, now >= nextHeartbeat { beat() }
  }

  func takeEndRequest() -> Bool {
    defer { endRequested = false }
    return endRequested
  }
  func takeEnded() -> [EndedChild] {
    defer { endedChildren = [] }
    return endedChildren
  }

  func startRuntime(dhcpSocket: CInt?) throws(SupervisorError) -> Int32 {
    startTimes.append(now)
    if startFails { throw SupervisorError(code: "runtime-not-started", reason: "fork: no memory") }
    nextProcess += 1
    runtime = nextProcess
    isLinkOpen = true
    inbox = []
    sent = []
    heartbeats = 0
    journal.note("start")
    if isHealthy {
      say(.ready)
      beat()
    }
    return nextProcess
  }

  func send(_ packet: [UInt8]) -> LinkSend {
    guard isLinkOpen else { return .closed }
    guard room > 0 else { return .full }
    room -= 1
    sent.append(packet)
    return .sent
  }
  func receive() -> LinkReceive { isLinkOpen ? (inbox.isEmpty ? .empty : inbox.removeFirst()) : .closed }
  func closeLink() { isLinkOpen = false }

  func kill(_ process: Int32) {
    journal.note(process == runtime ? "kill" : "kill worker")
    if !survivesKill { end(process, .killed(signal: 9)) }
  }

  func startWorker(rights: WorkerRights, _ job: @escaping () -> [UInt8]) throws(SupervisorError) -> Int32 {
    nextProcess += 1
    workerStarts += 1
    if workerRuns, workerStarts != hangingWorker {
      workerResults[nextProcess] = job()
      endedChildren.append(EndedChild(process: nextProcess, end: .exited(code: 0)))
    }
    return nextProcess
  }
  func takeWorkerResult(_ process: Int32) -> [UInt8] { workerResults.removeValue(forKey: process) ?? [] }

  // What a test makes happen.

  func say(_ message: RuntimeMessage) { inbox.append(.packet(SupervisorPacket.encode(message))) }
  func beat() {
    heartbeats += 1
    say(.heartbeat(heartbeats))
    nextHeartbeat = now + 1_000_000
  }
  func end(_ process: Int32, _ end: ChildEnd) {
    guard process == runtime || workerResults[process] != nil || !workerRuns else { return }
    if process == runtime { runtime = nil }
    endedChildren.append(EndedChild(process: process, end: end))
  }
  /// The runtime ends by itself.
  func crash(_ end: ChildEnd = .killed(signal: 11)) { if let runtime { self.end(runtime, end) } }

  var heard: [SupervisorMessage] { sent.compactMap { try? SupervisorPacket.decodeSupervisorMessage($0) } }
}

/// What the workers appended to the audit log.
final class FakeAudit {
  private(set) var batches: [AuditBatch] = []
  /// What becomes of the next ones.
  var outcome = AuditOutcome.appended

  func append(_ batch: AuditBatch) -> AuditOutcome {
    if outcome == .appended { batches.append(batch) }
    return outcome
  }

  var events: [AuditEvent] { batches.flatMap(\.entries).map(\.event) }
  func events(_ kind: AuditEvent.Kind) -> [AuditEvent] { events.filter { $0.kind == kind } }
}

/// What outlives the supervisor. A rig with that of another one is the same device, started anew.
final class FakeBeliefs: BeliefStore {
  var record: [UInt8]?
  /// Why it cannot be read, or written; nil where it can.
  var unreadable: String?
  var unwritable: String?
  private(set) var written = 0

  func read() -> BeliefsFound { unreadable.map { .lost($0) } ?? record.map { .record($0) } ?? .nothing }
  func keep(_ record: [UInt8]) -> String? {
    if let unwritable { return unwritable }
    written += 1
    self.record = record
    unreadable = nil
    return nil
  }

  var belief: Belief? { record.flatMap { try? BeliefRecord.belief($0) } }
}

/// A supervisor on a fake board in a fake machine.
struct Rig {
  let journal = Journal()
  let board: FakeBoard
  let host: FakeHost
  let supervisor: Supervisor
  let audit = FakeAudit()
  let beliefs: FakeBeliefs

  /// Stands in a revocation list for the admin whose statements the rig believes.
  static let withdrawn: UInt8 = 0xad

  init(limits: SupervisorLimits = SupervisorLimits(), beliefs: FakeBeliefs = FakeBeliefs(), nonces: UInt8 = 0) {
    self.beliefs = beliefs
    board = FakeBoard(journal: journal)
    host = FakeHost(journal: journal, nonces: nonces)
    supervisor = Supervisor(
      board: board, host: host, limits: limits,
      verifyStatement: { statement, _, _, revocations in
        guard !revocations.contains(Self.withdrawn) else { return "certificate-revoked: kim was withdrawn" }
        return statement.signature == [1] ? nil : "signature-invalid: it is not that of kim"
      },
      verifyRevocations: { list, _, present in list.count > present.count ? nil : "certificate-profile: it does not grow" },
      recoveryWork: FakeRecovery.work, appendAudit: { [audit] batch in audit.append(batch) }, beliefStore: beliefs)
  }

  /// The same device, started anew, and its runtime serves.
  func restarted(limits: SupervisorLimits = SupervisorLimits()) -> Rig {
    let next = Rig(limits: limits, beliefs: beliefs, nonces: 100)
    _ = next.supervisor.boot()
    next.turn(most: 5) { false }
    return next
  }

  var answers: [RequestOutcome] { host.heard.compactMap { if case .answer(_, let outcome) = $0 { outcome } else { nil } } }
  /// What the supervisor answers; nil where it does not within 20 turns.
  func ask(_ message: RuntimeMessage) -> RequestOutcome? {
    let before = answers.count
    host.say(message)
    turn(most: 20) { answers.count > before }
    return answers.count > before ? answers.last : nil
  }

  /// Turns until `condition` holds or the loop ends; at most `most` turns.
  @discardableResult
  func turn(most: Int = 1_000, until condition: () -> Bool) -> Supervisor.Verdict {
    for _ in 0..<most {
      let verdict = supervisor.turn()
      if verdict != .goOn || condition() { return verdict }
    }
    return .goOn
  }

  @discardableResult
  func run(for duration_us: UInt64) -> Supervisor.Verdict {
    let until = host.now + duration_us
    return turn(most: 100_000) { host.now >= until }
  }
  var isAlive: Bool { host.runtime != nil }
}
