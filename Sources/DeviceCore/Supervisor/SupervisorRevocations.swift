internal import Foundations
internal import SupervisorLink

// Whose statements do not count any more. The runtime brings the owner's list and cannot make one; what was brought once stays, over restarts of the
// machine too, so a runtime that is taken over later can neither shorten the list nor lend a withdrawn admin its voice.

extension Supervisor {
  /// Checks a list in a worker: to this process it is bytes. `nil`: the worker's answer settles the request.
  func take(revocations list: [UInt8], request: UInt32) -> RequestOutcome? {
    guard let owner else { return .notPermitted }
    guard !list.isEmpty else { return .refused }
    guard list != revocations else { return whenKept(request) }
    guard !workers.values.contains(where: { $0.job.isRevocations }) else { return .busy }
    let verify = verifyRevocations
    let present = revocations
    let started = startWorker(.revocations(request: request, start: startCount, list), deadline_us: limits.statement_us) {
      WorkerVerdict.bytes(verify(list, owner.certificate, present))
    }
    return started ? nil : .failed
  }

  /// The list is the owner's next.
  func keep(revocations list: [UInt8]) {
    revocations = list
    say(.notice, "a new revocation list of the owner counts")
    note(AuditEvent(.revocations), isUrgent: true)
    // A statement that is being checked by the list before is stale now.
    guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
    tell(.grade(guardState.report(now_us: host.now_us())))
  }
}
