internal import Foundations
internal import NIOCore
internal import TLS

extension ConnectionSecurity {
  /// What broke a connection, as one sentence that says which side, why, and what to do.
  func explain(_ error: any Error, _ endpoint: Endpoint) -> OperatorError {
    if let known = error as? OperatorError { return known }
    guard let fault = error as? TLSError else {
      // A refusal closes the connection at once; when our first bytes cross it on the way, the system may drop the alert and only report a reset.
      return OperatorError(
        "connection-lost", "\(endpoint) closed the connection: the device restarted, changed its state, or is overloaded", cause: error)
    }
    switch (fault.side, fault.code) {
    case (.peer, _):
      guard let alert = fault.alert else { return OperatorError("connection-lost", "\(endpoint) broke the connection", cause: fault) }
      return OperatorError("tls-refused", "\(endpoint) refused this connection with the alert \(alert): \(Self.meaning(alert))", cause: nil)
    case (_, "certificate-expired"):
      return OperatorError(
        "tls-failed", "\(peerName): \(fault.reason); renew it with: haechi renew --device NAME, or correct this machine's clock", cause: nil)
    case (_, "certificate-not-yet-valid"):
      return OperatorError(
        "tls-failed", "\(peerName): \(fault.reason); this machine's clock is behind, or that of whoever signed was ahead", cause: nil)
    case (_, "certificate-revoked"):
      return OperatorError(
        "tls-failed", "\(peerName): \(fault.reason); if the device is in your hands, give it another with: haechi renew --device NAME", cause: nil)
    case (_, "certificate-untrusted"), (_, "certificate-profile"), (_, "certificate-purpose"), (_, "certificate-invalid"):
      return OperatorError("wrong-device", "what answers at \(endpoint) is not \(peerName): \(fault.reason)", cause: nil)
    case (_, "not-tls"), (_, "plaintext-http"):
      return OperatorError(
        "tls-failed", "\(endpoint) does not speak TLS, so it is no Haechi device; check the address and the port", cause: nil)
    case (_, "unsupported-version"):
      return OperatorError(
        "tls-failed", "\(endpoint) does not speak TLS 1.3, so it is no Haechi device; check the address and the port", cause: nil)
    case (_, "truncated"), (_, "connection-closed"):
      return OperatorError("connection-lost", "\(endpoint) closed the connection before its answer was whole", cause: nil)
    case (_, "handshake-timeout"):
      return OperatorError("silent", "\(endpoint) did not finish the TLS handshake in time", cause: nil)
    default:
      return OperatorError("tls-failed", "the connection to \(endpoint) failed", cause: fault)
    }
  }

  /// What a device means by an alert (RFC 8446 6.2), and what to do about it.
  static func meaning(_ alert: TLSAlert) -> String {
    switch alert.rawValue {
    case 42, 43, 46:
      "your certificate is not of the kind that it accepts now: a blank device takes only a station, a provisioned one is to be claimed (haechi claim), an owned one takes only its owner's members"
    case 44: "your certificate was withdrawn; ask an admin of this owner for another"
    case 45: "your certificate has expired, or the device's clock is ahead; renew it with: haechi member add NAME --role admin --renew"
    case 48:
      "it does not know who signed your certificate: it belongs to another owner, or to another maker, or it is not in the state that you expect"
    case 49: "your certificate is known and may not enter now"
    case 116: "it wants a client certificate and got none"
    case 51: "your certificate and your key do not belong together"
    case 40, 70, 71, 109: "the two sides have no way of TLS in common; one of them is of another time"
    case 80: "it has a fault of its own; see its log"
    default: "see RFC 8446 section 6 for its meaning"
    }
  }
}
