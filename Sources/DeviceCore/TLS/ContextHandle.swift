internal import COpenSSL
internal import Crypto
internal import Foundations

/// An `SSL_CTX`, set up once and never changed after: the rules that both sides share.
final class ContextHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  let isServer: Bool
  let verifier: PeerVerifier
  /// Groups that are offered, best first, as OpenSSL names them.
  let groups: [String]

  /// - Throws: `context-invalid`.
  init(
    isServer: Bool, chain: [Certificate], key: PrivateKey?, authorities: [Certificate], verifier: PeerVerifier
  ) throws(TLSError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let pointer = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else { throw contextError("OpenSSL gives no TLS context") }
    self.pointer = pointer
    self.isServer = isServer
    self.verifier = verifier
    groups = offeredGroups(pointer)
    // From here on `deinit` frees the context also where an error is thrown.
    try setRules()
    if let key { try setCredential(chain, key) }
    if let store = SSL_CTX_get_cert_store(pointer) {
      for authority in authorities {
        // Once, here, and not in each handshake.
        guard X509_self_signed(authority.handle, 0) != 1 || X509_self_signed(authority.handle, 1) == 1 else {
          throw contextError("the authority \(authority.subject) is self-signed, and its signature is wrong")
        }
        guard X509_STORE_add_cert(store, authority.handle) == 1 else { throw contextError("the authority \(authority.subject) cannot be trusted") }
      }
    }
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    SSL_CTX_set_cert_verify_callback(pointer, verifyPeer, nil)
  }

  deinit { SSL_CTX_free(pointer) }

  private func setRules() throws(TLSError) {
    // AES-256 first, but ChaCha20 for a client that puts it first because it has no AES instructions.
    let suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
    let signatures = "ecdsa_secp256r1_sha256:ed25519"
    guard haechi_SSL_CTX_set_min_proto_version(pointer, TLS1_3_VERSION) == 1, haechi_SSL_CTX_set_max_proto_version(pointer, TLS1_3_VERSION) == 1,
      SSL_CTX_set_ciphersuites(pointer, suites) == 1, haechi_SSL_CTX_set1_sigalgs_list(pointer, signatures) == 1,
      haechi_SSL_CTX_set1_client_sigalgs_list(pointer, signatures) == 1, !groups.isEmpty
    else { throw contextError("OpenSSL does not offer TLS 1.3 with P-256, Ed25519 and X25519") }
    SSL_CTX_set_security_level(pointer, 2)
    SSL_CTX_set_options(pointer, haechi_tls_options)
    // Idle connections give their record buffers back; a record that is no application data ends a read, so that each can be counted.
    // No certificate is added to our chain out of what we trust.
    haechi_SSL_CTX_set_mode(
      pointer, Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) | Int(SSL_MODE_NO_AUTO_CHAIN))
    haechi_SSL_CTX_clear_mode(pointer, Int(SSL_MODE_AUTO_RETRY))
    // A peer's whole chain: four certificates of the largest size would still be four times too much.
    haechi_SSL_CTX_set_max_cert_list(pointer, Certificate.maximumDERBytes)
    SSL_CTX_set_max_early_data(pointer, 0)
    SSL_CTX_set_recv_max_early_data(pointer, 0)
    SSL_CTX_set_quiet_shutdown(pointer, 0)
  }

  private func setCredential(_ chain: [Certificate], _ key: PrivateKey) throws(TLSError) {
    guard let leaf = chain.first, chain.count <= 4 else { throw contextError("a certificate chain has 1 to 4 certificates, not \(chain.count)") }
    guard leaf.publicKeyDigest == key.publicKey.digest else { throw contextError("the private key does not belong to the certificate \(leaf.subject)") }
    guard SSL_CTX_use_certificate(pointer, leaf.handle) == 1, SSL_CTX_use_PrivateKey(pointer, key.handle) == 1, SSL_CTX_check_private_key(pointer) == 1
    else { throw contextError("the certificate \(leaf.subject) cannot be used") }
    for certificate in chain.dropFirst() {
      // SSL_CTX_add1_chain_cert, which is a macro.
      guard SSL_CTX_ctrl(pointer, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate.handle)) == 1 else {
        throw contextError("the certificate \(certificate.subject) cannot be sent")
      }
    }
  }
}

/// `context-invalid`, with what OpenSSL said.
func contextError(_ reason: String) -> TLSError {
  let beneath = OpenSSL.takeErrors()
  return TLSError(
    code: "context-invalid", reason: reason, side: .local, cause: beneath.isEmpty ? nil : CryptoError(code: "openssl-failed", reason: beneath))
}

/// Sets the groups of `context`, the post-quantum hybrid first where the library has it: OpenSSL 3.0 refuses names that it does not know.
private func offeredGroups(_ context: OpaquePointer) -> [String] {
  // With `*` (3.5 and later) a client sends a key share for the group at once, so that no side pays a round trip for the other's age.
  let choices: [(list: String, names: [String])] = [
    ("*X25519MLKEM768:*X25519:P-256", ["X25519MLKEM768", "X25519", "P-256"]),
    ("X25519MLKEM768:X25519:P-256", ["X25519MLKEM768", "X25519", "P-256"]),
    ("X25519:P-256", ["X25519", "P-256"]),
  ]
  for choice in choices {
    if haechi_SSL_CTX_set1_groups_list(context, choice.list) == 1 { return choice.names }
    OpenSSL.clearErrors()
  }
  return []
}

/// OpenSSL's question in the handshake whether the peer's chain is good.
private let verifyPeer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { store, _ in
  guard let store, let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()).map({ OpaquePointer($0) }) else { return 0 }
  // Another library's connection knows its context only.
  if let library = LibraryClientContext.of(ssl) { return library.verify(store) ? 1 : 0 }
  guard let connection = TLSConnection.of(ssl) else { return 0 }
  let result = connection.context.verifier.verify(store)
  connection.peerRefusal = result.refusal
  connection.peerLeaf = result.leaf
  return result.refusal == nil ? 1 : 0
}
