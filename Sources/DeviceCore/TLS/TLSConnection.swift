internal import COpenSSL
internal import Crypto
internal import Foundations
internal import NIOCore

/// One `SSL` and the buffers that its BIO reads from and writes to. Confined to one event loop; knows nothing of channels.
final class TLSConnection {
  /// How a call ended.
  enum Outcome {
    case complete
    /// More ciphertext is needed.
    case incomplete
    /// The peer sent close_notify: it writes no more.
    case ended
    case failed(TLSError)
  }

  let context: ContextHandle
  let server: TLSServerContext?
  let client: TLSClientContext?
  private let ssl: OpaquePointer

  /// Ciphertext from the peer that OpenSSL has not read yet.
  private var inbound = CircularBuffer<ByteBuffer>(initialCapacity: 2)
  /// How many bytes `inbound` holds.
  private(set) var inboundBytes = 0
  /// The peer's side of the transport has ended.
  var inboundEnded = false
  /// Ciphertext for the peer.
  private var outbound = ByteBuffer()
  var outboundBytes: Int { outbound.readableBytes }

  /// Set by the verification of the peer's chain, or of the session that its ticket holds.
  var peerRefusal: CertificateRefusal?
  var peerLeaf: Certificate?
  var peerSubject: String? { peerLeaf?.subject }
  /// Set where the server's alternative certificate was shown.
  var showsAlternative = false
  private var sentAlert: TLSAlert?
  private(set) var isEstablished = false
  /// Our CertificateVerify is made: nothing of the handshake waits for a key any more.
  private(set) var hasSigned = false
  /// Handshake messages since the last application byte.
  private var postHandshakeMessages = 0
  /// Records written under the present key.
  private var recordsWritten = 0

  /// More than this many post-handshake messages without one application byte between them is an attack: each costs key derivations.
  private static let maximumPostHandshakeMessages = 32
  /// AES-GCM is safe for 2^24.5 records under one key (RFC 8446 section 5.5); ours changes well before.
  private static let recordsPerKey = 1 << 23
  /// What a record adds to its plaintext: head, content type, tag (RFC 8446 section 5.2).
  private static let recordOverhead_bytes = 22

  convenience init(server: TLSServerContext) throws(TLSError) {
    try self.init(context: server.handle, server: server, client: nil)
  }

  convenience init(client: TLSClientContext) throws(TLSError) {
    try self.init(context: client.handle, server: nil, client: client)
    if let name = client.serverName, haechi_SSL_set_tlsext_host_name(ssl, name) != 1 {
      throw contextError("\(name) cannot be asked for as a server name")
    }
    client.offerSession(on: ssl)
  }

