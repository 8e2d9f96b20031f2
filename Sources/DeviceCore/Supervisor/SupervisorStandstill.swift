internal import Foundations

extension Supervisor {
  /// A machine that is suspended, or whose host has no time for it, stands still: this loop, and everybody whom it waits for. Nobody is silent meanwhile, so every
  /// deadline of others is later by as much. That the loop itself comes round is what the watchdog guards.
  func forgiveStandstill(now_us: UInt64) {
    defer { lastTurn_us = now_us }
    guard let lastTurn_us else { return }
    let gap_us = elapsed_us(since: lastTurn_us, now: now_us)
    guard gap_us > limits.standstill_us else { return }
    say(.warning, "this machine stood still for \(gap_us / 1_000) ms: nobody's silence is counted meanwhile")
    switch state {
    case .none: break
    case .alive(var runtime):
      // Once: one that could hold up this loop would else be silent for as long as it likes.
      guard !runtime.isForgiven else { break }
      runtime.isForgiven = true
      runtime.lastSign_us = later(runtime.lastSign_us, by: gap_us)
      runtime.servesBy_us = later(runtime.servesBy_us, by: gap_us)
      state = .alive(runtime)
    case .leaving(let process, let since_us): state = .leaving(process: process, since_us: later(since_us, by: gap_us))
    case .dying(let process, let since_us, let cause): state = .dying(process: process, since_us: later(since_us, by: gap_us), cause: cause)
    }
    workers = workers.mapValues { WorkerInProgress(job: $0.job, deadline_us: later($0.deadline_us, by: gap_us)) }
    hand.wipeWantedUntil_us = hand.wipeWantedUntil_us.map { later($0, by: gap_us) }
  }
}
