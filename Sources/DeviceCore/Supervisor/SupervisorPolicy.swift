internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// The rules in the kernel follow grade, destination and resolvers. A worker applies them, because the library that does it is large, may
// block and may end its process.

extension Supervisor {
  /// The broker's addresses and, while nothing is the matter with the runtime, those of the peers and where they were found since.
  var declaredDestinations: [NetworkPolicyRules.Destination] {
    let broker = destination.map { destination in addresses.map { NetworkPolicyRules.Destination(address: $0, port: destination.port) } } ?? []
    guard guardState.grade < .quarantined else { return broker }
    let others = peers.list.flatMap { peer in
      [peer.address, movedPeers[peer]].compactMap { $0 }.map { NetworkPolicyRules.Destination(address: $0, port: peer.port) }
    }
    return (broker + others).reduce(into: []) { list, one in if !list.contains(one) { list.append(one) } }
  }

  /// Names are looked up for the declared one alone.
  private var isDeclaredByName: Bool { destination.map { $0.address == nil } ?? false }

  var wantedRules: NetworkPolicyRules {
    let declared = declaredDestinations
    // In quarantine nothing is let through out of courtesy.
    let courtesy = guardState.grade >= .quarantined ? [] : withdrawn.filter { !declared.contains($0) }
    return NetworkPolicyRules(
      grade: guardState.grade, servedPort: limits.servedPort, destinations: guardState.grade >= .locked ? [] : declared + courtesy,
      resolvers: guardState.grade >= .locked || !isDeclaredByName ? [] : resolvers,
      discovers: guardState.grade < .quarantined && (discovers || discoveryEnds_us != nil))
  }

  /// The rules before the interface is up: whatever comes or goes on it later meets them. Waits, with a deadline; boot has nothing else to do.
  func applyFirstRules() -> Phase.Result {
    let rules = wantedRules
    let policy = board.networkPolicy
    do throws(SupervisorError) {
      let process = try host.startWorker(rights: .network) { WorkerVerdict.bytes(of: { () throws(BoardError) in try policy.apply(rules) }) }
      let began_us = host.now_us()
      while elapsed_us(since: began_us, now: host.now_us()) < limits.policy_us {
        for child in host.takeEnded() {
          guard child.process == process else {
            ended(child)
            continue
          }
          return firstRulesApplied(rules, host.takeWorkerResult(process), child)
        }
        host.wait(for: [], toSend: false, timeout_ms: 20)
        feedWatchdog()
      }
      host.kill(process)
      _ = host.takeWorkerResult(process)
      return firstRulesFailed("no answer within \(limits.policy_us / 1_000_000) s")
    } catch {
      return firstRulesFailed(error.description)
    }
  }

  /// They are tried again when the loop runs; the interface comes up when they are in force.
  private func firstRulesFailed(_ why: String) -> Phase.Result {
    policyIsStale = true
    rulesAreKnown = false
    return .failed(why)
  }

  /// The interface that had no rules at boot has them now.
  private func bringUpLate() {
    guard !networkIsUp else { return }
    do throws(BoardError) {
      try bringUpNetwork()
      say(.notice, "the network is up, now that there are rules for it")
      tell(.link(up: carrier))
    } catch {
      say(.error, "network: \(error)")
    }
  }

  func bringUpNetwork() throws(BoardError) {
    try board.network.bringUp()
    networkIsUp = true
    carrier = try board.network.takeCarrier()
  }

  private func firstRulesApplied(_ rules: NetworkPolicyRules, _ result: [UInt8], _ child: EndedChild) -> Phase.Result {
    if let failure = WorkerVerdict.fault(result, child) { return firstRulesFailed(failure) }
    appliedRules = rules
    policyIsStale = false
    return .done
  }

  /// Starts a worker where the rules in force are not those that are wanted.
  func applyRulesIfDue(now_us: UInt64) {
    guard policyIsStale, now_us >= policyPausedUntil_us, !workers.values.contains(where: { $0.job.isPolicy }) else { return }
    policyIsStale = false
    let rules = wantedRules
    guard !rulesAreKnown || rules != appliedRules else { return rulesAreInForce() }
    let policy = board.networkPolicy
    if !startWorker(
      .policy(rules), deadline_us: limits.policy_us, rights: .network, { WorkerVerdict.bytes(of: { () throws(BoardError) in try policy.apply(rules) }) })
    {
      rulesFailed("its worker could not be started", now_us: now_us)
    }
  }

  func rulesApplied(_ rules: NetworkPolicyRules, _ result: [UInt8], _ child: EndedChild, now_us: UInt64) {
    if let failure = WorkerVerdict.fault(result, child) { return rulesFailed(failure, now_us: now_us) }
    appliedRules = rules
    rulesAreKnown = true
    policyFailures = 0
    bringUpLate()
    say(.info, "network rules of the grade \(rules.grade.word) are in force: \(rules.destinations.count) destinations, \(rules.resolvers.count) resolvers")
    if !policyIsStale { rulesAreInForce() }
  }

  /// The kernel does what is wanted: the runtime may hear where it may send to.
  private func rulesAreInForce() {
    for request in awaitingRules { tell(.answer(request: request, .done)) }
    awaitingRules = []
    if peersAreNews, guardState.grade < .quarantined {
      peersAreNews = false
      tell(.peers(peers))
    }
    if discoveryIsNews, guardState.grade < .quarantined {
      discoveryIsNews = false
      tell(.discovery(isOn: discovers))
    }
    guard destinationIsNews, let destination else { return }
    destinationIsNews = false
    tell(.destination(DestinationReport(destination: destination, addresses: addresses)))
  }

  /// Rules that cannot be replaced leave the old ones, which is no answer where the grade has risen: the machine starts anew then.
  func rulesFailed(_ why: String, now_us: UInt64) {
    policyIsStale = true
    // It may have replaced them before it failed.
    rulesAreKnown = false
    policyFailures = policyFailures.successor
    policyPausedUntil_us = later(now_us, by: limits.brokenPartPause_us)
    for request in awaitingRules { tell(.answer(request: request, .failed)) }
    awaitingRules = []
    say(.error, "network rules: \(why)")
  }

  var isPolicyBeyondRepair: Bool { policyFailures >= limits.policyAttempts && guardState.grade >= .quarantined }
}
