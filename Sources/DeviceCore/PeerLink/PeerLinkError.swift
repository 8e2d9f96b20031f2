public import Foundations
import NIOCore
import TLS

/// Why a peer is not reached.
///
/// Codes: `peer-unreachable`, `peer-silent`, `peer-refused` (it does not let this device in), `peer-wrong` (it is another device than the listed one,
/// another owner's, or one whose certificate has ended or was withdrawn), `peer-incompatible`, `peer-answer` (it answers what this firmware does not
/// read), `peer-lost`.
public struct PeerLinkError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }

  /// What ended a connection.
  static func of(_ error: any Error) -> PeerLinkError {
    if let known = error as? PeerLinkError { return known }
    guard let fault = error as? TLSError else {
      return PeerLinkError(code: "peer-lost", reason: "the connection ended", cause: error)
    }
    switch (fault.side, fault.code) {
    case (.peer, "peer-alert"): return PeerLinkError(code: "peer-refused", reason: "the peer does not let this device in: \(fault.reason)")
    case (.local, let code) where code.hasPrefix("certificate-"):
      return PeerLinkError(code: "peer-wrong", reason: "what answers there is not the listed device of the same owner: \(fault.reason)")
    case (_, "handshake-timeout"): return PeerLinkError(code: "peer-silent", reason: fault.reason)
    default: return PeerLinkError(code: "peer-lost", reason: fault.reason)
    }
  }
}
