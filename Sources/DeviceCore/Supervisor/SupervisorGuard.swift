internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// The grade is the supervisor's: facts that it sees itself raise it, the runtime may ask for more, and nobody lowers it but the owner's
// admin by a statement that a worker has checked, or time where the evidence was of the kind that anyone on the network can produce.

/// What the supervisor knows of the grade.
struct GradeState {
  var grade = Grade.normal
  var cause = GradeCause.none
  var evidence = ""
  /// Counts the changes since boot, and from that of a quarantine on that was kept over it.
  var event: UInt64 = 0
  /// 0 where it began before the machine's start.
  var since_us: UInt64 = 0
  /// When it ends by itself; nil where only the owner ends it.
  var decays_us: UInt64?
  var nonce: [UInt8]

  /// Whether the machine was started since it began.
  var isFromBefore: Bool { since_us == 0 }

  func report(now_us: UInt64) -> GradeReport {
    let decay_ms = decays_us.map { max(1, UInt32(clamping: elapsed_us(since: now_us, now: $0) / 1_000)) } ?? 0
    return GradeReport(grade: grade, cause: cause, event: event, at_us: since_us, decay_ms: decay_ms, nonce: nonce, evidence: evidence)
  }
}

/// Whom the device belongs to, pinned at the claim.
struct PinnedOwner: Equatable {
  /// The device's id, 10 bytes.
  let device: [UInt8]
  /// The owner CA's certificate, DER.
  let certificate: [UInt8]
}

extension Supervisor {
  /// Raises the grade, or renews one that would end by itself. Never lowers it.
  func raise(to wanted: Grade, _ cause: GradeCause, evidence: String) {
    let now_us = host.now_us()
    // Whatever is asked: this kind of evidence leads no further than this.
    let grade = min(wanted, cause.ceiling)
    guard grade >= guardState.grade, grade > .normal else { return }
    let decays_us = grade == .restricted ? later(now_us, by: limits.restriction_us) : nil
    if grade == guardState.grade {
      guard guardState.decays_us != nil else { return }
      guardState.decays_us = decays_us
      return tell(.grade(guardState.report(now_us: now_us)))
    }
    change(to: grade, cause, evidence: evidence, decays_us: decays_us, now_us: now_us)
    say(.error, "grade \(grade.word): \(cause.word): \(guardState.evidence)")
  }

  private func change(to grade: Grade, _ cause: GradeCause, evidence: String, decays_us: UInt64?, now_us: UInt64) {
    // The way to the peers and neighbours opens again with the next rules: a runtime that went before would send undeclared packets.
    if guardState.grade >= .quarantined, grade < .quarantined {
      peersAreNews = peersAreNews || peers != .none
      discoveryIsNews = discoveryIsNews || discovers
    }
    guardState = GradeState(
      grade: grade, cause: cause, evidence: SupervisorPacket.cut(evidence, to: SupervisorPacket.maximumEvidenceBytes),
      event: guardState.event.successor, since_us: now_us, decays_us: decays_us, nonce: host.randomBytes(GradeReport.nonce_bytes))
    if grade >= .quarantined { driveSafe() }
    // A lighter grade, and its end, is what anyone on the network can bring about.
    note(
      AuditEvent(.grade, .word(AuditWord(grade)), .word(AuditWord(cause))), isUrgent: grade >= .quarantined,
      isOthers: grade == .restricted || cause == .decayed)
    policyIsStale = true
    tell(.grade(guardState.report(now_us: now_us)))
  }

  /// The load is over.
  func checkDecay(now_us: UInt64) {
    guard let decays_us = guardState.decays_us, now_us >= decays_us else { return }
    say(.notice, "grade normal: no new evidence for \(limits.restriction_us / 1_000_000) s")
    change(to: .normal, .decayed, evidence: "", decays_us: nil, now_us: now_us)
  }

  /// Undeclared traffic that the kernel dropped is a fact that the runtime has no say in.
  func checkEgress(now_us: UInt64) {
    guard now_us >= egressCheckedNext_us else { return }
    egressCheckedNext_us = later(now_us, by: limits.egressCheck_us)
    countEgress(now_us: now_us)
  }