  private init(context: ContextHandle, server: TLSServerContext?, client: TLSClientContext?) throws(TLSError) {
    OpenSSL.clearErrors()
    guard let method = bufferMethod, let ssl = SSL_new(context.pointer) else { throw contextError("no memory for a TLS connection") }
    guard let bio = BIO_new(method) else {
      SSL_free(ssl)
      throw contextError("no memory for a TLS connection")
    }
    self.context = context
    self.server = server
    self.client = client
    self.ssl = ssl
    let me = Unmanaged.passUnretained(self).toOpaque()
    BIO_set_data(bio, me)
    // One BIO for both directions: SSL_set_bio takes one reference for both.
    SSL_set_bio(ssl, bio, bio)
    SSL_set_ex_data(ssl, 0, me)
    SSL_set_msg_callback(ssl, observeMessage)
    if server != nil { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
  }

  deinit { SSL_free(ssl) }

  /// The connection that an `SSL` belongs to. Valid in callbacks, which OpenSSL only makes inside calls of ours.
  static func of(_ ssl: OpaquePointer?) -> TLSConnection? {
    guard let ssl, let pointer = SSL_get_ex_data(ssl, 0) else { return nil }
    return Unmanaged<TLSConnection>.fromOpaque(pointer).takeUnretainedValue()
  }

  // MARK: the transport's side

  func receive(_ buffer: ByteBuffer) {
    guard buffer.readableBytes > 0 else { return }
    inbound.append(buffer)
    inboundBytes += buffer.readableBytes
  }

  func discardInbound() {
    inbound.removeAll()
    inboundBytes = 0
  }

  /// The ciphertext that is to be sent, nil for none.
  func takeOutbound() -> ByteBuffer? {
    guard outbound.readableBytes > 0 else { return nil }
    defer { outbound = ByteBuffer() }
    return outbound
  }

  fileprivate func read(into target: UnsafeMutableRawBufferPointer) -> Int {
    var copied = 0
    while copied < target.count, !inbound.isEmpty {
      let wanted = min(target.count - copied, inbound[inbound.startIndex].readableBytes)
      inbound[inbound.startIndex].readWithUnsafeReadableBytes { source in
        target.baseAddress!.advanced(by: copied).copyMemory(from: source.baseAddress!, byteCount: wanted)
        return wanted
      }
      copied += wanted
      if inbound[inbound.startIndex].readableBytes == 0 { inbound.removeFirst() }
    }
    inboundBytes -= copied
    return copied
  }

  fileprivate func write(from source: UnsafeRawBufferPointer) { outbound.writeBytes(source) }

  // MARK: the application's side

  func handshake() -> Outcome {
    OpenSSL.clearErrors()
    while true {
      let before = inboundBytes
      let result = SSL_do_handshake(ssl)
      if result == 1 {
        isEstablished = true
        postHandshakeMessages = 0
        return .complete
      }
      let outcome = classify(result)
      if case .incomplete = outcome, inboundBytes < before, inboundBytes > 0 { continue }
      return outcome
    }
  }

  /// Decrypts into `buffer` until it has no room for more or there is no more to decrypt.
  func decrypt(into buffer: inout ByteBuffer) -> Outcome {
    OpenSSL.clearErrors()
    while buffer.writableBytes > 0 {
      let before = inboundBytes
      var result: CInt = 0
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { target in
        var count = 0
        result = SSL_read_ex(ssl, target.baseAddress, target.count, &count)
        return result == 1 ? count : 0
      }
      if result == 1 {
        postHandshakeMessages = 0
        continue
      }
      let outcome = classify(result)
      guard postHandshakeMessages <= Self.maximumPostHandshakeMessages else {
        return .failed(
          TLSError(
            code: "post-handshake-flood", reason: "the peer sent \(postHandshakeMessages) key updates or tickets without any data",
            side: .local, certificateSubject: peerSubject))
      }
      // A record that held no application data ends a read.
      if case .incomplete = outcome, inboundBytes < before, inboundBytes > 0 { continue }
      return outcome
    }
    return .complete
  }

  /// Bytes that OpenSSL has decrypted and not handed out.
  var decryptedBytes: Int { Int(SSL_pending(ssl)) }

  /// Encrypts all of `plaintext`.
  func encrypt(_ plaintext: UnsafeRawBufferPointer) -> Outcome {
    guard plaintext.count > 0 else { return .complete }
    OpenSSL.clearErrors()
    recordsWritten += (plaintext.count + 16_383) / 16_384
    if recordsWritten > Self.recordsPerKey, SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 { recordsWritten = 0 }
    // All of it at once: a buffer that grows record by record is copied each time.
    outbound.reserveCapacity(minimumWritableBytes: plaintext.count + (plaintext.count + 16_383) / 16_384 * Self.recordOverhead_bytes)
    var written = 0
    let result = SSL_write_ex(ssl, plaintext.baseAddress, plaintext.count, &written)
    guard result == 1, written == plaintext.count else { return classify(result) }
    return .complete
  }

  /// Writes close_notify. Before the handshake is complete there is nothing to end and nothing is written.
  func sendCloseNotify() {
    OpenSSL.clearErrors()
    if isEstablished { _ = SSL_shutdown(ssl) }
    OpenSSL.clearErrors()
  }

  // MARK: what was agreed

  func peerCertificate() -> Certificate? {
    guard let handle = SSL_get0_peer_certificate(ssl) else { return nil }
    // Parsed when it was verified; a client that resumes verifies nothing.
    if let peerLeaf, X509_cmp(peerLeaf.handle, handle) == 0 { return peerLeaf }
    return try? Certificate(retaining: handle)
  }
  var isResumed: Bool { SSL_session_reused(ssl) == 1 }
  var protocolVersion: String { String(cString: SSL_get_version(ssl)) }
  var cipher: String { SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { String(cString: $0) } ?? "" }
  var group: String { SSL_group_to_name(ssl, haechi_SSL_get_negotiated_group(ssl)).map { String(cString: $0) } ?? "" }

  /// RFC 8446 section 7.5.
  func exportKeyingMaterial(label: String, context: [UInt8]?, count: Int) throws(TLSError) -> SecretBytes {
    OpenSSL.clearErrors()
    return try SecretBytes(capacity: count) { (buffer) throws(TLSError) in
      guard isEstablished,
        SSL_export_keying_material(
          ssl, buffer.bindMemory(to: UInt8.self).baseAddress, count, label, label.utf8.count, context, context?.count ?? 0, context == nil ? 0 : 1) == 1
      else { throw contextError("no keying material can be exported before the handshake is complete") }
      return count
    }
  }

  // MARK: errors

  fileprivate func observe(sent: Bool, type: CInt, message: UnsafeRawBufferPointer) {
    switch type {
    case SSL3_RT_ALERT where sent && message.count == 2: sentAlert = TLSAlert(rawValue: message[1])
    case SSL3_RT_HANDSHAKE where !sent && isEstablished: postHandshakeMessages += 1
    // RFC 8446 section 4: certificate_verify.
    case SSL3_RT_HANDSHAKE where sent && message.first == 15: hasSigned = true
    default: break
    }
  }

  private func classify(_ result: CInt) -> Outcome {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .incomplete
    case SSL_ERROR_ZERO_RETURN: return .ended
    default: return .failed(failure())
    }
  }

