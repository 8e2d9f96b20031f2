internal import COpenSSL

/// What every call into OpenSSL here needs: one initialisation, and the thread's error queue emptied before and read after.
package enum OpenSSL {
  /// Initialises the library without reading any configuration file: what a device trusts must not depend on a file, and the
  /// sandboxed runtime could not read one. Safe to call often and from any thread.
  package static func initialise() { _ = initialised }

  private static let initialised: Bool = {
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT), nil) == 1
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