  /// Asks the kernel now. What is counted in quarantine is no new evidence once the owner has ended it.
  func countEgress(now_us: UInt64) {
    guard appliedRules != nil else { return }
    do throws(BoardError) {
      let count = try board.networkPolicy.undeclaredPackets()
      let packets = count >= egressSeen ? count &- egressSeen : count
      egressSeen = count
      guard packets > 0, guardState.grade < .quarantined else { return }
      raise(to: .quarantined, .undeclaredEgress, evidence: "\(packets) packets to addresses that are not declared were dropped")
    } catch {
      egressCheckedNext_us = later(now_us, by: limits.brokenPartPause_us)
      say(.error, "undeclared traffic cannot be counted: \(error)")
    }
  }

  /// The runtime asks for a higher grade.
  func raiseAsAsked(_ grade: Grade, _ cause: GradeCause, evidence: String) -> RequestOutcome {
    switch cause {
    case .authenticationFailures, .requested: break
    // The rest are facts of the supervisor's own.
    default: return .refused
    }
    guard grade > .normal, grade <= cause.ceiling else { return .refused }
    raise(to: grade, cause, evidence: evidence)
    return .done
  }

  // MARK: The owner

  /// `nil`: it is answered when it is durable.
  func pin(_ owner: PinnedOwner, request: UInt32) -> RequestOutcome? {
    // The owner of the life that is ending is nobody's to confirm, and the next one's belongs to the next.
    guard wipeEnds_us == nil else { return .busy }
    if let pinned = self.owner {
      guard pinned == owner else {
        say(.error, "another owner than the pinned one is refused")
        return .refused
      }
      return whenKept(request)
    }
    guard !owner.certificate.isEmpty else { return .refused }
    self.owner = owner
    say(.notice, "the owner is pinned")
    note(AuditEvent(.ownerPinned))
    return whenKept(request)
  }

  /// Checks a statement in a worker. `nil`: the worker's answer settles the request.
  func judge(_ statement: SignedStatement, request: UInt32) -> RequestOutcome? {
    guard let owner else { return .notPermitted }
    guard statement.event == guardState.event, statement.nonce == guardState.nonce else { return .stale }
    guard !workers.values.contains(where: { $0.job.isStatement }) else { return .busy }
    guard guardState.grade < .locked else { return .notInThisGrade }
    // What it orders must make sense before anyone's time is spent on its signature.
    guard isWellFormed(statement) else { return .refused }
    if [.setRecoveryKey, .removeRecoveryKey].contains(statement.kind), let refusal = recoveryRefusal(statement) { return refusal }
    let verify = verifyStatement
    let revocations = revocations
    let started = startWorker(.statement(request: request, start: startCount, statement), deadline_us: limits.statement_us) {
      WorkerVerdict.bytes(verify(statement, owner.device, owner.certificate, revocations))
    }
    return started ? nil : .failed
  }

  /// Whether the body is written as it should be, and the places in one that has some are hosts: the network rules would refuse anything else, and
  /// with it each later change.
  private func isWellFormed(_ statement: SignedStatement) -> Bool {
    let addresses: [NetworkAddress]
    switch statement.kind {
    case .release, .transfer, .setRecoveryKey, .removeRecoveryKey: return true
    case .setDiscovery: return Self.isOn(statement) != nil
    case .bindCloud:
      guard let destination = CloudDestination(encoded: statement.body) else { return false }
      addresses = destination.address.map { [$0] } ?? []
    case .setPeers:
      guard let peers = PeerDestinations(encoded: statement.body) else { return false }
      addresses = peers.list.map(\.address)
    }
    return limits.allowsLoopback || addresses.allSatisfy(\.isUnicastHost)
  }

