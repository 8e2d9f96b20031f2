public import Foundations

/// What Crypto could not do, and what OpenSSL said about it.
///
/// Codes: `malformed-input`, `too-large`, `unsupported-key`, `signature-invalid`, `certificate-refused`, `passphrase-wrong`, `openssl-failed`,
/// `key-outside` (a private key that is not here cannot be exported).
public struct CryptoError: HaechiError {
  public let code: String
  public let reason: String
  /// OpenSSL's own error queue, oldest first, as `library:reason` joined by `; `; empty where OpenSSL had nothing to say.
  public let openSSLErrors: String
  public var cause: (any Error)? { nil }

  public init(code: String, reason: String, openSSLErrors: String = "") {
    self.code = code
    self.reason = reason
    self.openSSLErrors = openSSLErrors
  }

  public var description: String {
    openSSLErrors.isEmpty ? "\(code): \(reason)" : "\(code): \(reason) (\(openSSLErrors))"
  }
}

/// Why a certificate that is well formed is not accepted. The kind decides which TLS alert the peer gets.
public struct CertificateRefusal: HaechiError {
  /// What is wrong, in the classes that TLS alerts know (RFC 8446 section 6.2).
  public enum Kind: String, Sendable {
    /// It, or one above it, is past its last day: `certificate_expired`.
    case expired = "certificate-expired"
    /// Its first day has not come: `bad_certificate`.
    case notYetValid = "certificate-not-yet-valid"
    /// Nobody who is trusted here signed it: `unknown_ca`.
    case untrusted = "certificate-untrusted"
    /// It was made for something else: `unsupported_certificate`.
    case purpose = "certificate-purpose"
    /// A name, key or extension is not what its profile asks: `bad_certificate`.
    case profile = "certificate-profile"
    /// It was withdrawn: `certificate_revoked`.
    case revoked = "certificate-revoked"
    /// Its signature or the chain above is broken: `bad_certificate`.
    case invalid = "certificate-invalid"
  }
  public let kind: Kind
  public let reason: String
  public var code: String { kind.rawValue }
  public var cause: (any Error)? { nil }

  public init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }
}
