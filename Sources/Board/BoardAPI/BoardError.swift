public import Foundations

/// A board part that is missing, does not answer, or was asked for what it has not.
public struct BoardError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}