  /// What the statement orders, once its signature was found good. `nil`: it is answered later.
  func carryOut(_ statement: SignedStatement, request: UInt32, of start: UInt32, now_us: UInt64) -> RequestOutcome? {
    // It may have become stale while it was checked.
    guard statement.event == guardState.event, statement.nonce == guardState.nonce else { return .stale }
    switch statement.kind {
    case .release:
      countEgress(now_us: now_us)
      say(.notice, "grade normal: released by the owner")
      change(to: .normal, .released, evidence: "", decays_us: nil, now_us: now_us)
    case .bindCloud:
      guard let bound = CloudDestination(encoded: statement.body) else { return .refused }
      // The same broker once more keeps its addresses: its name need not be asked for again.
      if bound != destination {
        withdrawDestinations(now_us: now_us)
        destination = bound
        addresses = bound.address.map { [$0] } ?? []
      }
      policyIsStale = true
      guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
      say(.notice, "the broker is \(bound), by order of the owner")
      destinationIsNews = true
      tell(.grade(guardState.report(now_us: now_us)))
    case .transfer:
      // The runtime empties its folder; the pinned owner, the broker and the peers go with the restart.
      guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
      return order(WipeOrder(request: request, start: start, word: statement.kind.auditWord, why: "released by its owner"), now_us: now_us)
    case .setRecoveryKey, .removeRecoveryKey:
      guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
      tell(.grade(guardState.report(now_us: now_us)))
      return orderRecovery(statement, request: request, of: start)
    case .setPeers:
      guard let peers = PeerDestinations(encoded: statement.body) else { return .refused }
      if peers != self.peers {
        withdrawDestinations(now_us: now_us)
        self.peers = peers
        movedPeers = movedPeers.filter { peers.list.contains($0.key) }
        policyIsStale = true
        peersAreNews = true
        say(.notice, "\(peers.list.count) places of peers are declared, by order of the owner")
      }
      guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
      tell(.grade(guardState.report(now_us: now_us)))
    case .setDiscovery:
      guard let isOn = Self.isOn(statement) else { return .refused }
      setDiscovery(isOn, now_us: now_us)
      guardState.nonce = host.randomBytes(GradeReport.nonce_bytes)
      tell(.grade(guardState.report(now_us: now_us)))
    }
    return .done
  }

  // MARK: The declared destination

  /// What DNS said of the declared name, looked at as if an attacker had written it: bounded in number and rate, and hosts only.
  ///
  /// `nil`: it is answered once the rules let these addresses through. Whoever connected sooner would send undeclared packets.
  func takeAddresses(_ addresses: [NetworkAddress], request: UInt32, now_us: UInt64) -> RequestOutcome? {
    guard let destination, destination.address == nil else { return .unknownName }
    guard guardState.grade < .quarantined else { return .notInThisGrade }
    guard !addresses.isEmpty, addresses.count <= DestinationReport.maximumAddresses, addresses.allSatisfy(\.isUnicastHost) else { return .refused }
    guard Set(addresses) != Set(self.addresses) else { return answerWhenInForce(request) }
    guard addressRate.take(now_us: now_us) else { return .busy }
    withdrawDestinations(now_us: now_us)
    self.addresses = addresses
    policyIsStale = true
    say(.info, "\(destination.host) is \(addresses.map(\.description).joined(separator: ", "))")
    destinationIsNews = true
    return answerWhenInForce(request)
  }

  /// `.done`, or nil where the rules that are wanted are not in force yet: then it is answered when they are.
  func answerWhenInForce(_ request: UInt32) -> RequestOutcome? {
    guard policyIsStale || workers.values.contains(where: { $0.job.isPolicy }) else { return .done }
    // The requests of one runtime that wait at a time are bounded by its own count of them; a runtime that has more is no healthy one.
    guard awaitingRules.count < limits.awaitingRules else { return .busy }
    awaitingRules.append(request)
    return nil
  }

  /// Those of now are let through for a moment longer: the runtime hears of the change first, and a connection that it was just making to where
  /// it still might is no attack.
  func withdrawDestinations(now_us: UInt64) {
    withdrawn = declaredDestinations
    withdrawnUntil_us = withdrawn.isEmpty ? nil : later(now_us, by: limits.withdrawal_us)
  }

  func checkWithdrawal(now_us: UInt64) {
    if let discoveryEnds_us, now_us >= discoveryEnds_us {
      self.discoveryEnds_us = nil
      policyIsStale = true
    }
    guard let withdrawnUntil_us, now_us >= withdrawnUntil_us else { return }
    withdrawn = []
    self.withdrawnUntil_us = nil
    policyIsStale = true
  }
}
