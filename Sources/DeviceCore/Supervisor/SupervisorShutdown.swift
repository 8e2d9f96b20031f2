internal import BoardAPI
internal import Foundations
internal import SupervisorLink

extension Supervisor {
  /// The end, in order. Each step has an end of its own; none can keep the machine from going down.
  private func shutdownPhases(_ reason: AuditWord) -> [Phase] {
    [
      // First, so that whatever the rest takes, nothing is driven any more.
      Phase("outputs-safe") { [self] in
        let failed = board.gpio.driveSafe()
        return failed.isEmpty ? .done : .failed(failed.joined(separator: ", "))
      },
      Phase("tell-runtime") { [self] in
        guard case .alive = state else { return .skipped("none runs") }
        tell(.shutdown(grace_ms: limits.grace_ms))
        flush()
        return .done
      },
      Phase("await-runtime") { [self] in
        guard case .alive = state else { return .skipped("none runs") }
        awaitEnd(for_us: UInt64(limits.grace_ms) &* 1_000)
        guard case .alive = state else { return .done }
        return .failed("it did not end within \(limits.grace_ms) ms")
      },
      Phase("kill-rest") { [self] in
        for (process, worker) in workers where !worker.job.isLasting { host.kill(process) }
        switch state {
        case .none: return .done
        case .alive(let runtime): host.kill(runtime.process)
        case .leaving(let process, _), .dying(let process, _, _): host.kill(process)
        }
        awaitEnd(for_us: limits.killTimeout_us)
        guard case .none = state else { return .failed("the runtime outlives SIGKILL") }
        return .done
      },
      // Before a wipe: nothing may still write there.
      Phase("beliefs") { [self] in keepLastBeliefs() },
      Phase("wipe") { [self] in wipeStorage() },
      // Again: nothing that the runtime asked for on its way out may stand.
      Phase("outputs-still-safe") { [self] in
        let failed = board.gpio.driveSafe()
        return failed.isEmpty ? .done : .failed(failed.joined(separator: ", "))
      },
      // Last, so that it says all.
      Phase("audit-log") { [self] in writeLastAudit(reason) },
    ]
  }

  /// Runs the phases of the end.
  public func shutDown(_ verdict: Verdict) {
    let isOrdered = verdict == .restart(reason: Self.recoveryRestart)
    if case .restart(let reason) = verdict { say(isOrdered ? .notice : .error, "the machine starts anew: \(reason)") }
    let reason =
      if verdict == .powerOff { AuditWord("power-off") } else if wipeEnds_us != nil { AuditWord("wiped") } else if isOrdered { AuditWord("ordered") } else {
        AuditWord("fault")
      }
    for phase in shutdownPhases(reason) {
      sayPhase(phase.report(clock: host.now_us), of: "shutdown")
      feedWatchdog()
    }
    say(.notice, verdict == .powerOff ? "power off" : "restart")
  }

  /// Reaps until no runtime is left, or the time is over. Its packets are read, so that it can end, and only its log counts.
  private func awaitEnd(for_us limit_us: UInt64) {
    let began_us = host.now_us()
    while elapsed_us(since: began_us, now: host.now_us()) < limit_us {
      if case .none = state { return }
      host.wait(for: [], toSend: false, timeout_ms: 50)
      for child in host.takeEnded() { endedInOrder(child) }
      if case .alive = state { takeLastWords() }
      feedWatchdog()
    }
  }

  /// Of the workers only those that write to the end are heard.
  func lastingWorkerEnded(_ child: EndedChild) {
    if let worker = workers.removeValue(forKey: child.process), worker.job.isLasting { workerEnded(worker, child) }
  }

  /// An end that was asked for is no fault.
  private func endedInOrder(_ child: EndedChild) {
    switch state {
    case .alive(let runtime) where runtime.process == child.process: break
    case .leaving(child.process, _), .dying(child.process, _, _): break
    default:
      return lastingWorkerEnded(child)
    }
    takeLastWords()
    host.closeLink()
    outgoing = []
    state = .none(notBefore_us: .max)
    say(.info, "runtime \(child.process) \(Self.words(child.end))")
  }
}
