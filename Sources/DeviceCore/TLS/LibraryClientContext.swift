internal import COpenSSL
public import Crypto
public import Foundations
internal import Glibc
internal import Synchronization

/// A client's TLS 1.3-only context for a C library that makes its own connections out of it (libmosquitto): the rules and the judgement of
/// certificates are those of every other context here, and no session is resumed, so that each connection judges the server anew.
///
/// The library is to connect to a numeric address. Whatever name it asks for in the clear by itself is replaced: by the server's DNS name,
/// or by none where the server is known by its address (RFC 6066 section 3 allows no addresses).
public final class LibraryClientContext: @unchecked Sendable {
  private let handle: ContextHandle
  private let serverName: String?
  private let state = Mutex(State())

  private struct State {
    var facts = HandshakeFacts()
    /// The reason and words of a handshake that failed.
    var failed: (reason: CInt, words: String)?
    var peerAlert: TLSAlert?
    /// `errno` of the system call that ended a handshake.
    var systemError: CInt?
    /// How many bytes of records may still come; nil for any number.
    var allowance_bytes: Int?
    /// What `allowance_bytes` begins with, and is filled up to.
    var fullAllowance_bytes: Int?
  }

  /// The key exchange groups that it offers, best first, by OpenSSL's names.
  public var groups: [String] { handle.groups }

  /// - Parameters:
  ///   - chain: our certificate and those above it, leaf first, 1…4.
  ///   - key: the leaf's private key.
  ///   - authorities: whom the server's chain must lead to.
  ///   - server: what the server's certificate must be for.
  ///   - clock: what time validity is judged by.
  /// - Throws: `context-invalid`.
  public init(
    chain: [Certificate], key: PrivateKey, authorities: [Certificate], server: SubjectAlternativeName, clock: WallClock
  ) throws(TLSError) {
    guard !authorities.isEmpty else {
      throw TLSError(code: "context-invalid", reason: "a client needs an authority whose servers it trusts", side: .local)
    }
    if case .dns(let name) = server { serverName = name } else { serverName = nil }
    handle = try ContextHandle(
      isServer: false, chain: chain, key: key, authorities: authorities,
      verifier: PeerVerifier(trust: .authority, requiredUsage: nil, name: server, policy: nil, clock: clock))
    haechi_SSL_CTX_set_session_cache_mode(handle.pointer, Int(SSL_SESS_CACHE_OFF))
    // A library reads until there is nothing left, and takes a record without application data for nothing left.
    haechi_SSL_CTX_set_mode(handle.pointer, Int(SSL_MODE_AUTO_RETRY))
    SSL_CTX_set_ex_data(handle.pointer, 0, Unmanaged.passUnretained(self).toOpaque())
    SSL_CTX_set_info_callback(handle.pointer, observeHandshake)
    SSL_CTX_set_msg_callback(handle.pointer, countRecord)
  }

  /// The library may hold the `SSL_CTX` a little longer; it finds nobody then, and refuses every certificate.
  deinit { SSL_CTX_set_ex_data(handle.pointer, 0, nil) }

