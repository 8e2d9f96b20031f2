internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// What the owner said, who that is, and a quarantine outlive the machine's restart: a worker writes them whenever they change, one at a time and always
// the newest, and boot reads them before there is a runtime. Who has taken over the runtime, and brings about a restart, is free of nothing by it.
// Statements of before a restart count no more after it, because each start has a nonce of its own.

/// What a worker found of what was believed before.
public enum BeliefsFound: Sendable, Equatable {
  /// As `BeliefStore.keep` was given it.
  case record([UInt8])
  /// Nothing was kept, and there is nobody whose word it could be.
  case nothing
  /// Something was kept, and cannot be read: why.
  case lost(String)
}

/// Where the supervisor's beliefs outlive it. Both calls are a worker's whole job.
public protocol BeliefStore {
  func read() -> BeliefsFound
  /// Replaces what is there, as a whole; durable when it returns. nil, or why it could not be.
  func keep(_ record: [UInt8]) -> String?
}

/// How far what is believed is on the medium.
struct BeliefKeeping {
  /// A request that is answered once what it brought about is durable.
  struct Answer {
    let request: UInt32
    /// Of the runtime that asked.
    let start: UInt32
  }

  /// What is there.
  var kept: Belief?
  /// False where a failure left it unknown.
  var isKnown = true
  /// What was there could not be read, and nobody has been pinned since: it stays as it is, so that the next boot finds the same.
  var isLost = false
  var answers: [Answer] = []
  /// Not before this, after a failure.
  var pausedUntil_us: UInt64 = 0
  var failures: UInt64 = 0
}

extension Supervisor {
  /// What is to be kept now; nil while nobody owns the device, and from the order to wipe it on.
  var belief: Belief? {
    guard let owner, wipeEnds_us == nil else { return nil }
    var belief = Belief(owner: owner, revocations: revocations, destination: destination, addresses: addresses, peers: peers, discovers: discovers)
    if guardState.grade >= .quarantined {
      belief.quarantine = Belief.Quarantine(
        grade: guardState.grade, cause: guardState.cause, event: guardState.event, evidence: guardState.evidence)
    }
    return belief
  }

  /// Where the storage is not open, nothing is read, so nothing is written over it either. Who owns the device is not known then, so it serves nobody's
  /// people; nothing is declared, so it speaks to nobody.
  private var hasPlace: Bool {
    switch storageReport.state {
    case .open, .volatile: true
    case .damaged, .locked: false
    }
  }

  // MARK: At boot

  /// Reads what was believed before. Waits, with a deadline; boot has nothing else to do.
  func readBeliefs() -> Phase.Result {
    guard hasPlace else { return .skipped("the storage is \(storageReport.state)") }
    let store = beliefStore
    do throws(SupervisorError) {
      let answer = try awaitStorageWorker {
        switch store.read() {
        case .record(let record): [1] + record
        case .nothing: [2]
        case .lost(let why): [0] + Array(SupervisorPacket.cut(why, to: SupervisorPacket.maximumEvidenceBytes).utf8)
        }
      }
      guard answer.child.end == .exited(code: 0), let first = answer.bytes.first else {
        return beliefsLost("its worker \(Self.words(answer.child.end)) without an answer")
      }
      switch first {
      case 1: restore(try BeliefRecord.belief(Array(answer.bytes.dropFirst())))
      case 2: break
      default: return beliefsLost(String(decoding: answer.bytes.dropFirst(), as: UTF8.self))
      }
      return .done
    } catch {
      return beliefsLost(error.reason)
    }
  }

  private func restore(_ belief: Belief?) {
    beliefs.kept = belief
    guard let belief else { return }
    owner = belief.owner
    revocations = belief.revocations
    destination = belief.destination
    addresses = belief.addresses
    peers = belief.peers
    discovers = belief.discovers
    // The runtime hears of places when the rules let it through.
    destinationIsNews = destination != nil
    peersAreNews = peers != .none
    discoveryIsNews = discovers
    policyIsStale = true
    guard let quarantine = belief.quarantine else { return }
    driveSafe()
    guardState = GradeState(
      grade: quarantine.grade, cause: quarantine.cause, evidence: quarantine.evidence, event: quarantine.event, since_us: 0, nonce: guardState.nonce)
    say(.error, "grade \(quarantine.grade.word), as before the restart: \(quarantine.cause.word): \(quarantine.evidence)")
  }

