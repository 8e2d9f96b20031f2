internal import BoardAPI
internal import Foundations
internal import SupervisorLink

extension Supervisor {
  /// Starts a worker for `job`; false where it could not be, which is logged.
  func startWorker(_ job: WorkerJob, deadline_us: UInt64, rights: WorkerRights = .none, _ work: @escaping () -> [UInt8]) -> Bool {
    do throws(SupervisorError) {
      let process = try host.startWorker(rights: rights, work)
      workers[process] = WorkerInProgress(job: job, deadline_us: later(host.now_us(), by: deadline_us))
      return true
    } catch {
      say(.error, "\(job.name): \(error)")
      return false
    }
  }

  func checkWorkers(now_us: UInt64) {
    for (process, worker) in workers where now_us > worker.deadline_us {
      host.kill(process)
      // Reaped as an orphan; its number is forgotten, so a late result is too.
      workers[process] = nil
      _ = host.takeWorkerResult(process)
      say(.error, "\(worker.job.name): its worker gave no answer in time and was killed")
      switch worker.job {
      case .rootOfTrust: break
      case .policy: rulesFailed("no answer in time", now_us: now_us)
      case .statement(let request, let start, _), .revocations(let request, let start, _), .recoveryOffer(let request, let start):
        answer(request, of: start, .failed)
      case .identity(let requests, let start):
        for request in requests { answer(request, of: start, .failed) }
        startStorageJobIfIdle()
      case .wipeRecord(let order): recordFailed(order)
      case .remake(let request, let start): answer(request, of: start, .failed)
      case .recoveryOrder(let order):
        answer(order.request, of: order.start, .failed)
        startStorageJobIfIdle()
      case .audit(let batch, let answers): auditFailed("no answer in time", batch, answers)
      case .beliefs(_, let answers): beliefsFailed("no answer in time", answers)
      case .signature(let request, let start):
        answer(request, of: start, .failed)
        startSignatureIfIdle()
      }
    }
  }

  /// A worker ended: what it wrote is as carefully read as any packet.
  func workerEnded(_ worker: WorkerInProgress, _ child: EndedChild) {
    let bytes = host.takeWorkerResult(child.process)
    let now_us = host.now_us()
    switch worker.job {
    case .rootOfTrust: rootOfTrustAnswered(bytes, child)
    case .policy(let rules): rulesApplied(rules, bytes, child, now_us: now_us)
    case .statement(let request, let start, let statement):
      let isGood = isGood(bytes, child, what: "a statement")
      guard let outcome = isGood ? carryOut(statement, request: request, of: start, now_us: now_us) : .notPermitted else {
        // A wipe or a recovery key, which is answered when it is recorded.
        return note(AuditEvent(.statementAccepted, .word(statement.kind.auditWord)), isUrgent: true)
      }
      if outcome == .done {
        note(AuditEvent(.statementAccepted, .word(statement.kind.auditWord)), isUrgent: true)
      } else {
        note(AuditEvent(.statementRefused, .word(statement.kind.auditWord)), isOthers: true)
      }
      // What was carried out is answered when it is durable.
      guard outcome == .done, start == startCount else { return answer(request, of: start, outcome) }
      if let outcome = whenKept(request) { answer(request, of: start, outcome) }
    case .revocations(let request, let start, let list):
      let isGood = isGood(bytes, child, what: "a revocation list")
      guard isGood else { return answer(request, of: start, .refused) }
      keep(revocations: list)
      guard start == startCount else { return }
      if let outcome = whenKept(request) { answer(request, of: start, outcome) }
    case .identity(let requests, let start): identityCommitted(requests, of: start, bytes, child)
    case .wipeRecord(let order): wipeRecorded(order, bytes, child, now_us: now_us)
    case .remake(let request, let start): storageRemade(request, of: start, bytes, child, now_us: now_us)
    case .recoveryOffer(let request, let start): recoveryOffered(request, of: start, bytes, child)
    case .recoveryOrder(let order): recoveryKept(order, bytes, child, now_us: now_us)
    case .audit(let batch, let answers): auditAnswered(bytes, child, batch, answers)
    case .beliefs(let belief, let answers): beliefsKept(belief, answers, bytes, child)
    case .signature(let request, let start): signatureMade(request, of: start, bytes, child)
    }
  }

  /// Whether a worker found what it was given to be the owner's; where not, the log says why.
  private func isGood(_ bytes: [UInt8], _ child: EndedChild, what: String) -> Bool {
    guard let why = WorkerVerdict.fault(bytes, child) else { return true }
    say(.warning, "\(what) is refused: \(why)")
    return false
  }

  /// A runtime that was started since has requests of its own with the same numbers.
  func answer(_ request: UInt32, of start: UInt32, _ outcome: RequestOutcome) {
    if start == startCount { tell(.answer(request: request, outcome)) }
  }

  private func rootOfTrustAnswered(_ bytes: [UInt8], _ child: EndedChild) {
    do throws(LinkError) {
      switch try SupervisorPacket.decodeSupervisorMessage(bytes) {
      case .rootOfTrust(let report):
        rootOfTrust = report
        if case .alive = state { tell(.rootOfTrust(report)) }
        say(.info, "root of trust: \(report.kind)\(report.manufacturer.isEmpty ? "" : " of maker \(report.manufacturer)")")
      case .log(let level, _, let text): say(level, "root of trust: \(text)")
      default: say(.error, "root of trust: its worker answered something else")
      }
    } catch {
      say(.error, "root of trust: its worker \(Self.words(child.end)) without an answer (\(error))")
    }
  }
}

extension Supervisor.WorkerJob {
  /// For the log.
  var name: String {
    switch self {
    case .rootOfTrust: "root of trust"
    case .policy: "network rules"
    case .statement: "statement"
    case .revocations: "revocation list"
    case .identity: "identity"
    case .wipeRecord: "record of the wipe"
    case .remake: "new storage"
    case .recoveryOffer, .recoveryOrder: "recovery key"
    case .audit: "audit log"
    case .beliefs: "beliefs"
    case .signature: "signature of the device's own key"
    }
  }
}
