internal import COpenSSL
public import Crypto
public import Foundations

/// A server's certificate, key and rules: TLS 1.3 only, a client certificate demanded in every handshake. Immutable: a change of
/// who is trusted makes a new one.
public final class TLSServerContext: @unchecked Sendable {
  /// A second certificate and key, shown instead of the first to whoever asks for `serverName` in the clear (RFC 6066 section 3).
  public struct Alternative: Sendable {
    /// A DNS name, compared as it stands.
    public let serverName: String
    /// Leaf first, 1…4, without the root.
    public let chain: [Certificate]
    public let key: PrivateKey

    public init(serverName: String, chain: [Certificate], key: PrivateKey) {
      self.serverName = serverName
      self.chain = chain
      self.key = key
    }
  }

  /// Has `step` run on a thread that may wait, once; false where too many wait already, and it never runs.
  public typealias PatientThread = @Sendable (_ step: @escaping @Sendable () -> Void) -> Bool

  let handle: ContextHandle
  let tickets: SessionTicketKeys
  let alternative: Alternative?
  /// Where handshakes go on until our signature is made; nil where that needs no wait.
  let patientThread: PatientThread?

  /// The key exchange groups that it accepts, best first, by OpenSSL's names; `X25519MLKEM768` first where the library has it.
  public var groups: [String] { handle.groups }

  /// - Parameters:
  ///   - chain: our certificate and those above it, leaf first, 1…4, without the root.
  ///   - key: the leaf's private key.
  ///   - trust: whose certificates are accepted.
  ///   - policy: a further look at each client's certificate, in the handshake and at each resumption.
  ///   - clock: what time validity is judged by.
  ///   - tickets: the keys of session tickets. Drop them when the trust changes.
  ///   - alternative: what is shown by name in a full handshake; who resumes a session sees no certificate at all.
  ///   - patientThread: where a key that lies outside signs, whose handshakes would keep an event loop waiting; such a key needs one.
  /// - Throws: `context-invalid`.
  public init(
    chain: [Certificate], key: PrivateKey, trust: ClientTrust, policy: CertificatePolicy? = nil, clock: WallClock, tickets: SessionTicketKeys,
    alternative: Alternative? = nil, patientThread: PatientThread? = nil
  ) throws(TLSError) {
    let authorities: [Certificate]
    let verifier: PeerVerifier
    switch trust {
    case .authority(let trusted, let usage):
      guard !trusted.isEmpty else { throw TLSError(code: "context-invalid", reason: "a server needs an authority whose clients it accepts", side: .local) }
      authorities = trusted
      verifier = PeerVerifier(trust: .authority, requiredUsage: usage, name: nil, policy: policy, clock: clock)
    case .selfSigned:
      authorities = []
      verifier = PeerVerifier(trust: .selfSigned, requiredUsage: nil, name: nil, policy: policy, clock: clock)
    case .authorityOrSelfSigned(let trusted, let usage, let admits):
      guard !trusted.isEmpty else { throw TLSError(code: "context-invalid", reason: "a server needs an authority whose clients it accepts", side: .local) }
      authorities = trusted
      verifier = PeerVerifier(trust: .authorityOrSelfSigned(admits: admits), requiredUsage: usage, name: nil, policy: policy, clock: clock)
    }
    handle = try ContextHandle(isServer: true, chain: chain, key: key, authorities: authorities, verifier: verifier)
    self.tickets = tickets
    self.alternative = alternative
    let isOutside = key.isOutside || alternative?.key.isOutside == true
    guard !isOutside || patientThread != nil else {
      throw TLSError(code: "context-invalid", reason: "a key that lies outside needs a thread that may wait for it", side: .local)
    }
    self.patientThread = isOutside ? patientThread : nil
    try setTickets()
    if let alternative {
      guard let leaf = alternative.chain.first, leaf.publicKeyDigest == alternative.key.publicKey.digest, alternative.chain.count <= 4 else {
        throw contextError("the private key does not belong to the certificate for \(alternative.serverName)")
      }
      SSL_CTX_set_cert_cb(handle.pointer, chooseCertificate, nil)
    }
  }

  private func setTickets() throws(TLSError) {
    let context = handle.pointer
    // A context of its own for each: OpenSSL resumes no session that another one made.
    guard let identifier = try? randomBytes(32), SSL_CTX_set_session_id_context(context, identifier, CUnsignedInt(identifier.count)) == 1 else {
      throw contextError("OpenSSL takes no session context")
    }
    // Everything is in the ticket: the device remembers no session.
    haechi_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
    SSL_CTX_set_timeout(context, CLong(max(1, tickets.rotation_ms / 1000 * 2)))
    // One ticket after each handshake: a client that wants two connections at once makes one more full handshake.
    guard SSL_CTX_set_num_tickets(context, 1) == 1, SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticketKey) == 1,
      SSL_CTX_set_session_ticket_cb(context, fillTicket, judgeTicket, nil) == 1
    else { throw contextError("OpenSSL takes no session ticket keys") }
  }
}

