import Foundations
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink

/// The grade as the supervisor told it last. The runtime only obeys it: it narrows whom it serves and what it sends, and never decides itself
/// that a grade is over.
final class GradeHolder: Sendable {
  private struct State {
    var report = GradeReport(grade: .normal, cause: .none, event: 0, at_us: 0, decay_ms: 0, nonce: [], evidence: "")
    var told_us: UInt64 = 0
    var follower: (@Sendable (GradeReport) -> Void)?
  }
  private let state = NIOLockedValueBox(State())

  var grade: Grade { state.withLockedValue { $0.report.grade } }
  var report: GradeReport { state.withLockedValue { $0.report } }

  /// Calls `follower`, which must not wait, after each report.
  func onReport(_ follower: @escaping @Sendable (GradeReport) -> Void) { state.withLockedValue { $0.follower = follower } }

  func take(_ report: GradeReport) {
    let follower = state.withLockedValue { state in
      state.report = report
      state.told_us = BootClock.now_us()
      return state.follower
    }
    follower?(report)
  }

  func document() -> GuardDocument {
    let (report, told_us) = state.withLockedValue { ($0.report, $0.told_us) }
    var left_ms: UInt32?
    if report.decay_ms > 0 {
      let passed_ms = (BootClock.now_us() &- told_us) / 1_000
      left_ms = passed_ms < UInt64(report.decay_ms) ? report.decay_ms - UInt32(passed_ms) : 0
    }
    return GuardDocument(
      grade: report.grade.word, cause: report.cause.word, evidence: report.evidence, event: report.event, sinceMicroseconds: report.at_us,
      decaysInMilliseconds: left_ms, nonce: hexadecimal(report.nonce))
  }
}

extension GradeEventDocument {
  init(_ report: GradeReport) {
    self.init(
      grade: report.grade.word, cause: report.cause.word, evidence: report.evidence, event: report.event,
      uptimeMilliseconds: report.at_us / 1_000)
  }
}