  /// The `SSL_CTX`, for the library to take a reference of its own to; never null. This object must outlive the library's connections.
  package var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(handle.pointer) }

  /// Why the newest connection's TLS failed: who refused whom, with which alert. nil where TLS was not at fault.
  public var failure: TLSError? {
    state.withLock { state in
      if state.facts.refusal != nil { return state.facts.failure(reason: 0, words: "") }
      // To a client that offers nothing else this alert says that the server has only older versions (RFC 8446 section 6.2).
      if state.peerAlert == .protocolVersion, !state.facts.isEstablished {
        return TLSError(
          code: "unsupported-version", reason: "the server does not speak TLS 1.3: it answered with the alert \(TLSAlert.protocolVersion)", side: .peer,
          alert: .protocolVersion, certificateSubject: state.facts.subject)
      }
      if let alert = state.peerAlert, alert != .closeNotify { return state.facts.peerAlert(alert) }
      guard let failed = state.failed else { return nil }
      if failed.reason == SSL_R_UNEXPECTED_EOF_WHILE_READING {
        return TLSError(
          code: "truncated", reason: "the connection ended before the handshake was complete", side: .peer, certificateSubject: state.facts.subject)
      }
      return state.facts.failure(reason: failed.reason, words: failed.words)
    }
  }

  /// The `errno` that ended the newest connection's handshake, where a system call did.
  package var systemError: CInt? { state.withLock { $0.systemError } }

  /// Whether the newest connection's handshake is complete, which includes that the server's certificate was accepted.
  package var isEstablished: Bool { state.withLock { $0.facts.isEstablished } }

  /// Bounds a library that would take in a message of any size: so many bytes of TLS records may come until the library's owner has seen a
  /// message complete (`renewAllowance`); with more, reading is ended.
  package func limitMessages(to record_bytes: Int) {
    state.withLock {
      $0.fullAllowance_bytes = record_bytes
      $0.allowance_bytes = record_bytes
    }
  }

  /// A new connection begins: nothing of the one before is its own, also where it ends before its handshake begins.
  package func forget() { state.withLock { $0 = State(allowance_bytes: $0.fullAllowance_bytes, fullAllowance_bytes: $0.fullAllowance_bytes) } }

  /// A message is complete: the next one may have as many bytes.
  package func renewAllowance() { state.withLock { $0.allowance_bytes = $0.fullAllowance_bytes } }

  /// Forgives what came in messages of which nobody tells (an answer to a ping).
  package func raiseAllowance(by count: Int) {
    state.withLock { state in
      guard let now = state.allowance_bytes, let full = state.fullAllowance_bytes, now >= 0 else { return }
      state.allowance_bytes = min(full, now + count)
    }
  }

  /// Whether more came than was allowed, and reading was ended.
  package var isOverdrawn: Bool { state.withLock { ($0.allowance_bytes ?? 0) < 0 } }

  // MARK: OpenSSL's callbacks

  /// The context that an `SSL` of a library was made of. Valid in callbacks, which OpenSSL only makes inside calls of the library's.
  static func of(_ ssl: OpaquePointer?) -> LibraryClientContext? {
    guard let ssl, let context = SSL_get_SSL_CTX(ssl), let pointer = SSL_CTX_get_ex_data(context, 0) else { return nil }
    return Unmanaged<LibraryClientContext>.fromOpaque(pointer).takeUnretainedValue()
  }

  func verify(_ store: OpaquePointer) -> Bool {
    let result = handle.verifier.verify(store)
    state.withLock {
      $0.facts.refusal = result.refusal
      $0.facts.subject = result.leaf?.subject
    }
    return result.refusal == nil
  }

  fileprivate func begin(_ ssl: OpaquePointer) {
    // What the library left behind before is not this handshake's.
    OpenSSL.clearErrors()
    forget()
    // A null pointer takes away the name that the library asked for.
    _ = haechi_SSL_set_tlsext_host_name(ssl, serverName)
  }

  fileprivate func observe(event: CInt, value: CInt, systemError: CInt) {
    state.withLock { state in
      if event & SSL_CB_ALERT != 0 {
        let alert = TLSAlert(rawValue: UInt8(truncatingIfNeeded: value))
        if event & SSL_CB_READ != 0 { state.peerAlert = alert } else { state.facts.sentAlert = alert }
      } else if event & SSL_CB_HANDSHAKE_DONE != 0 {
        state.facts.isEstablished = true
      } else if event & SSL_CB_EXIT != 0, value <= 0, !state.facts.isEstablished {
        let first = ERR_peek_error()
        guard first == 0 else {
          if state.failed == nil { state.failed = (haechi_ERR_GET_LIB(first) == ERR_LIB_SSL ? haechi_ERR_GET_REASON(first) : 0, OpenSSL.words(of: first)) }
          return
        }
        // The first one: a library that tries again hears something else.
        if ![0, EAGAIN, EINTR, EINPROGRESS].contains(systemError), state.systemError == nil { state.systemError = systemError }
      }
    }
  }

  fileprivate func count(_ record_bytes: Int, _ ssl: OpaquePointer?) {
    let isOverdrawn = state.withLock { state in
      state.allowance_bytes? -= record_bytes
      return (state.allowance_bytes ?? 0) < 0
    }
    // The library, which reads for as long as there is something, comes to the end of what the kernel holds already.
    if isOverdrawn { shutdown(SSL_get_fd(ssl), CInt(SHUT_RD)) }
  }
}

/// OpenSSL's report of each step of a handshake and of each alert. Steps within a handshake are not looked at.
private let observeHandshake: @convention(c) (OpaquePointer?, CInt, CInt) -> Void = { ssl, event, value in
  let systemError = errno
  guard event & SSL_CB_LOOP == 0, let ssl, let library = LibraryClientContext.of(ssl) else { return }
  if event & SSL_CB_HANDSHAKE_START != 0 { library.begin(ssl) } else { library.observe(event: event, value: value, systemError: systemError) }
}

/// OpenSSL's report of each message; only the length in the head of each record that arrives is looked at (RFC 8446 section 5.1).
private let countRecord: @convention(c) (CInt, CInt, CInt, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?) -> Void = {
  sent, _, type, message, count, ssl, _ in
  guard sent == 0, type == SSL3_RT_HEADER, let message, count == 5, let library = LibraryClientContext.of(ssl) else { return }
  let head = UnsafeRawBufferPointer(start: message, count: count)
  library.count(5 + (Int(head[3]) << 8 | Int(head[4])), ssl)
}
