public import Foundations

/// What the vault could not do, and what to do about it.
///
/// Codes. The file is not what was written last: `vault-changed`, `vault-cut`, `vault-swapped`, `vault-rolled-back`, `vault-key-wrong`,
/// `vault-version-unknown`, `algorithm-retired`. There is none: `vault-missing`. Full: `vault-full` (its own bound), `no-space` (the file system's).
/// The medium: `read-only`, `storage-failed`, `vault-in-use`, `counter-failed`. The caller: `kind-unknown`, `name-invalid`, `value-too-large`,
/// `value-unreadable`, `configuration-invalid`, `vault-closed`. And `crypto-failed`.
public struct VaultError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(_ code: String, _ reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }

  /// Whether the stored bytes are not those that the vault wrote last: a reason to stop and to tell the owner.
  public var isDamage: Bool { Self.damageCodes.contains(code) }

  private static let damageCodes: Set = [
    "vault-changed", "vault-cut", "vault-swapped", "vault-rolled-back", "vault-key-wrong", "vault-version-unknown", "algorithm-retired",
  ]
}

/// What was noticed while a vault was opened and did not keep it from opening: a line for the log.
public struct VaultFinding: Sendable, Equatable {
  /// `tail-dropped`, `head-unreadable`, `kind-undeclared`.
  public let code: String
  public let sentence: String
}
