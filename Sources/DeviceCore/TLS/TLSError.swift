public import Foundations

/// A TLS alert (RFC 8446 section 6) by its number.
public struct TLSAlert: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let closeNotify = TLSAlert(rawValue: 0)
  public static let unexpectedMessage = TLSAlert(rawValue: 10)
  public static let badRecordMAC = TLSAlert(rawValue: 20)
  public static let handshakeFailure = TLSAlert(rawValue: 40)
  public static let badCertificate = TLSAlert(rawValue: 42)
  public static let unsupportedCertificate = TLSAlert(rawValue: 43)
  public static let certificateRevoked = TLSAlert(rawValue: 44)
  public static let certificateExpired = TLSAlert(rawValue: 45)
  public static let certificateUnknown = TLSAlert(rawValue: 46)
  public static let illegalParameter = TLSAlert(rawValue: 47)
  public static let unknownCA = TLSAlert(rawValue: 48)
  public static let decodeError = TLSAlert(rawValue: 50)
  public static let decryptError = TLSAlert(rawValue: 51)
  public static let protocolVersion = TLSAlert(rawValue: 70)
  public static let certificateRequired = TLSAlert(rawValue: 116)

  /// The name that RFC 8446 gives it: `certificate_expired`; `alert 200` where it has none.
  public var description: String { Self.names[rawValue] ?? "alert \(rawValue)" }

  private static let names: [UInt8: String] = [
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
    112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required",
    120: "no_application_protocol",
  ]
}

/// Why a TLS connection, or the context for one, failed.
///
/// Codes: `certificate-expired`, `certificate-not-yet-valid`, `certificate-untrusted`, `certificate-purpose`,
/// `certificate-profile`, `certificate-revoked`, `certificate-invalid` (the peer's certificate was refused here);
/// `certificate-missing` (the peer gave none); `peer-alert` (the peer refused us: see `alert`); `plaintext-http`, `not-tls`,
/// `unsupported-version` (what arrived is not TLS 1.3); `handshake-timeout`; `truncated` (the connection ended without
/// close_notify: what was received may be incomplete); `post-handshake-flood`; `protocol-error`; `connection-closed`
/// (written to after the end); `context-invalid`; `signature-busy`, `signature-failed` (our own key, which lies outside, has too much to sign or did not:
/// no fault of the peer's).
public struct TLSError: HaechiError {
  /// Who found the fault.
  public enum Side: String, Sendable {
    /// This side refused what the peer did.
    case local
    /// The peer refused what this side did.
    case peer
  }
  public let code: String
  public let reason: String
  public let side: Side
  /// The alert that `side` sent; nil where none was sent or none arrived.
  public let alert: TLSAlert?
  /// The subject of the peer's certificate, where there is one and it matters.
  public let certificateSubject: String?
  public let cause: (any Error)?

  public init(
    code: String, reason: String, side: Side, alert: TLSAlert? = nil, certificateSubject: String? = nil, cause: (any Error)? = nil
  ) {
    self.code = code
    self.reason = reason
    self.side = side
    self.alert = alert
    self.certificateSubject = certificateSubject
    self.cause = cause
  }

  public var description: String {
    let sent = alert.map { side == .local ? "; sent the alert \($0)" : "; the peer sent the alert \($0)" } ?? ""
    let beneath = cause.map { " (\($0))" } ?? ""
    return "\(code): \(reason)\(sent)\(beneath)"
  }
}
