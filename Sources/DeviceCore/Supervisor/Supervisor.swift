public import BoardAPI
internal import Foundations
public import SupervisorLink

/// PID 1's work, and on a development host that of the first process: it starts the runtime, watches it, and keeps outputs safe whenever
/// there is none to be trusted.
///
/// One thread, synchronous, one loop: `turn()` waits once, then looks at everything, and nothing else in it waits. It never parses
/// what came from a network, never calls what can block (a worker does), and never ends while the machine runs. Swift traps would end it,
/// so everything is checked before it is computed.
public final class Supervisor {
  /// What follows a turn.
  public enum Verdict: Sendable, Equatable {
    case goOn
    /// Outputs are safe; the machine must start anew, because of this.
    case restart(reason: String)
    case powerOff
  }

  /// One runtime, from its start to its end.
  struct Runtime {
    let process: Int32
    let started_us: UInt64
    var servesBy_us: UInt64
    var lastSign_us: UInt64
    /// Whether a standstill of the machine was forgiven since its last sign.
    var isForgiven = false
    /// The number of the last heartbeat; nil before the first.
    var heartbeat: UInt64?
    var isReady = false
    var rate: PacketRate
  }

  enum RuntimeState {
    /// None runs; the next may be started from this time on.
    case none(notBefore_us: UInt64)
    case alive(Runtime)
    /// It closed its link, as every process does a moment before it can be reaped. One that stays is killed.
    case leaving(process: Int32, since_us: UInt64)
    /// Killed, and not reaped yet.
    case dying(process: Int32, since_us: UInt64, cause: StartCause)
  }

  /// What a worker was started for.
  enum WorkerJob {
    case rootOfTrust
    case policy(NetworkPolicyRules)
    /// `start`: of the runtime that asked; a later one has requests of its own.
    case statement(request: UInt32, start: UInt32, SignedStatement)
    case revocations(request: UInt32, start: UInt32, [UInt8])
    /// Keeps the files of the identity folder, as these requests asked for.
    case identity(requests: [UInt32], start: UInt32)
    /// Records that the device is to be wiped.
    case wipeRecord(WipeOrder)
    /// Makes a damaged or locked storage anew.
    case remake(request: UInt32, start: UInt32)
    /// Makes a key that a recovery key is sealed to.
    case recoveryOffer(request: UInt32, start: UInt32)
    /// Keeps an order about the recovery key.
    case recoveryOrder(RecoveryOrder)
    case audit(AuditBatch, [AuditQueue.Answer])
    /// Keeps what is believed; nil for nothing.
    case beliefs(Belief?, [BeliefKeeping.Answer])
    /// Signs with the device's own key.
    case signature(request: UInt32, start: UInt32)

    var isPolicy: Bool { if case .policy = self { true } else { false } }
    var isStatement: Bool { if case .statement = self { true } else { false } }
    var isRevocations: Bool { if case .revocations = self { true } else { false } }
    var isStorage: Bool {
      switch self {
      case .identity, .wipeRecord, .remake, .recoveryOrder: true
      default: false
      }
    }
    var isRecoveryOffer: Bool { if case .recoveryOffer = self { true } else { false } }
    var isWipeRecord: Bool { if case .wipeRecord = self { true } else { false } }
    var isAudit: Bool { if case .audit = self { true } else { false } }
    var isSignature: Bool { if case .signature = self { true } else { false } }
    var isBeliefs: Bool { if case .beliefs = self { true } else { false } }
    /// Whether it is let come to its end when the machine goes down.
    var isLasting: Bool { isAudit || isBeliefs }
  }

  struct WorkerInProgress {
    let job: WorkerJob
    let deadline_us: UInt64
  }

  let board: any Board
  let host: any ProcessHost
  let limits: SupervisorLimits
  let log: SupervisorLog

  var state = RuntimeState.none(notBefore_us: 0)
  /// When the loop last looked at everything; nil before it has.
  var lastTurn_us: UInt64?
  var policy: RestartPolicy
  var nextCause = StartCause.boot
  var startCount: UInt32 = 0
  /// Packets for the runtime that the link had no room for yet.
  var outgoing: [[UInt8]] = []

