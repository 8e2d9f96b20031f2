internal import COpenSSL
public import Crypto
public import Foundations
internal import Synchronization

/// A client's certificate, key, and how it knows its server: TLS 1.3 only. Immutable but for the sessions that it remembers, which are
/// used once each. One context is for one server.
public final class TLSClientContext: @unchecked Sendable {
  let handle: ContextHandle
  /// What is asked for by name in the clear (RFC 6066 section 3), nil for nothing.
  let serverName: String?
  private let sessions = Mutex<[Session]>([])
  private let remembersSessions: Bool

  /// A session that a server gave us; frees itself.
  private final class Session: @unchecked Sendable {
    let pointer: OpaquePointer
    init(adopting pointer: OpaquePointer) { self.pointer = pointer }
    deinit { SSL_SESSION_free(pointer) }
  }

  /// The key exchange groups that it offers, best first, by OpenSSL's names.
  public var groups: [String] { handle.groups }

  /// - Parameters:
  ///   - chain: our certificate and those above it, leaf first, 0…4; empty to send none.
  ///   - key: the leaf's private key; nil where `chain` is empty.
  ///   - trust: how the server is known.
  ///   - policy: a further look at the server's certificate, in the handshake and before each resumption.
  ///   - clock: what time validity is judged by.
  ///   - serverName: a DNS name to ask for in the clear; nil for the one of `trust`, if it is a DNS name.
  ///   - remembersSessions: whether later connections may resume earlier ones.
  /// - Throws: `context-invalid`.
  public init(
    chain: [Certificate], key: PrivateKey?, trust: ServerTrust, policy: CertificatePolicy? = nil, clock: WallClock,
    serverName: String? = nil, remembersSessions: Bool = true
  ) throws(TLSError) {
    guard chain.isEmpty == (key == nil) else {
      throw TLSError(code: "context-invalid", reason: "a client has a certificate and its key, or neither", side: .local)
    }
    var authorities: [Certificate] = []
    var name: SubjectAlternativeName?
    let how: PeerVerifier.Trust
    switch trust {
    case .authority(let trusted, let expected): (authorities, name, how) = (trusted, expected, .authority)
    case .authorityAnyName(let trusted): (authorities, how) = (trusted, .authority)
    case .publicKeyDigest(let digest):
      guard (10...32).contains(digest.count) else {
        throw TLSError(code: "context-invalid", reason: "a server's key is known by 10 to 32 bytes of its digest, not \(digest.count)", side: .local)
      }
      how = .publicKeyDigest(digest)
    case .selfSigned: how = .selfSigned
    case .provedLater: how = .any
    case .authorityEvenExpired(let trusted, let expected): (authorities, name, how) = (trusted, expected, .authorityEvenExpired)
    }
    if how.needsAuthority, authorities.isEmpty {
      throw TLSError(code: "context-invalid", reason: "a client needs an authority whose servers it trusts", side: .local)
    }
    if case .dns(let host)? = name { self.serverName = serverName ?? host } else { self.serverName = serverName }
    self.remembersSessions = remembersSessions
    handle = try ContextHandle(
      isServer: false, chain: chain, key: key, authorities: authorities,
      verifier: PeerVerifier(trust: how, requiredUsage: nil, name: name, policy: policy, clock: clock))
    if remembersSessions {
      haechi_SSL_CTX_set_session_cache_mode(handle.pointer, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
      SSL_CTX_sess_set_new_cb(handle.pointer, keepSession)
    } else {
      haechi_SSL_CTX_set_session_cache_mode(handle.pointer, Int(SSL_SESS_CACHE_OFF))
    }
  }

  /// Keeps the newest four; takes over `pointer`.
  func remember(_ pointer: OpaquePointer) {
    let session = Session(adopting: pointer)
    sessions.withLock { sessions in
      sessions.append(session)
      if sessions.count > 4 { sessions.removeFirst() }
    }
  }

  /// Offers the newest session whose server certificate would still be accepted. Each is offered once (RFC 8446 appendix C.4).
  func offerSession(on ssl: OpaquePointer) {
    while let session = sessions.withLock({ $0.popLast() }) {
      guard SSL_SESSION_is_resumable(session.pointer) == 1, let peer = SSL_SESSION_get0_peer(session.pointer),
        let certificate = try? Certificate(retaining: peer),
        handle.verifier.refusalAtResumption(certificate, chainEnd_s: certificate.notAfter_s) == nil
      else { continue }
      if SSL_set_session(ssl, session.pointer) == 1 { return }
      OpenSSL.clearErrors()
    }
  }
}

/// OpenSSL's offer of a session that the server gave; 1 takes it over.
private let keepSession: @convention(c) (OpaquePointer?, OpaquePointer?) -> CInt = { ssl, session in
  guard let session, let client = TLSConnection.of(ssl)?.client else { return 0 }
  client.remember(session)
  return 1
}
