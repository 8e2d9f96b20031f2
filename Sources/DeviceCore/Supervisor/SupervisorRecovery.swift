public import BoardAPI
public import Foundations
public import SupervisorLink

// The owner's recovery key comes sealed for this process alone: the runtime that carries it cannot open it. A runtime that offers a key of its own in place
// of this one's learns a recovery key that opens nothing: the statement covers what was sealed, and here it does not open.

/// What the supervisor has workers do with keys, as it calls no cryptography itself.
public struct RecoveryKeyWork: Sendable {
  /// Makes a key of one use: the private half and the public one, 32 bytes each; empty where there is none to be had.
  public let makeKey: @Sendable () -> [UInt8]
  /// Opens what a statement carries, with the private half; throws, saying why, where it does not open. With the device's id, 10 bytes.
  public let open: @Sendable (_ statement: SignedStatement, _ device: [UInt8], _ privateKey: SecretBytes) throws(BoardError) -> RecoveryKeyOrder

  public init(
    makeKey: @escaping @Sendable () -> [UInt8],
    open: @escaping @Sendable (_ statement: SignedStatement, _ device: [UInt8], _ privateKey: SecretBytes) throws(BoardError) -> RecoveryKeyOrder
  ) {
    self.makeKey = makeKey
    self.open = open
  }
}

/// An order of the owner's about the recovery key, and the request that waits for it to be kept.
struct RecoveryOrder {
  let request: UInt32
  /// Of the runtime that asked.
  let start: UInt32
  let statement: SignedStatement
  let device: [UInt8]
  /// The private half of what was offered for it; nil where none is to be set.
  let privateKey: SecretBytes?
}

/// How far the supervisor is with a recovery key.
struct RecoveryState {
  /// Of the newest offer; it serves once.
  var privateKey: SecretBytes?
  /// What is to be kept, and for which no worker runs yet.
  var awaiting: RecoveryOrder?
  /// When the machine restarts, as the next start alone can do what is kept.
  var restarts_us: UInt64?
}

extension Supervisor {
  /// Bytes of either half of a key.
  private static let key_bytes = 32

  /// Makes a new key that a recovery key may be sealed to. `nil`: a worker's answer settles the request.
  func offerRecovery(request: UInt32) -> RequestOutcome? {
    guard storageReport.state == .open, owner != nil else { return .refused }
    guard !workers.values.contains(where: \.job.isRecoveryOffer), wipeEnds_us == nil, recovery.restarts_us == nil,
      recoveryRate.take(now_us: host.now_us())
    else { return .busy }
    let started = startWorker(.recoveryOffer(request: request, start: startCount), deadline_us: limits.statement_us, recoveryWork.makeKey)
    return started ? nil : .failed
  }

  func recoveryOffered(_ request: UInt32, of start: UInt32, _ bytes: [UInt8], _ child: EndedChild) {
    guard child.end == .exited(code: 0), bytes.count == 2 * Self.key_bytes else {
      say(.error, "recovery key: its worker \(Self.words(child.end)) without a key")
      return answer(request, of: start, .failed)
    }
    guard start == startCount else { return }
    recovery.privateKey = SecretBytes(copying: bytes.prefix(Self.key_bytes))
    tell(.recoveryOffer(publicKey: Array(bytes.suffix(Self.key_bytes))))
    tell(.answer(request: request, .done))
  }

  /// What makes no sense before anyone's time is spent on its signature; nil where it makes some.
  func recoveryRefusal(_ statement: SignedStatement) -> RequestOutcome? {
    guard storageReport.state == .open else { return .refused }
    guard recovery.awaiting == nil, recovery.restarts_us == nil, wipeEnds_us == nil else { return .busy }
    // Used up, or never made: it is asked for anew.
    if statement.kind == .setRecoveryKey, recovery.privateKey == nil { return .stale }
    return nil
  }

  /// An admin of the owner signed it. `nil`: it is answered when it is kept.
  func orderRecovery(_ statement: SignedStatement, request: UInt32, of start: UInt32) -> RequestOutcome? {
    if let refusal = recoveryRefusal(statement) { return refusal }
    guard let owner else { return .notPermitted }
    let privateKey = statement.kind == .setRecoveryKey ? recovery.privateKey : nil
    recovery.privateKey = nil
    recovery.awaiting = RecoveryOrder(request: request, start: start, statement: statement, device: owner.device, privateKey: privateKey)
    startStorageJobIfIdle()
    return nil
  }

  func startRecovery(_ order: RecoveryOrder) {
    let (storage, open) = (board.storage, recoveryWork.open)
    let started = startWorker(.recoveryOrder(order), deadline_us: limits.commit_us, rights: .storage) {
      WorkerVerdict.bytes { () throws(BoardError) in
        guard let privateKey = order.privateKey else { return try storage.order(.remove) }
        try storage.order(try open(order.statement, order.device, privateKey))
      }
    }
    guard !started else { return }
    answer(order.request, of: order.start, .failed)
    startStorageJobIfIdle()
  }

  func recoveryKept(_ order: RecoveryOrder, _ bytes: [UInt8], _ child: EndedChild, now_us: UInt64) {
    if let fault = WorkerVerdict.fault(bytes, child) {
      say(.error, "the order about the recovery key was not kept: \(fault)")
      answer(order.request, of: order.start, .failed)
    } else {
      recovery.restarts_us = later(now_us, by: limits.wipe_us)
      say(
        .notice,
        "a recovery key is \(order.privateKey == nil ? "removed" : "set") by order of the owner; the machine restarts in \(limits.wipe_us / 1_000_000) s")
      answer(order.request, of: order.start, .done)
    }
    startStorageJobIfIdle()
  }

  /// What opening the storage did about an order of before.
  func noteRecoveryChange() {
    switch storageReport.recoveryChange {
    case .none: return
    case .made:
      say(.notice, "the disk has a new recovery key")
      note(AuditEvent(.recoveryKey, .word(AuditWord("made"))))
    case .removed:
      say(.notice, "the disk has no recovery key any more")
      note(AuditEvent(.recoveryKey, .word(AuditWord("removed"))))
    case .failed:
      say(.error, "the recovery key is as it was: \(storageReport.reason)")
      note(AuditEvent(.recoveryKey, .word(AuditWord("failed"))))
    }
  }
}