/// OpenSSL's question, in a full handshake, which certificate shall be shown. 1 goes on, 0 ends the handshake.
private let chooseCertificate: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { ssl, _ in
  guard let ssl, let connection = TLSConnection.of(ssl) else { return 0 }
  guard let alternative = connection.server?.alternative, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
    String(cString: name) == alternative.serverName, let leaf = alternative.chain.first
  else { return 1 }
  SSL_certs_clear(ssl)
  guard SSL_use_certificate(ssl, leaf.handle) == 1, SSL_use_PrivateKey(ssl, alternative.key.handle) == 1, SSL_check_private_key(ssl) == 1 else { return 0 }
  for certificate in alternative.chain.dropFirst() {
    // SSL_add1_chain_cert, which is a macro.
    guard SSL_ctrl(ssl, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate.handle)) == 1 else { return 0 }
  }
  connection.showsAlternative = true
  return 1
}

/// OpenSSL's question for the key of a ticket.
private let ticketKey:
  @convention(c) (
    OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?, OpaquePointer?, CInt
  ) -> CInt = { ssl, name, iv, cipher, mac, sealing in
    guard let name, let iv, let cipher, let mac, let server = TLSConnection.of(ssl)?.server else { return -1 }
    return prepareTicketKey(server.tickets, sealing: sealing != 0, name: name, iv: iv, cipher: cipher, mac: mac)
  }

/// Writes into a new ticket when the first certificate of the verified chain ends: the chain itself is not in the ticket.
private let fillTicket: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { ssl, _ in
  guard let ssl, let session = SSL_get_session(ssl) else { return 0 }
  // A resumed session keeps what its first handshake wrote.
  guard SSL_session_reused(ssl) == 0 else { return 1 }
  guard let chain = SSL_get0_verified_chain(ssl), OPENSSL_sk_num(chain) > 0 else { return 0 }
  var end_s = Int64.max
  for index in 0..<OPENSSL_sk_num(chain) {
    guard let entry = OPENSSL_sk_value(chain, index), let notAfter_s = Certificate.notAfter_s(of: OpaquePointer(entry)) else { return 0 }
    end_s = min(end_s, notAfter_s)
  }
  return withUnsafeBytes(of: end_s.bigEndian) { SSL_SESSION_set1_ticket_appdata(session, $0.baseAddress, $0.count) }
}

/// Decides whether a ticket that our key opened may be used: not where its certificate would be refused today. Without it the
/// handshake is a full one, which judges the certificate and sends the alert that belongs to it.
private let judgeTicket:
  @convention(c) (OpaquePointer?, OpaquePointer?, UnsafePointer<UInt8>?, Int, SSL_TICKET_STATUS, UnsafeMutableRawPointer?) -> SSL_TICKET_RETURN = {
    ssl, session, _, _, status, _ in
    switch Int(status) {
    case Int(SSL_TICKET_EMPTY), Int(SSL_TICKET_NO_DECRYPT): return SSL_TICKET_RETURN(SSL_TICKET_RETURN_IGNORE_RENEW)
    case Int(SSL_TICKET_SUCCESS), Int(SSL_TICKET_SUCCESS_RENEW): break
    default: return SSL_TICKET_RETURN(SSL_TICKET_RETURN_ABORT)
    }
    let ignore = SSL_TICKET_RETURN(SSL_TICKET_RETURN_IGNORE_RENEW)
    guard let session, let connection = TLSConnection.of(ssl), let peer = SSL_SESSION_get0_peer(session),
      let certificate = try? Certificate(retaining: peer)
    else { return ignore }
    var data: UnsafeMutableRawPointer?
    var count = 0
    guard SSL_SESSION_get0_ticket_appdata(session, &data, &count) == 1, let data, count == 8 else { return ignore }
    let end_s = Int64(bigEndian: data.loadUnaligned(as: Int64.self))
    guard connection.context.verifier.refusalAtResumption(certificate, chainEnd_s: end_s) == nil else { return ignore }
    connection.peerLeaf = certificate
    return SSL_TICKET_RETURN(SSL_TICKET_RETURN_USE_RENEW)
  }