  var bootReports: [PhaseReport] = []
  /// By process id; at most one of each kind.
  var workers: [Int32: WorkerInProgress] = [:]
  var rootOfTrust: RootOfTrustReport?
  /// Damaged until a worker has said otherwise.
  var storageReport = StorageReport(state: .damaged, reason: "the storage was not opened yet")
  /// The device's own key, where the root of trust keeps it.
  var identityKey: IdentityKey?
  /// What is to be signed with it, and for which no worker runs yet.
  var awaitingSignatures: [SignatureRequest] = []
  var signatureRate: PacketRate
  /// Of keys that a recovery key may be sealed to: each costs a process, and an owner needs one a year.
  var recoveryRate: PacketRate
  /// Requests that wait for the identity folder to be kept, and for which no worker runs yet.
  var awaitingCommit: [UInt32] = []
  /// Whether it was told that undeclared files lie in that folder.
  var toldUndeclared = false
  var carrier = false
  var leaseEnds_us: UInt64?
  /// The address that is set, and the network that it is of.
  var leasePrefix: IPv4Prefix?
  var inputsPausedUntil_us: UInt64 = 0
  var carrierPausedUntil_us: UInt64 = 0
  /// Whether the watchdog was started by the phase of boot of that name.
  var watchdogRuns = false
  var watchdogFailed = false
  /// Who stands at the device.
  var hand = HandState()
  /// A wipe that is to be recorded, and for which no worker runs yet.
  var awaitingWipe: WipeOrder?
  /// When the machine restarts because the device is wiped.
  var wipeEnds_us: UInt64?
  var recovery = RecoveryState()

  var guardState: GradeState
  var owner: PinnedOwner?
  /// The owner's newest revocation list, DER, as a worker checked it; empty before the first.
  var revocations: [UInt8] = []
  var destination: CloudDestination?
  /// Of the destination: its own where it is numeric, else those that DNS gave.
  var addresses: [NetworkAddress] = []
  /// Where the runtime may reach its peers, by the owner's word.
  var peers = PeerDestinations.none
  /// As `destinationIsNews`.
  var peersAreNews = false
  /// Whether the device may speak multicast DNS, by the owner's word.
  var discovers = false
  /// Where declared peers were found since, on this link.
  var movedPeers: [PeerDestinations.Destination: NetworkAddress] = [:]
  var peerRate: PacketRate
  /// As `destinationIsNews`.
  var discoveryIsNews = false
  /// It was ended a moment ago, and is let through until then.
  var discoveryEnds_us: UInt64?
  var addressRate: PacketRate
  /// The runtime has not heard of the destination yet: it does when the rules let it through.
  var destinationIsNews = false
  /// Requests that are answered when the rules are in force.
  var awaitingRules: [UInt32] = []
  /// Destinations of a moment ago, which are still let through until then.
  var withdrawn: [NetworkPolicyRules.Destination] = []
  var withdrawnUntil_us: UInt64?
  /// Those of the lease, and of the one before.
  var resolvers: [NetworkAddress] = []
  var newestResolvers: [NetworkAddress] = []
  var resolverRate: PacketRate
  /// Whether a statement is the owner's, asked in a worker.
  let verifyStatement: StatementVerifier
  /// Whether a revocation list is the owner's next, asked in a worker.
  let verifyRevocations: RevocationVerifier

  /// Opens what a statement about the recovery key carries, in a worker.
  let recoveryWork: RecoveryKeyWork

  /// What waits for the audit log.
  var audit: AuditQueue
  /// Appends to it, in a worker.
  let appendAudit: AuditAppender

  /// How far what is believed is kept.
  var beliefs = BeliefKeeping()
  /// Where it is kept, by workers.
  let beliefStore: any BeliefStore

