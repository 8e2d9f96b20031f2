public import Foundations
internal import SupervisorLink

// What happened is noted here and written by a worker: entries wait in a short queue, so that nothing in this process ever waits for the medium. What
// the runtime tells, and what anyone can bring about from outside, is bounded in rate, so that nobody floods the log to have its oldest entries dropped.

/// What a worker appends to the audit log.
public struct AuditBatch: Sendable {
  public struct Entry: Sendable {
    public let event: AuditEvent
    /// Microseconds since the kernel started.
    public let at_us: UInt64
  }

  /// In their order.
  public let entries: [Entry]
  /// The device's id, 10 bytes, or empty where no runtime has told it yet.
  public let device: [UInt8]
  /// The pinned owner CA's certificate, DER, or empty.
  public let owner: [UInt8]
  /// Whether a signature follows.
  public let isSigned: Bool
}

/// What became of a batch.
public enum AuditOutcome: Sendable, Equatable {
  /// It is on the medium.
  case appended
  /// The log is a new one, and its device's id is not known yet.
  case nameless
  /// Why not.
  case failed(String)
}

/// Entries that wait for the audit log.
struct AuditQueue {
  /// A request that is answered once an entry is on the medium.
  struct Answer {
    let request: UInt32
    /// Of the runtime that asked.
    let start: UInt32
    /// Where the entry could not be written.
    let otherwise: RequestOutcome
  }

  var entries: [AuditBatch.Entry] = []
  var answers: [Answer] = []
  var isSigned = false
  /// When they are written; nil where none waits, or nobody has told the device's id.
  var due_us: UInt64?
  /// Not before this, after a failure.
  var pausedUntil_us: UInt64 = 0
  var failures: UInt64 = 0
  /// Entries that were not taken.
  var withheld: UInt64 = 0
  /// The first that a runtime told, 10 bytes; empty before.
  var device: [UInt8] = []
  var rate: PacketRate
}

extension Supervisor {
  /// Notes that something happened.
  ///
  /// - Parameters:
  ///   - isUrgent: it is written at once, and signed.
  ///   - isOthers: others than this device's own parts and its owner can bring it about as often as they like.
  func note(_ event: AuditEvent, isUrgent: Bool = false, isOthers: Bool = false) {
    let now_us = host.now_us()
    // One place is kept for the entry that says how many had none.
    guard audit.entries.count < limits.auditEntries - 1, !isOthers || audit.rate.take(now_us: now_us) else {
      audit.withheld = audit.withheld.successor
      return
    }
    takeWithheld(now_us: now_us)
    audit.entries.append(AuditBatch.Entry(event: event, at_us: now_us))
    if isUrgent { audit.isSigned = true }
    audit.due_us = min(audit.due_us ?? .max, isUrgent ? now_us : later(now_us, by: limits.auditDelay_us))
  }

  private func takeWithheld(now_us: UInt64) {
    guard audit.withheld > 0 else { return }
    audit.entries.append(AuditBatch.Entry(event: AuditEvent(.withheld, .number(audit.withheld)), at_us: now_us))
    audit.withheld = 0
  }

  /// As `note`, urgently; `request` is answered once the entry is on the medium, with `otherwise` where it could not be written.
  func note(_ event: AuditEvent, thenAnswer request: UInt32, of start: UInt32, otherwise: RequestOutcome) {
    note(event, isUrgent: true)
    let waiting = AuditQueue.Answer(request: request, start: start, otherwise: otherwise)
    // Nobody waits for a medium that failed a moment ago.
    if host.now_us() < audit.pausedUntil_us { settle([waiting], isWritten: false) } else { audit.answers.append(waiting) }
  }

  private func settle(_ answers: [AuditQueue.Answer], isWritten: Bool) {
    for waiting in answers {
      // The runtime wipes from now on.
      if wipeEnds_us != nil, waiting.otherwise == .done { wipeEnds_us = later(host.now_us(), by: untilWayDown_us) }
      answer(waiting.request, of: waiting.start, isWritten ? .done : waiting.otherwise)
    }
  }

  /// What the runtime tells.
  func takeAudit(_ event: AuditEvent, device: [UInt8]) {
    if audit.device.isEmpty { audit.device = device }
    note(event, isOthers: true)
  }

  /// The owner's admin reads the log. `nil`: it is answered when the log is signed.
  func exportAudit(request: UInt32) -> RequestOutcome? {
    guard audit.answers.count < limits.auditAnswers, audit.rate.take(now_us: host.now_us()) else { return .busy }
    note(AuditEvent(.exported), thenAnswer: request, of: startCount, otherwise: .failed)
    return nil
  }

  func writeAuditIfDue(now_us: UInt64) {
    guard let due_us = audit.due_us, now_us >= due_us, now_us >= audit.pausedUntil_us, !workers.values.contains(where: { $0.job.isAudit }) else { return }
    writeAudit()
  }

