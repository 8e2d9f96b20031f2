internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// A wipe: its record becomes durable first; whoever asked hears of it; a moment later the machine goes down, and between the end of the runtime and the
// restart a worker destroys the keys. What is cut off after the record, the storage does when it is opened next, before there is a
// runtime.

/// A wipe that somebody may order, and the request that waits for its record.
struct WipeOrder {
  let request: UInt32
  /// Of the runtime that asked.
  let start: UInt32
  /// For the audit log.
  let word: AuditWord
  /// For the log: `released by its owner`.
  let why: String
  /// Its record failed once, and may be there all the same: recorded once more, it is known.
  var isSecondTry = false
}

extension Supervisor {
  /// Whether the runtime may wipe the device by its label or its button. Whether the label was proved is the runtime's word; that somebody stands at the
  /// device is seen here. Nothing is gained by a runtime that lies: it has the owner's files in its hands anyway, and cannot keep the pin.
  ///
  /// The machine starts anew a moment later, whatever the runtime did: the owner that is pinned, the broker and the grade belong to the life before.
  /// `nil`: it is answered later.
  func allowWipe(_ request: UInt32, now_us: UInt64) -> RequestOutcome? {
    guard isWipeByHandAllowed else { return .notInThisGrade }
    guard let pressed_us = hand.pressed_us, elapsed_us(since: pressed_us, now: now_us) <= limits.presence_us else { return .notPermitted }
    hand.pressed_us = nil
    let isByButton = hand.wipeWantedUntil_us != nil
    hand.wipeWantedUntil_us = nil
    let (word, what) = isByButton ? (AuditWord("button"), "button") : (AuditWord("label"), "label")
    return order(WipeOrder(request: request, start: startCount, word: word, why: "wiped by its \(what)"), now_us: now_us)
  }

  /// `nil`: it is answered once the record is durable.
  func order(_ order: WipeOrder, now_us: UInt64) -> RequestOutcome? {
    switch storageReport.state {
    case .volatile:
      begin(order, now_us: now_us)
      return nil
    case .open:
      guard awaitingWipe == nil, wipeEnds_us == nil else { return .busy }
      awaitingWipe = order
      startStorageJobIfIdle()
      return nil
    // What is not open is not destroyed by the word of an owner who cannot be known.
    case .damaged, .locked: return .failed
    }
  }

  func startRecord(of order: WipeOrder) {
    let storage = board.storage
    let started = startWorker(.wipeRecord(order), deadline_us: limits.commit_us, rights: .storage) {
      KeptAnswer.bytes(of: { () throws(BoardError) in try storage.recordWipe() })
    }
    if !started { recordFailed(order) }
  }

  /// A record that failed may be durable, and would then be carried out by the next boot: the order is answered as refused only after a second try.
  func recordFailed(_ order: WipeOrder) {
    if order.isSecondTry {
      answer(order.request, of: order.start, .failed)
    } else {
      var again = order
      again.isSecondTry = true
      awaitingWipe = again
    }
    startStorageJobIfIdle()
  }

  func wipeRecorded(_ order: WipeOrder, _ bytes: [UInt8], _ child: EndedChild, now_us: UInt64) {
    if let fault = keptFault(bytes, child) {
      say(.error, "the wipe was not recorded: \(fault)")
      return recordFailed(order)
    }
    begin(order, now_us: now_us)
    startStorageJobIfIdle()
  }

  /// The runtime wipes once the log has forgotten: a cut in between leaves neither for the next owner. A log that cannot be written stops no wipe, and
  /// the runtime has its time from the answer on.
  private func begin(_ order: WipeOrder, now_us: UInt64) {
    wipeEnds_us = later(later(now_us, by: limits.audit_us), by: untilWayDown_us)
    note(AuditEvent(.wiped, .word(order.word)), thenAnswer: order.request, of: order.start, otherwise: .done)
    say(.notice, "the device is \(order.why); the machine restarts")
  }

  /// From the permission to the way down.
  var untilWayDown_us: UInt64 { storageReport.state == .open ? limits.wipe_us : limits.keylessWipe_us }

  /// Destroys the keys of what the owner left. The runtime has ended: nothing has files open there. Waits, as the machine has nothing else to do.
  func wipeStorage() -> Phase.Result {
    guard wipeEnds_us != nil else { return .skipped("none was ordered") }
    guard storageReport.state == .open else { return .skipped("nothing outlives this boot") }
    // Nobody is left to hear of it; and a worker that still writes there would keep the volume, and its key, in the kernel.
    awaitingCommit = []
    endAuditWorker()
    let storage = board.storage
    do throws(SupervisorError) {
      let answer = try awaitStorageWorker { WorkerVerdict.bytes(of: { () throws(BoardError) in try storage.wipe() }) }
      guard let fault = WorkerVerdict.fault(answer.bytes, answer.child) else { return .done }
      return .failed("\(fault); the next boot does it")
    } catch {
      return .failed("\(error.reason); the next boot does it")
    }
  }
}
