internal import COpenSSL
internal import Crypto

/// What was seen of a handshake, and so why it failed: for connections of our own and for those of a library that makes them out of our context.
struct HandshakeFacts: Sendable {
  /// Why the peer's certificate was refused here.
  var refusal: CertificateRefusal?
  /// The subject of the peer's certificate, as far as it could be read.
  var subject: String?
  var sentAlert: TLSAlert?
  var isEstablished = false

  /// Says whose fault a failure was.
  ///
  /// - Parameters:
  ///   - reason: the reason of the first error that OpenSSL's ssl half left, 0 for none.
  ///   - words: what OpenSSL said in all; empty for nothing.
  func failure(reason: CInt, words: String) -> TLSError {
    if let refusal {
      return TLSError(code: refusal.code, reason: refusal.reason, side: .local, alert: sentAlert, certificateSubject: subject, cause: nil)
    }
    // OpenSSL numbers an alert of the peer's as a reason above the offset.
    if (SSL_AD_REASON_OFFSET..<SSL_AD_REASON_OFFSET + 256).contains(reason) {
      return peerAlert(TLSAlert(rawValue: UInt8(reason - SSL_AD_REASON_OFFSET)))
    }
    switch reason {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return error("certificate-missing", "the client sent no certificate", words)
    case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
      return error("plaintext-http", "the client speaks HTTP in the clear; this port speaks TLS 1.3 only", words)
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_UNKNOWN_PROTOCOL, SSL_R_VERSION_TOO_LOW:
      return error("unsupported-version", "the peer does not speak TLS 1.3", words)
    case SSL_R_WRONG_VERSION_NUMBER where !isEstablished: return error("not-tls", "what the peer sends is not TLS", words)
    default: return error("protocol-error", "the TLS \(isEstablished ? "connection" : "handshake") failed", words)
    }
  }

  /// The peer ended the connection with `alert`.
  func peerAlert(_ alert: TLSAlert) -> TLSError {
    TLSError(
      code: "peer-alert", reason: "the peer ended the \(isEstablished ? "connection" : "handshake") with the alert \(alert)", side: .peer,
      alert: alert, certificateSubject: subject, cause: nil)
  }

  private func error(_ code: String, _ text: String, _ words: String) -> TLSError {
    let cause = words.isEmpty ? nil : CryptoError(code: "openssl-failed", reason: words)
    return TLSError(code: code, reason: text, side: .local, alert: sentAlert, certificateSubject: subject, cause: cause)
  }
}
