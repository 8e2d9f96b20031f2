internal import BoardAPI
internal import Foundations
internal import SupervisorLink

extension Supervisor {
  /// Boot, in order. Everything that the machine does before the runtime serves is one of these.
  private var bootPhases: [Phase] {
    board.earlyPhases.map { Phase($0) } + [
      // First of what can move something: nothing is driven before its safe value is known to be on the line.
      Phase("lines", isEssential: true) { [self] in
        do throws(BoardError) {
          try board.gpio.open(board.lines)
          return .done
        } catch {
          return .failed(error.description)
        }
      },
      // From here on a supervisor that stops means a reset. A device whose watchdog is broken still has its safe states, so it boots.
      Phase("watchdog") { [self] in startWatchdog() },
      // Before anything can be reached: what takes the device over later in this start cannot be taken for other firmware.
      Phase("security-epoch") { [self] in announceFirmware() },
      // Before the interface is up: nothing ever comes or goes without rules.
      Phase("network-policy") { [self] in applyFirstRules() },
      // Local function goes on without a network.
      Phase("network") { [self] in
        guard appliedRules != nil else { return .skipped("there are no rules for it") }
        do throws(BoardError) {
          try bringUpNetwork()
          return .done
        } catch {
          return .failed(error.description)
        }
      },
      // They lie outside the encrypted volume: never for longer than until here. In a worker, which is waited for: the firmware that holds them takes its time.
      Phase("crash-records") { [self] in takeCrashRecords() },
      // In a worker: a TPM takes its time, and the runtime need not wait for it.
      Phase("root-of-trust") { [self] in askRootOfTrust() },
      Phase("storage") { [self] in openStorage() },
      // Before the runtime: one that was in quarantine is born into it.
      Phase("beliefs") { [self] in readBeliefs() },
      Phase("runtime") { [self] in
        startRuntime()
        guard case .alive = state else { return .failed("it is tried again") }
        return .done
      },
    ]
  }

  /// Runs the phases. `.restart` where an essential one failed.
  public func boot() -> Verdict {
    note(AuditEvent(.boot))
    for phase in bootPhases {
      let report = phase.report(clock: host.now_us)
      bootReports.append(report)
      sayPhase(report, of: "boot")
      if report.outcome == .failed, phase.isEssential { return .restart(reason: "boot failed at \(report.name)") }
      feedWatchdog()
    }
    greet()
    return .goOn
  }

  func sayPhase(_ report: PhaseReport, of what: String) {
    let detail = report.detail.isEmpty ? "" : ": \(report.detail)"
    let level: LogLevel = report.outcome == .failed ? .error : .info
    say(level, "\(what) \(report.name): \(report.outcome) in \(report.duration_us) us\(detail)")
  }

  private func startWatchdog() -> Phase.Result {
    guard let watchdog = board.watchdog else { return .skipped("this board has none") }
    do throws(BoardError) {
      let accepted_s = try watchdog.start(timeout_s: limits.watchdog_s)
      watchdogRuns = true
      // The loop comes round each half second at the latest: hardware that bites sooner than twice that would bite a healthy supervisor.
      let longestTurn_ms = UInt64(limits.longestWait_ms) &* 2
      return UInt64(accepted_s) &* 1_000 > longestTurn_ms ? .done : .failed("it accepted only \(accepted_s) s")
    } catch {
      return .failed(error.description)
    }
  }

  private func askRootOfTrust() -> Phase.Result {
    let rootOfTrust = board.rootOfTrust
    let started = startWorker(.rootOfTrust, deadline_us: limits.worker_us) {
      do throws(BoardError) {
        let facts = try rootOfTrust.facts()
        let report = RootOfTrustReport(
          kind: RootOfTrustReport.Kind(rawValue: facts.kind.rawValue) ?? .none, manufacturer: facts.manufacturer,
          secureBootState: facts.secureBootState)
        return SupervisorPacket.encode(.rootOfTrust(report))
      } catch {
        return SupervisorPacket.encode(.log(level: .error, at_us: 0, text: error.description))
      }
    }
    return started ? .done : .failed("its worker could not be started")
  }

  func pauseBeforeRestart() {
    let began_us = host.now_us()
    while elapsed_us(since: began_us, now: host.now_us()) < limits.failedBootPause_us {
      host.wait(for: [], toSend: false, timeout_ms: limits.longestWait_ms)
      for child in host.takeEnded() { ended(child) }
      feedWatchdog()
    }
  }
}
