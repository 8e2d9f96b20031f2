import NIOConcurrencyHelpers
import SupervisorLink

/// Where a thread waits for one signature.
final class SignatureSlot: Sendable {
  enum Answer: Equatable {
    case signature([UInt8])
    case refused(RequestOutcome)
    case closed
  }

  private let answer = NIOLockedValueBox<Answer?>(nil)
  /// 1 once there is an answer.
  private let isAnswered = ConditionLock(value: 0)

  /// The first one counts.
  func put(_ new: Answer) {
    answer.withLockedValue { $0 = $0 ?? new }
    isAnswered.lock()
    isAnswered.unlock(withValue: 1)
  }

  /// nil where there is none within `deadline_ms`.
  func wait(deadline_ms: Int64) -> Answer? {
    guard isAnswered.lock(whenValue: 1, timeoutSeconds: Double(deadline_ms) / 1_000) else { return nil }
    isAnswered.unlock()
    return answer.withLockedValue { $0 }
  }
}