  /// The rules that are in force; nil before the first.
  var appliedRules: NetworkPolicyRules?
  var policyIsStale = false
  /// Whether `appliedRules` are what the kernel has for sure: a worker that failed may have replaced them before.
  var rulesAreKnown = true
  var networkIsUp = false
  var policyFailures: UInt32 = 0
  var policyPausedUntil_us: UInt64 = 0
  var egressCheckedNext_us: UInt64 = 0
  /// Undeclared packets that were counted already.
  var egressSeen: UInt64 = 0

  /// Looks at a statement with the pinned owner CA (device id of 10 bytes, certificate in DER) and the owner's revocation list (DER, or empty): nil
  /// where an admin of that owner signed it, else why it is refused. It runs in a worker, so it may call large libraries.
  public typealias StatementVerifier = (_ statement: SignedStatement, _ device: [UInt8], _ owner: [UInt8], _ revocations: [UInt8]) -> String?
  /// Looks at a revocation list with the pinned owner CA and the list that counts now (empty before the first), all in DER: nil where it is that
  /// owner's next, else why it is refused. It runs in a worker too.
  public typealias RevocationVerifier = (_ list: [UInt8], _ owner: [UInt8], _ present: [UInt8]) -> String?

  /// Appends a batch to the audit log. It runs in a worker too.
  public typealias AuditAppender = (_ batch: AuditBatch) -> AuditOutcome

  public init(
    board: any Board, host: any ProcessHost, limits: SupervisorLimits = SupervisorLimits(), verifyStatement: @escaping StatementVerifier,
    verifyRevocations: @escaping RevocationVerifier, recoveryWork: RecoveryKeyWork, appendAudit: @escaping AuditAppender, beliefStore: any BeliefStore
  ) {
    self.board = board
    self.host = host
    self.limits = limits
    self.verifyStatement = verifyStatement
    self.verifyRevocations = verifyRevocations
    self.recoveryWork = recoveryWork
    self.appendAudit = appendAudit
    self.beliefStore = beliefStore
    audit = AuditQueue(rate: PacketRate(burst: limits.auditBurst, interval_s: limits.auditInterval_s, now_us: host.now_us()))
    guardState = GradeState(nonce: host.randomBytes(GradeReport.nonce_bytes))
    addressRate = PacketRate(burst: limits.addressBurst, interval_s: limits.addressInterval_s, now_us: host.now_us())
    signatureRate = PacketRate(burst: limits.signatureBurst, perSecond: limits.signaturesPerSecond, now_us: host.now_us())
    recoveryRate = PacketRate(burst: limits.addressBurst, interval_s: limits.addressInterval_s, now_us: host.now_us())
    peerRate = PacketRate(burst: limits.addressBurst, interval_s: limits.addressInterval_s, now_us: host.now_us())
    resolverRate = PacketRate(burst: limits.addressBurst, interval_s: limits.addressInterval_s, now_us: host.now_us())
    log = SupervisorLog(console: board.console, keptLines: limits.keptLogLines)
    policy = RestartPolicy(limits: limits)
  }

  /// Boots, supervises, and ends the machine in order. Never returns.
  public func run() -> Never {
    var verdict = boot()
    if case .restart = verdict { pauseBeforeRestart() }
    while verdict == .goOn { verdict = turn() }
    shutDown(verdict)
    if case .powerOff = verdict { board.powerOff() }
    board.restart()
  }

