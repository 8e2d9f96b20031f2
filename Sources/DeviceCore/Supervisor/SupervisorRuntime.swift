internal import BoardAPI
internal import Foundations
internal import SupervisorLink

extension Supervisor {
  func startIfDue(now_us: UInt64) {
    guard case .none(let notBefore_us) = state, now_us >= notBefore_us else { return }
    startRuntime()
    greet()
  }

  /// Starts a runtime. Where that fails, the attempt counts as one that ended at once.
  func startRuntime() {
    var dhcpSocket: CInt?
    do throws(BoardError) {
      dhcpSocket = try board.network.makeDHCPSocket()
    } catch {
      say(.error, "DHCP socket: \(error)")
    }
    let now_us = host.now_us()
    policy.started(at_us: now_us)
    outgoing = []
    awaitingRules = []
    awaitingCommit = []
    awaitingSignatures = []
    // One that a hand at the button ordered is nobody's request, and goes on.
    if awaitingWipe?.start != 0 { awaitingWipe = nil }
    do throws(SupervisorError) {
      let process = try host.startRuntime(dhcpSocket: dhcpSocket)
      let rate = PacketRate(burst: limits.packetBurst, perSecond: limits.packetsPerSecond, now_us: now_us)
      let servesBy_us = later(now_us, by: limits.startTimeout_us)
      state = .alive(Runtime(process: process, started_us: now_us, servesBy_us: servesBy_us, lastSign_us: now_us, rate: rate))
      startCount = startCount.successor
      say(.notice, "runtime started as process \(process), start \(startCount) (\(nextCause))")
      // A runtime that was taken over can end itself as often as it likes.
      note(AuditEvent(.runtimeStarted, .number(UInt64(startCount)), .word(nextCause.auditWord)), isOthers: startCount > 1)
    } catch {
      policy.ended()
      state = .none(notBefore_us: policy.notBefore_us)
      say(.error, "the runtime cannot be started: \(error)")
    }
  }

  /// What every runtime hears first.
  func greet() {
    guard case .alive = state else { return }
    // Before what was said since it was started.
    let sinceStart = outgoing
    outgoing = []
    tell(.started(count: startCount, cause: nextCause))
    for report in bootReports { tell(.phase(report)) }
    tell(.phasesComplete)
    for line in board.lines { tellLine(line) }
    tell(.grade(guardState.report(now_us: host.now_us())))
    if peers != .none, !peersAreNews, guardState.grade < .quarantined { tell(.peers(peers)) }
    if discovers, !discoveryIsNews, guardState.grade < .quarantined { tell(.discovery(isOn: true)) }
    if let destination, !destinationIsNews { tell(.destination(DestinationReport(destination: destination, addresses: addresses))) }
    tell(.storage(storageReport))
    if let identityKey { tell(.identityKey(identityKey.publicKey)) }
    tell(.link(up: carrier))
    if let rootOfTrust { tell(.rootOfTrust(rootOfTrust)) }
    for line in log.takeKept() { tell(.log(level: line.level, at_us: line.at_us, text: line.text)) }
    outgoing += sinceStart
    flush()
  }

  private func tellLine(_ line: LineDescription) {
    guard let name = ShortName(line.name) else {
      say(.error, "line \(line.name): its name is no short name, so the runtime does not hear of it")
      return
    }
    var isOutput = false
    if case .output = line.role { isOutput = true }
    do throws(BoardError) {
      tell(.line(name: name, isOutput: isOutput, value: try board.gpio.value(of: line.name)))
    } catch {
      say(.error, "line \(name): \(error)")
    }
  }

  /// Puts a packet into the queue. One that no longer fits means that the runtime does not read.
  func tell(_ message: SupervisorMessage) {
    guard case .alive = state else { return }
    guard outgoing.count < limits.outgoingPackets else {
      condemn(.hung, "it does not read: \(outgoing.count) packets wait for it")
      return
    }
    outgoing.append(SupervisorPacket.encode(message))
  }

