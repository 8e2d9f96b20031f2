internal import COpenSSL

/// What every call into OpenSSL here needs: one initialisation, and the thread's error queue emptied before and read after.
package enum OpenSSL {
  /// Initialises the library without reading any configuration file: what a device trusts must not depend on a file, and the
  /// sandboxed runtime could not read one. Safe to call often and from any thread.
  package static func initialise() { _ = initialised }

  private static let initialised: Bool = {
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT), nil) == 1
  }()

  // The library's algorithms are looked up once: `EVP_sha256()` and its like are names that each use looks up anew, behind a lock.

  /// SHA-256, nil where the library has none. It lives as long as the process.
  nonisolated(unsafe) static let sha256: OpaquePointer? = {
    initialise()
    return EVP_MD_fetch(nil, "SHA256", nil)
  }()
  /// HMAC-SHA-256 without a key: what each use copies and gives a key to. Never used itself. nil where the library has none.
  nonisolated(unsafe) static let hmacSHA256: OpaquePointer? = {
    initialise()
    guard let algorithm = EVP_MAC_fetch(nil, "HMAC", nil) else { return nil }
    // The context keeps the algorithm.
    defer { EVP_MAC_free(algorithm) }
    guard let context = EVP_MAC_CTX_new(algorithm) else { return nil }
    var name = Array("SHA256".utf8CString)
    let isReady = name.withUnsafeMutableBufferPointer { name in
      let parameters = [OSSL_PARAM_construct_utf8_string("digest", name.baseAddress, 0), OSSL_PARAM_construct_end()]
      return EVP_MAC_CTX_set_params(context, parameters) == 1
    }
    guard isReady else {
      EVP_MAC_CTX_free(context)
      return nil
    }
    return context
  }()
  /// AES-256-GCM, nil where the library has none.
  nonisolated(unsafe) static let aes256GCM: OpaquePointer? = {
    initialise()
    return EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
  }()
  /// ChaCha20-Poly1305, nil where the library has none.
  nonisolated(unsafe) static let chaCha20Poly1305: OpaquePointer? = {
    initialise()
    return EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil)
  }()

  /// Forgets what earlier calls on this thread left behind.
  package static func clearErrors() { ERR_clear_error() }

  /// Empties this thread's error queue: `library:reason[:data]`, oldest first, at most 8 entries.
  package static func takeErrors() -> String {
    var entries: [String] = []
    var data: UnsafePointer<CChar>?
    var flags: CInt = 0
    while true {
      let code = ERR_get_error_all(nil, nil, nil, &data, &flags)
      guard code != 0 else { break }
      guard entries.count < 8 else { continue }
      let library = ERR_lib_error_string(code).map { String(cString: $0) } ?? "openssl"
      let reason = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
      var entry = "\(library):\(reason)"
      if let data, flags & ERR_TXT_STRING != 0, data.pointee != 0 { entry += ":" + String(cString: data) }
      entries.append(entry)
    }
    return entries.joined(separator: "; ")
  }

  /// `library:reason` of one entry of the error queue, which stays as it is.
  package static func words(of code: UInt) -> String {
    let library = ERR_lib_error_string(code).map { String(cString: $0) } ?? "openssl"
    let reason = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
    return "\(library):\(reason)"
  }

  /// An error of a call that failed, with what OpenSSL left in its queue.
  package static func failure(_ code: String, _ reason: String) -> CryptoError {
    CryptoError(code: code, reason: reason, openSSLErrors: takeErrors())
  }

  /// The running library's version, as it names itself: `OpenSSL 3.0.15 3 Sep 2024`.
  package static var version: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }
}

/// The running OpenSSL's version, as it names itself: `OpenSSL 3.0.15 3 Sep 2024`.
public func openSSLVersion() -> String { OpenSSL.version }