  /// One round of the loop: waits for at most `longestWait_ms`, then looks at everything once.
  public func turn() -> Verdict {
    host.wait(for: awaited, toSend: !outgoing.isEmpty, timeout_ms: timeToNextDue_ms())
    forgiveStandstill(now_us: host.now_us())
    // What ended comes first: outputs are safe before anything else is done.
    for child in host.takeEnded() { ended(child) }
    takePackets()
    takeInputs()
    takeCarrier()
    let now_us = host.now_us()
    checkSilence(now_us: now_us)
    checkLeaving(now_us: now_us)
    checkWorkers(now_us: now_us)
    checkLease(now_us: now_us)
    checkDecay(now_us: now_us)
    checkEgress(now_us: now_us)
    checkWithdrawal(now_us: now_us)
    showHold(now_us: now_us)
    wipeByHandIfDue(now_us: now_us)
    applyRulesIfDue(now_us: now_us)
    if host.takeEndRequest() {
      say(.notice, "asked to end")
      return .powerOff
    }
    if policy.isCeilingReached, case .none = state {
      let why = "\(policy.unsettledEnds) runtimes in a row ended before they had settled"
      // Once more in quarantine, where less can reach it; when that does not help either, the whole machine starts afresh.
      guard guardState.grade < .quarantined else { return .restart(reason: why) }
      raise(to: .quarantined, .crashLoop, evidence: why)
      policy.startAnew()
    }
    // A runtime that has ended has no successor in this life of the device: it would serve what is about to go.
    if let wipeEnds_us, now_us >= wipeEnds_us || hasNoRuntime { return .restart(reason: "the device is wiped") }
    // A wipe that is on its way comes first: what is wanted of it is in memory until it is recorded.
    if let restarts_us = recovery.restarts_us, now_us >= restarts_us, !isWipePending { return .restart(reason: Self.recoveryRestart) }
    if isPolicyBeyondRepair { return .restart(reason: "the network rules of the grade \(guardState.grade.word) cannot be put in force") }
    if case .dying(let process, let since_us, _) = state, elapsed_us(since: since_us, now: now_us) > limits.killTimeout_us {
      return .restart(reason: "process \(process) outlives SIGKILL")
    }
    startIfDue(now_us: now_us)
    keepBeliefsIfDue(now_us: now_us)
    writeAuditIfDue(now_us: now_us)
    flush()
    feedWatchdog()
    return .goOn
  }

  /// No fault: the owner ordered what the next start alone can do.
  static let recoveryRestart = "for the recovery key"

  private var isWipePending: Bool {
    hand.wipeWantedUntil_us != nil || awaitingWipe != nil || wipeEnds_us != nil || workers.values.contains { $0.job.isWipeRecord }
  }

  private var hasNoRuntime: Bool { if case .none = state { true } else { false } }

  private var awaited: [CInt] {
    let now_us = host.now_us()
    var descriptors: [CInt] = []
    if now_us >= inputsPausedUntil_us { descriptors += board.gpio.eventDescriptors }
    if now_us >= carrierPausedUntil_us, let carrier = board.network.eventDescriptor { descriptors.append(carrier) }
    return descriptors
  }

  /// Until the next thing that has a time; at most `longestWait_ms`, so the rest is only looked at late by that much.
  private func timeToNextDue_ms() -> UInt32 {
    let now_us = host.now_us()
    var left_us = hand.hold.next_us(now_us: now_us) ?? .max
    switch state {
    case .none(let notBefore_us): left_us = min(left_us, elapsed_us(since: now_us, now: notBefore_us))
    case .leaving(_, let since_us): left_us = min(left_us, elapsed_us(since: now_us, now: later(since_us, by: limits.leaving_us)))
    case .alive, .dying: break
    }
    // Rounded up, or the last millisecond would be a busy loop.
    return min(limits.longestWait_ms, UInt32(clamping: left_us / 1_000).successor)
  }

  /// The loop came round: that is what the watchdog guards. (A turn that finds something beyond repair returns before this.)
  func feedWatchdog() {
    guard watchdogRuns, let watchdog = board.watchdog else { return }
    do throws(BoardError) {
      try watchdog.feed()
      watchdogFailed = false
    } catch {
      if !watchdogFailed { say(.error, "watchdog: \(error)") }
      watchdogFailed = true
    }
  }

  /// Drives every output to its safe value. What fails is logged, and tried again with the next reason to.
  func driveSafe() {
    hand.wanted = nil
    let failed = board.gpio.driveSafe()
    if !failed.isEmpty { say(.error, "outputs that did not go to their safe value: \(failed.joined(separator: ", "))") }
  }

  /// A line of the supervisor's log.
  func say(_ level: LogLevel, _ text: String) {
    let line = SupervisorLog.Line(level: level, at_us: host.now_us(), text: text)
    log.write(line, source: "supervisor")
    if case .alive = state {
      tell(.log(level: level, at_us: line.at_us, text: text))
    } else {
      log.keep(line)
    }
  }
}
