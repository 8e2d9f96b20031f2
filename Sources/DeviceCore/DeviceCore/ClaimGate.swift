import Foundations
import LocalAPI
import NIOConcurrencyHelpers

/// The door to a claim: whether a proof of the label is looked at now, and what a wrong one costs.
///
/// Outside of the presence window nothing is evaluated and nothing is counted. Inside, a proof is counted as wrong, durably, before it is looked at, and
/// a right one takes the count back: a power cut in between gains nobody a try.
final class ClaimGate: Sendable {
  let presence: Presence
  private let folder: IdentityFolder
  private let commit: @Sendable () async throws(Problem) -> Void
  private let now_ms: @Sendable () -> UInt64
  private let log: DeviceLog
  private let lockOut: NIOLockedValueBox<LockOut>
  private let follower = NIOLockedValueBox<(@Sendable (ClaimEventDocument) -> Void)?>(nil)

  /// - Parameters:
  ///   - stored: what an earlier run left.
  ///   - now_ms: a clock that never goes back.
  init(
    presence: Presence, folder: IdentityFolder, stored: StoredLockOut?, now_ms: @escaping @Sendable () -> UInt64, log: DeviceLog,
    commit: @escaping @Sendable () async throws(Problem) -> Void
  ) {
    self.presence = presence
    self.folder = folder
    self.commit = commit
    self.now_ms = now_ms
    self.log = log
    lockOut = NIOLockedValueBox(stored.map { LockOut($0, now_ms: now_ms()) } ?? LockOut())
  }

  /// Calls `follower`, which must not wait, with what becomes of claims.
  func onEvent(_ follower: @escaping @Sendable (ClaimEventDocument) -> Void) { self.follower.withLockedValue { $0 = follower } }

  var presenceDocument: PresenceDocument {
    let remaining_ms = presence.remaining_ms
    return PresenceDocument(open: remaining_ms > 0, remainingMilliseconds: remaining_ms)
  }

  var lockOutDocument: LockOutDocument {
    let lockOut = lockOut.withLockedValue { $0 }
    return LockOutDocument(failures: lockOut.failures, waitMilliseconds: lockOut.wait_ms(now_ms: now_ms()))
  }

  /// Refuses a claim whose proof would not be looked at now.
  func checkOpen() throws(Problem) {
    guard presence.isOpen else {
      throw .presenceNeeded("Press the device's button, and claim it within \(Presence.window_ms / 1_000) s: before that no proof is looked at.")
    }
    let lockOut = lockOut.withLockedValue { $0 }
    let wait_ms = lockOut.wait_ms(now_ms: now_ms())
    guard wait_ms > 0 else { return }
    throw .lockedOut(
      "After \(lockOut.failures) wrong proofs of the label the next one is looked at in \(wait_ms.seconds) s; only time helps.",
      retryAfter_s: wait_ms.seconds)
  }

  /// Looks at one proof. Only one at a time: the caller sees to that.
  ///
  /// - Parameters:
  ///   - caller: for the log.
  ///   - isRight: evaluates it.
  func admit(by caller: String, _ isRight: () -> Bool) async throws(Problem) {
    try checkOpen()
    let counted = lockOut.withLockedValue { state in
      state.count(now_ms: now_ms())
      return state
    }
    try await keep(counted)
    if isRight() {
      lockOut.withLockedValue { $0 = LockOut() }
      try await keep(nil)
      return
    }
    let wait_ms = counted.wait_ms(now_ms: now_ms())
    log.append(
      .warning, source: "claim",
      "\(caller) gave a wrong proof of the label (\(counted.failures) in a row); the next one is looked at in \(wait_ms.seconds) s")
    tell(counted.isLocked ? .locked : .proofWrong)
    throw .proofWrong("The proof is not that of this device's label over this connection; the next one is looked at in \(wait_ms.seconds) s.")
  }

  func tell(_ outcome: ClaimEventDocument.Outcome) {
    let lockOut = lockOutDocument
    follower.withLockedValue { $0 }?(
      ClaimEventDocument(
        outcome: outcome, failures: lockOut.failures, waitMilliseconds: lockOut.waitMilliseconds, uptimeMilliseconds: BootClock.now_ms()))
  }

  /// Writes down how much of a wait is over, so that a device that is switched off once in a while does not begin it anew each time.
  func keepWait() async {
    let lockOut = lockOut.withLockedValue { $0 }
    guard lockOut.wait_ms(now_ms: now_ms()) > 0 else { return }
    do throws(Problem) {
      try await keep(lockOut)
    } catch {
      log.append(.warning, source: "claim", error.detail)
    }
  }

  /// Forgets what was counted: a device that was provisioned anew has another label.
  func reset() { lockOut.withLockedValue { $0 = LockOut() } }

  private func keep(_ lockOut: LockOut?) async throws(Problem) {
    do {
      if let lockOut { try folder.write(lockOut.stored(now_ms: now_ms())) } else { try folder.removeLockOut() }
    } catch {
      log.append(.error, source: "claim", "the count of wrong proofs could not be written: \(error)")
      throw .notKept(error, "The device could not write its count of wrong proofs, and looks at none without it.")
    }
    try await commit()
  }
}

extension UInt64 {
  /// Milliseconds as whole seconds, rounded up.
  fileprivate var seconds: Int { Int(clamping: self / 1_000 + (self % 1_000 > 0 ? 1 : 0)) }
}
