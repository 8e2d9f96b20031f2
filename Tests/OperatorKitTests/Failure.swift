import Testing

@testable import OperatorKit

/// The error that `body` ends with; what ends well is recorded as an issue.
func failure(_ body: () async throws -> some Any) async throws -> OperatorError {
  do {
    let value = try await body()
    Issue.record("this should have been refused: \(value)")
  } catch let error as OperatorError {
    return error
  }
  return OperatorError("none", "")
}
