internal import Foundations
internal import SupervisorLink

extension Supervisor {
  /// Whether the runtime may wipe the device by its label. Whether the label was proved is the runtime's word; that somebody stands at the device is
  /// seen here. Nothing is gained by a runtime that lies: it has the owner's files in its hands anyway, and cannot keep the pin.
  ///
  /// The machine starts anew a moment later, whatever the runtime did: the owner that is pinned, the broker and the grade belong to the life before.
  func allowWipe(now_us: UInt64) -> RequestOutcome {
    guard guardState.grade < .quarantined else { return .notInThisGrade }
    guard let buttonPressed_us, elapsed_us(since: buttonPressed_us, now: now_us) <= limits.presence_us else { return .notPermitted }
    self.buttonPressed_us = nil
    wipeEnds_us = later(now_us, by: limits.wipe_us)
    say(.notice, "the device is wiped by its label; the machine restarts in \(limits.wipe_us / 1_000_000) s")
    return .done
  }
}
