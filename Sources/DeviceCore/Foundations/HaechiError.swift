/// What every public error of Haechi tells: a stable code for programs, a sentence for people, and what lay beneath.
///
/// Public errors are structs and not enums, so that a case can be added without breaking a fork's `switch`.
public protocol HaechiError: Error, CustomStringConvertible {
  /// Stable, lower case, words joined by `-`: `certificate-expired`. Never localised.
  var code: String { get }
  /// One sentence that names the file, field or peer, and says what to do where something can be done.
  var reason: String { get }
  /// The error beneath, where there is one.
  var cause: (any Error)? { get }
}

extension HaechiError {
  public var description: String {
    guard let cause else { return "\(code): \(reason)" }
    return "\(code): \(reason) (\(cause))"
  }
}

/// An error of the operating system, kept as its number and the call that gave it.
public struct SystemCallError: HaechiError {
  /// The system call, as its manual page names it: `open`.
  public let call: String
  /// `errno` as the call left it.
  public let number: CInt
  /// What the call was about: a path, an interface, a line's name.
  public let subject: String

  public init(_ call: String, number: CInt, subject: String) {
    self.call = call
    self.number = number
    self.subject = subject
  }

  public var code: String { "system-call-failed" }
  public var reason: String { "\(call) \(subject): \(systemErrorMessage(number))" }
  public var cause: (any Error)? { nil }
}