  /// Whether there was a quarantine is not known: it may not end by this. The owner that the runtime names is believed, as nobody else could end it.
  private func beliefsLost(_ why: String) -> Phase.Result {
    beliefs.isLost = true
    beliefs.isKnown = false
    raise(to: .quarantined, .beliefsLost, evidence: "what was believed before the restart cannot be read: \(why)")
    // Whatever there was, it was before.
    guardState.since_us = 0
    return .failed(why)
  }

  // MARK: Later

  /// `.done` where all that is believed is durable; nil where the request is answered when it is.
  func whenKept(_ request: UInt32) -> RequestOutcome? {
    guard hasPlace else { return .notKept }
    if beliefs.isKnown, beliefs.kept == belief, !isKeeping { return .done }
    // Nobody waits for a medium that failed a moment ago.
    guard host.now_us() >= beliefs.pausedUntil_us else { return .notKept }
    guard beliefs.answers.count < limits.beliefAnswers else { return .busy }
    beliefs.answers.append(BeliefKeeping.Answer(request: request, start: startCount))
    return nil
  }

  private var isKeeping: Bool { workers.values.contains { $0.job.isBeliefs } }

  /// Starts a worker where what is on the medium is not what is believed.
  func keepBeliefsIfDue(now_us: UInt64) {
    guard hasPlace, now_us >= beliefs.pausedUntil_us, !isKeeping else { return }
    guard !beliefs.isLost || owner != nil else { return }
    let belief = belief
    guard !beliefs.isKnown || belief != beliefs.kept else { return settle(takeBeliefAnswers(), .done) }
    let answers = takeBeliefAnswers()
    let store = beliefStore
    let record = BeliefRecord.encoded(belief)
    let isStarted = startWorker(.beliefs(belief, answers), deadline_us: limits.beliefs_us) { WorkerVerdict.bytes(store.keep(record)) }
    if !isStarted { beliefsFailed("its worker could not be started", answers) }
  }

  private func takeBeliefAnswers() -> [BeliefKeeping.Answer] {
    defer { beliefs.answers = [] }
    return beliefs.answers
  }

  private func settle(_ answers: [BeliefKeeping.Answer], _ outcome: RequestOutcome) {
    for waiting in answers { answer(waiting.request, of: waiting.start, outcome) }
  }

  func beliefsKept(_ belief: Belief?, _ answers: [BeliefKeeping.Answer], _ bytes: [UInt8], _ child: EndedChild) {
    if let fault = WorkerVerdict.fault(bytes, child) { return beliefsFailed(fault, answers) }
    if beliefs.failures > 0 { say(.notice, "what the owner said is kept again") }
    beliefs.kept = belief
    beliefs.isKnown = true
    beliefs.isLost = false
    beliefs.failures = 0
    settle(answers, .done)
  }

  /// All of it counts for as long as the machine runs, and it is tried again.
  func beliefsFailed(_ why: String, _ answers: [BeliefKeeping.Answer]) {
    if beliefs.failures == 0 { say(.error, "what the owner said cannot be kept: \(why)") }
    beliefs.failures = beliefs.failures.successor
    // Half of it may be there.
    beliefs.isKnown = false
    beliefs.pausedUntil_us = later(host.now_us(), by: limits.beliefsPause_us)
    settle(answers + takeBeliefAnswers(), .notKept)
  }

  // MARK: At the end

  /// The last change of this boot; waits at most twice `beliefsAtEnd_us`.
  func keepLastBeliefs() -> Phase.Result {
    endBeliefsWorker()
    if wipeEnds_us != nil, storageReport.state == .open { return .skipped("they go with the storage") }
    guard hasPlace else { return .skipped("the storage is \(storageReport.state)") }
    beliefs.pausedUntil_us = 0
    keepBeliefsIfDue(now_us: host.now_us())
    endBeliefsWorker()
    if beliefs.isLost, owner == nil { return .skipped("they were lost, and are as they were found") }
    return beliefs.isKnown && beliefs.kept == belief ? .done : .failed("the last change is lost")
  }

  /// Waits for the worker that writes, and kills one that does not end.
  private func endBeliefsWorker() {
    let began_us = host.now_us()
    while isKeeping, elapsed_us(since: began_us, now: host.now_us()) < limits.beliefsAtEnd_us {
      host.wait(for: [], toSend: false, timeout_ms: 50)
      for child in host.takeEnded() { lastingWorkerEnded(child) }
      feedWatchdog()
    }
    for (process, worker) in workers {
      guard case .beliefs(_, let answers) = worker.job else { continue }
      host.kill(process)
      workers[process] = nil
      _ = host.takeWorkerResult(process)
      beliefsFailed("no answer in time", answers)
    }
  }
}
