public import Crypto

/// The user inbound event that says that the handshake is complete and the peer's certificate was accepted. No application byte is
/// delivered or sent before it.
///
/// A client must know that in TLS 1.3 its own handshake ends before the server has judged its certificate: a refusal then arrives as an
/// error (`peer-alert`) instead of the first answer.
public struct TLSHandshakeCompleted: Sendable {
  /// The peer's certificate; nil never happens on a server.
  public let peer: Certificate?
  /// `TLSv1.3`.
  public let protocolVersion: String
  /// `TLS_AES_256_GCM_SHA384`.
  public let cipher: String
  /// The key exchange group, by OpenSSL's name: `X25519MLKEM768`, `x25519`, `secp256r1`.
  public let group: String
  /// Whether an earlier session was resumed, so that no certificate was sent in this handshake (it was judged again nevertheless).
  public let resumed: Bool
  /// Whether a server showed its alternative certificate in this handshake; never true of a resumed session.
  public let showedAlternative: Bool
}