  /// Sends what the link takes.
  func flush() {
    guard case .alive = state else { return }
    var sent = 0
    sending: for packet in outgoing {
      switch host.send(packet) {
      case .sent: sent = sent &+ 1
      case .full: break sending
      case .closed:
        lostLink()
        return
      }
    }
    outgoing = Array(outgoing.dropFirst(sent))
  }

  func checkSilence(now_us: UInt64) {
    guard case .alive(let runtime) = state else { return }
    let silence_us = elapsed_us(since: runtime.lastSign_us, now: now_us)
    if !runtime.isReady, now_us > runtime.servesBy_us {
      condemn(.hung, "it does not serve \(limits.startTimeout_us / 1_000_000) s after its start")
    } else if runtime.isReady || runtime.heartbeat != nil, silence_us > limits.heartbeatTimeout_us {
      condemn(.hung, "no heartbeat for \(limits.heartbeatTimeout_us / 1_000_000) s")
    }
  }

  /// Outputs safe first; then the runtime is killed. It is started again once it has been reaped.
  func condemn(_ cause: StartCause, _ why: String) {
    guard case .alive(let runtime) = state else { return }
    // First of all: what follows may log, and a queue that is full for a runtime that does not read must not lead back here.
    state = .dying(process: runtime.process, since_us: host.now_us(), cause: cause)
    driveSafe()
    host.kill(runtime.process)
    host.closeLink()
    outgoing = []
    say(.error, "runtime \(runtime.process) is killed: \(why)")
    if cause == .violation { raise(to: .quarantined, .linkViolation, evidence: why) }
  }

  /// The link is gone: the runtime ends, or has closed it, which is not to be told apart yet.
  func lostLink() {
    guard case .alive(let runtime) = state else { return }
    state = .leaving(process: runtime.process, since_us: host.now_us())
    driveSafe()
    host.closeLink()
    outgoing = []
  }

  func checkLeaving(now_us: UInt64) {
    guard case .leaving(let process, let since_us) = state, elapsed_us(since: since_us, now: now_us) >= limits.leaving_us else { return }
    host.kill(process)
    state = .dying(process: process, since_us: now_us, cause: .violation)
    say(.error, "runtime \(process) is killed: it closed its link and stayed")
    raise(to: .quarantined, .linkViolation, evidence: "it closed its link and stayed")
  }

  /// A child was reaped.
  func ended(_ child: EndedChild) {
    switch state {
    case .alive(let runtime) where runtime.process == child.process:
      state = .leaving(process: child.process, since_us: host.now_us())
      driveSafe()
      takeLastWords()
      host.closeLink()
      account(child, cause: Self.isViolation(child.end) ? .violation : .ended)
    case .leaving(child.process, _): account(child, cause: Self.isViolation(child.end) ? .violation : .ended)
    case .dying(child.process, _, let cause): account(child, cause: Self.isViolation(child.end) ? .violation : cause)
    default:
      if let worker = workers.removeValue(forKey: child.process) { workerEnded(worker, child) }
    // Anything else is an orphan that PID 1 inherited, or a worker past its deadline: reaped, and that was all.
    }
  }

  private func account(_ child: EndedChild, cause: StartCause) {
    policy.ended()
    nextCause = cause
    outgoing = []
    // The floor counts from the start; one that ran for longer starts again in the same turn.
    state = .none(notBefore_us: policy.notBefore_us)
    let violation = Self.isViolation(child.end) ? "; it made a system call that its sandbox forbids" : ""
    say(.error, "runtime \(child.process) \(Self.words(child.end))\(violation); outputs are safe")
    let values = child.end.auditValues
    note(AuditEvent(.runtimeEnded, values.0, values.1), isOthers: true)
    if !violation.isEmpty { raise(to: .quarantined, .sandboxViolation, evidence: "runtime \(child.process) made a forbidden system call") }
  }

  /// SIGSYS: the seccomp filter ended it.
  static func isViolation(_ end: ChildEnd) -> Bool { end == .killed(signal: 31) }

  static func words(_ end: ChildEnd) -> String {
    switch end {
    case .exited(let code): "exited with status \(code)"
    case .killed(let signal): "was ended by signal \(signal)"
    }
  }
}
