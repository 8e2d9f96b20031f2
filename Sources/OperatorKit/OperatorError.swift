public import Foundations

/// What went wrong on the operator's side, or what a device answered, with what to do about it.
///
/// Codes a script may rely on: `bad-argument`, `file-missing`, `file-exists`, `file-unreadable`, `file-unwritable`, `file-malformed`, `file-too-open`,
/// `unknown-device`, `ambiguous-device`, `unknown-broker`, `unreachable`, `silent`, `connection-lost`, `tls-refused`, `tls-failed`, `wrong-device`, `not-claimed`,
/// `foreign-owner`, `unknown-maker`, `unknown-member`, `certificate-expired`, `not-permitted`, `bad-answer`, `answer-too-large`, `refused-by-device`,
/// `refused-by-broker`, `passphrase-needed`, `passphrase-wrong`, `already-provisioned`, `line-incomplete`, `label-malformed`, `label-wrong`, `locked-out`,
/// `button-not-pressed`, `last-admin`, `list-full`, `nothing-to-push`, `audit-tampered`, `audit-key`.
public struct OperatorError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?
  /// What the device's refusal was, where this is one.
  let refusal: Refusal?

  /// A refusal as programs tell it from others.
  struct Refusal: Sendable, Equatable {
    /// HTTP.
    var status: Int
    /// What follows `urn:haechi:problem:`; nil where the answer names no problem.
    var problem: String?
  }

  public init(_ code: String, _ reason: String, cause: (any Error)? = nil) { self.init(code, reason, cause: cause, refusal: nil) }

  init(_ code: String, _ reason: String, cause: (any Error)? = nil, refusal: Refusal?) {
    self.code = code
    self.reason = reason
    self.cause = cause
    self.refusal = refusal
  }

  /// What the command line ends with: 64 wrong arguments, 69 not reachable, 77 refused by one side or the other, 1 anything else.
  public var exitCode: Int32 {
    switch code {
    case "bad-argument", "label-malformed": 64
    case "unreachable", "silent", "connection-lost": 69
    case "tls-refused", "tls-failed", "wrong-device", "not-claimed", "foreign-owner", "unknown-maker", "certificate-expired",
      "not-permitted", "last-admin", "refused-by-device", "refused-by-broker", "passphrase-wrong", "already-provisioned", "label-wrong", "locked-out",
      "button-not-pressed", "device-unproved", "places-unknown":
      77
    default: 1
    }
  }

  /// Whether trying again later may help without anybody doing something: the network's troubles, not a refusal.
  public var mayPassByItself: Bool {
    switch code {
    case "unreachable", "silent", "connection-lost": true
    default: false
    }
  }
}
