public import Foundations

/// Why the runtime could not start or go on.
///
/// Codes: `listen-failed`, `no-certificate`, `configuration-invalid`, `state-folder-failed`, `supervisor-silent`, `product-ended`,
/// `product-failed`, `supervisor-gone`, `identity-key-unusable`.
public struct RuntimeError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}
