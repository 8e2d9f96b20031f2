import Foundations
import Guard
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink

extension Runtime {
  /// Hands the guard's decision to the supervisor, which holds the grade.
  func raise(_ decision: GuardDecision, _ supervisor: SupervisorClient, _ log: DeviceLog) {
    guard case .raise(let grade, let cause, let evidence) = decision else { return }
    Task.detached {
      do throws(SupervisorError) {
        let outcome = try await supervisor.request { .raiseGrade(request: $0, grade, cause, evidence: evidence) }
        if outcome != .done { log.append(.error, source: "guard", "the supervisor did not raise the grade to \(grade.word): \(outcome)") }
      } catch {
        log.append(.error, source: "guard", "the grade could not be raised to \(grade.word): \(error)")
      }
    }
  }

  /// A new grade is an event, ends connections that it does not allow, and makes outputs safe where the supervisor has done so.
  func followGrades(
    _ grades: GradeHolder, _ hub: DeviceHub, _ listener: APIListener, _ cloudDesk: CloudDesk, _ peerDesk: PeerDesk, _ discoveryDesk: DiscoveryDesk
  ) {
    let last = NIOLockedValueBox(grades.report.event)
    let follow: @Sendable (GradeReport) -> Void = { report in
      let isNew = last.withLockedValue { last in
        defer { last = report.event }
        return report.event != last
      }
      guard isNew else { return }
      hub.events.append(.grade(GradeEventDocument(report)))
      if report.grade >= .quarantined { hub.outputsAreSafe() }
      listener.review()
      cloudDesk.publish(report)
      peerDesk.gradeChanged(report.grade)
      discoveryDesk.gradeChanged(report.grade)
    }
    // A runtime that starts in another grade than normal shows and tells why.
    if grades.report.grade > .normal {
      hub.events.append(.grade(GradeEventDocument(grades.report)))
      cloudDesk.publish(grades.report)
      peerDesk.gradeChanged(grades.report.grade)
      discoveryDesk.gradeChanged(grades.report.grade)
    }
    grades.onReport(follow)
  }

  /// A supervisor that was started anew with the device's state does not know the owner yet; one that does, takes the same owner again.
  func pinOwner(_ device: Device, _ statements: StatementDesk, _ log: DeviceLog) async {
    guard let owner = device.owner else { return }
    do throws(Problem) {
      try await statements.pin(owner, of: device.identifier)
    } catch {
      log.append(.error, source: "guard", "\(error.detail)")
    }
  }
}
