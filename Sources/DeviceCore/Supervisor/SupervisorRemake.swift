internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// A storage that is damaged or locked is made anew: a station asks the runtime for it, and somebody presses the button at the device. A worker
// destroys what is left and makes an empty store for the identity; then the machine restarts, and comes up blank.

extension Supervisor {
  /// Whether the runtime may have the storage made anew. That a station asks is the runtime's word; that somebody stands at the device is seen here,
  /// and that there is nothing whole to be lost. `nil`: it is answered when it is done.
  func remakeStorage(_ request: UInt32, now_us: UInt64) -> RequestOutcome? {
    switch storageReport.state {
    case .open, .volatile: return .refused
    case .damaged, .locked: break
    }
    guard guardState.grade < .quarantined else { return .notInThisGrade }
    guard wipeEnds_us == nil, !workers.values.contains(where: \.job.isStorage) else { return .busy }
    guard let pressed_us = hand.pressed_us, elapsed_us(since: pressed_us, now: now_us) <= limits.presence_us else { return .notPermitted }
    hand.pressed_us = nil
    let storage = board.storage
    let started = startWorker(.remake(request: request, start: startCount), deadline_us: limits.remake_us, rights: .storage) {
      WorkerVerdict.bytes(of: { () throws(BoardError) in try storage.remake() })
    }
    return started ? nil : .failed
  }

  /// Whatever a failure left is not open either: it can be tried again.
  func storageRemade(_ request: UInt32, of start: UInt32, _ bytes: [UInt8], _ child: EndedChild, now_us: UInt64) {
    if let fault = WorkerVerdict.fault(bytes, child) {
      say(.error, "the storage was not made anew: \(fault)")
      return answer(request, of: start, .failed)
    }
    // From here on as after a wipe: the machine restarts, and nothing of this life is kept.
    wipeEnds_us = later(now_us, by: limits.wipe_us)
    note(AuditEvent(.wiped, .word(AuditWord("station"))), isUrgent: true)
    say(.notice, "the storage was made anew; the machine restarts")
    answer(request, of: start, .done)
  }
}
