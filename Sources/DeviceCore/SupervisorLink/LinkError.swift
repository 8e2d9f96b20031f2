public import Foundations

/// A packet that is refused: the reason says which byte or field, and what was expected.
public struct LinkError: HaechiError, Hashable {
  /// `packet-size`, `packet-version`, `packet-kind`, `packet-field`, `packet-padding`.
  public let code: String
  public let reason: String
  public var cause: (any Error)? { nil }

  init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }
}