  /// Reads OpenSSL's error queue and says whose fault it was.
  private func failure() -> TLSError {
    let first = ERR_peek_error()
    let reason = haechi_ERR_GET_LIB(first) == ERR_LIB_SSL ? haechi_ERR_GET_REASON(first) : 0
    if peerRefusal == nil, reason == SSL_R_UNEXPECTED_EOF_WHILE_READING {
      OpenSSL.clearErrors()
      return truncation()
    }
    if peerRefusal == nil, haechi_ERR_GET_LIB(first) == haechi_ERR_LIB_USER {
      return TLSError(
        code: "signature-failed", reason: "the key of our certificate, which lies outside, did not sign", side: .local, alert: sentAlert,
        cause: CryptoError(code: "openssl-failed", reason: OpenSSL.takeErrors()))
    }
    return HandshakeFacts(refusal: peerRefusal, subject: peerSubject, sentAlert: sentAlert, isEstablished: isEstablished)
      .failure(reason: reason, words: OpenSSL.takeErrors())
  }

  /// The same, of a connection whose handshake is not complete.
  static func truncation() -> TLSError {
    TLSError(code: "truncated", reason: "the connection ended before the handshake was complete", side: .peer)
  }

  /// The transport ended and the peer had not said that it would.
  func truncation() -> TLSError {
    TLSError(
      code: "truncated",
      reason: isEstablished
        ? "the connection ended without close_notify; what was received may be incomplete" : "the connection ended before the handshake was complete",
      side: .peer, certificateSubject: peerSubject)
  }
}

// MARK: the BIO

/// A BIO that reads from a connection's inbound buffers and writes to its outbound one. Made once; nil only without memory.
nonisolated(unsafe) private let bufferMethod: OpaquePointer? = {
  let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
  guard let method = BIO_meth_new(kind, "NIO buffers") else { return nil }
  BIO_meth_set_create(method) { bio in
    BIO_set_init(bio, 1)
    return 1
  }
  BIO_meth_set_read(method) { bio, target, count in
    guard let bio, let target, count > 0, let data = BIO_get_data(bio) else { return 0 }
    let connection = Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue()
    haechi_BIO_clear_retry_flags(bio)
    let copied = connection.read(into: UnsafeMutableRawBufferPointer(start: target, count: Int(count)))
    if copied > 0 { return CInt(copied) }
    if connection.inboundEnded { return 0 }
    haechi_BIO_set_retry_read(bio)
    return -1
  }
  BIO_meth_set_write(method) { bio, source, count in
    guard let bio, let source, count > 0, let data = BIO_get_data(bio) else { return 0 }
    Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue().write(from: UnsafeRawBufferPointer(start: source, count: Int(count)))
    return count
  }
  BIO_meth_set_ctrl(method) { bio, command, _, _ in
    switch command {
    case BIO_CTRL_FLUSH: return 1
    case BIO_CTRL_EOF:
      guard let bio, let data = BIO_get_data(bio) else { return 0 }
      let connection = Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue()
      return connection.inboundEnded && connection.inboundBytes == 0 ? 1 : 0
    default: return 0
    }
  }
  return method
}()

/// OpenSSL's report of each message; only the kind and alerts are looked at.
private let observeMessage: @convention(c) (CInt, CInt, CInt, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?) -> Void = {
  sent, _, type, message, count, ssl, _ in
  TLSConnection.of(ssl)?.observe(sent: sent != 0, type: type, message: UnsafeRawBufferPointer(start: message, count: count))
}
