public import Foundations

/// Why the audit log could not be written, or is not believed.
///
/// Codes: `audit-unwritable`, `audit-unreadable`, `audit-nameless`, `audit-malformed`, `audit-key`.
public struct AuditError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  init(_ code: String, _ reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}
