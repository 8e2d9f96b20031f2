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

  /// The code of `skipped(_:)`.
  public static let skippedCode = "skipped"

  /// What a `BoardPhase` throws when there was nothing to do on this machine: `reason` says what is not there.
  /// The supervisor reports such a phase as skipped and not as failed.
  public static func skipped(_ reason: String) -> BoardError { BoardError(code: skippedCode, reason: reason) }

  /// Whether it was thrown to say that a phase had nothing to do.
  public var isSkip: Bool { code == Self.skippedCode }

  /// A system call that failed.
  /// - Parameters:
  ///   - code: this error's own code: `mount-failed`.
  ///   - call: as the manual page names it.
  ///   - subject: the path, interface or line.
  ///   - number: `errno` as the call left it.
  ///   - hint: what to do about it, in a few words; empty where there is nothing to say.
  public static func system(code: String, call: String, subject: String, number: CInt, hint: String = "") -> BoardError {
    let error = SystemCallError(call, number: number, subject: subject)
    return BoardError(code: code, reason: hint.isEmpty ? error.reason : "\(error.reason): \(hint)")
  }
}