  /// Starts the worker for all that waits.
  func writeAudit() {
    takeWithheld(now_us: host.now_us())
    // Once a wipe is noted nothing is sealed for the owner before.
    let batch = AuditBatch(
      entries: audit.entries, device: audit.device, owner: wipeEnds_us == nil ? owner?.certificate ?? [] : [], isSigned: audit.isSigned)
    let answers = audit.answers
    audit.entries = []
    audit.answers = []
    audit.isSigned = false
    audit.due_us = nil
    let append = appendAudit
    let isStarted = startWorker(.audit(batch, answers), deadline_us: limits.audit_us) {
      switch append(batch) {
      case .appended: [1]
      case .nameless: [2]
      case .failed(let why): [0] + Array(SupervisorPacket.cut(why, to: SupervisorPacket.maximumEvidenceBytes).utf8)
      }
    }
    if !isStarted { auditFailed("its worker could not be started", batch, answers) }
  }

  func auditAnswered(_ bytes: [UInt8], _ child: EndedChild, _ batch: AuditBatch, _ answers: [AuditQueue.Answer]) {
    guard child.end == .exited(code: 0), let first = bytes.first else { return auditFailed("its worker \(Self.words(child.end))", batch, answers) }
    switch first {
    case 1:
      settle(answers, isWritten: true)
      guard audit.failures > 0 else { return }
      say(.notice, "the audit log is written again")
      let failures = audit.failures
      audit.failures = 0
      note(AuditEvent(.unwritable, .number(failures)))
    case 2:
      putBack(batch)
      // The first runtime tells it.
      audit.pausedUntil_us = later(host.now_us(), by: limits.auditDelay_us)
      settle(answers, isWritten: false)
    default: auditFailed(String(decoding: bytes.dropFirst(), as: UTF8.self), batch, answers)
    }
  }

  /// The device goes on without its log; what waits is tried again, and what has no room by then is counted.
  func auditFailed(_ why: String, _ batch: AuditBatch, _ answers: [AuditQueue.Answer]) {
    if audit.failures == 0 { say(.error, "the audit log cannot be written: \(why)") }
    audit.failures = audit.failures.successor
    putBack(batch)
    audit.pausedUntil_us = later(host.now_us(), by: limits.auditPause_us)
    settle(answers, isWritten: false)
  }

  private func putBack(_ batch: AuditBatch) {
    let all = batch.entries + audit.entries
    let kept = all.prefix(limits.auditEntries - 1)
    audit.withheld = audit.withheld &+ UInt64(all.count &- kept.count)
    audit.entries = Array(kept)
    audit.isSigned = audit.isSigned || batch.isSigned
    audit.due_us = host.now_us()
  }

  /// The last entries of this boot, written while nothing else runs; waits at most twice `auditAtEnd_us`.
  func writeLastAudit(_ reason: AuditWord) -> Phase.Result {
    if wipeEnds_us != nil, storageReport.state == .open { return .skipped("it went with the storage") }
    endAuditWorker()
    // Before the last entry, which the next boot looks at, and not after it.
    if audit.failures > 0 { note(AuditEvent(.unwritable, .number(audit.failures))) }
    audit.failures = 0
    note(AuditEvent(.shutdown, .word(reason)), isUrgent: true)
    writeAudit()
    endAuditWorker()
    return audit.entries.isEmpty ? .done : .failed("\(audit.entries.count) entries are lost")
  }

  /// Waits for the worker that writes the log, and kills one that does not end: two at once would write over each other. What it had goes back into the queue.
  func endAuditWorker() {
    awaitAuditWorker()
    for (process, worker) in workers {
      guard case .audit(let batch, let answers) = worker.job else { continue }
      host.kill(process)
      workers[process] = nil
      _ = host.takeWorkerResult(process)
      auditFailed("no answer in time", batch, answers)
    }
  }

  private func awaitAuditWorker() {
    let began_us = host.now_us()
    while workers.values.contains(where: \.job.isAudit), elapsed_us(since: began_us, now: host.now_us()) < limits.auditAtEnd_us {
      host.wait(for: [], toSend: false, timeout_ms: 50)
      for child in host.takeEnded() { lastingWorkerEnded(child) }
      feedWatchdog()
    }
  }
}

extension StatementKind {
  /// The word of the audit log.
  var auditWord: AuditWord {
    switch self {
    case .release: AuditWord("release")
    case .bindCloud: AuditWord("bind-cloud")
    case .setPeers: AuditWord("set-peers")
    case .transfer: AuditWord("transfer")
    case .setDiscovery: AuditWord("set-discovery")
    case .setRecoveryKey: AuditWord("set-recovery-key")
    case .removeRecoveryKey: AuditWord("remove-recovery-key")
    }
  }
}

extension StartCause {
  /// The word of the audit log.
  var auditWord: AuditWord {
    switch self {
    case .boot: AuditWord("boot")
    case .ended: AuditWord("ended")
    case .hung: AuditWord("hung")
    case .violation: AuditWord("violation")
    }
  }
}

extension ChildEnd {
  /// The words of the audit log.
  var auditValues: (AuditEvent.Value, AuditEvent.Value) {
    switch self {
    case .exited(let code): (.word(AuditWord("exited")), .number(UInt64(UInt32(bitPattern: code))))
    case .killed(let signal): (.word(AuditWord("killed")), .number(UInt64(UInt32(bitPattern: signal))))
    }
  }
}
