internal import COpenSSL
public import Foundations

/// Bytes under a passphrase, with a header that says how: scrypt (RFC 7914) and AES-256-GCM (NIST SP 800-38D).
///
///     title     the caller's, ends with a line feed
///     log2 N, r, p   1 byte each
///     salt      16 bytes
///     nonce     12 bytes
///     sealed    AES-256-GCM under scrypt(passphrase, salt, N, r, p; 32 bytes); all bytes above are its additional data
///     tag       16 bytes
///
/// No byte of it can be changed without being noticed.
public enum PassphraseBox {
  /// N = 2^17, r = 8, p = 1: 128 MiB and about half a second; OWASP's first choice for scrypt.
  private static let cost: (log2N: UInt8, r: UInt8, p: UInt8) = (17, 8, 1)
  private static let salt_bytes = 16
  private static let nonce_bytes = 12
  private static let tag_bytes = 16
  /// What is put in, at most: 8 MiB.
  public static let largestContent_bytes = 8 * 1024 * 1024

  /// - Parameter title: what kind of box it is, printable ASCII without a line feed.
  /// - Throws: `too-large`, `openssl-failed`.
  public static func seal(_ content: [UInt8], title: String, passphrase: SecretBytes) throws(CryptoError) -> [UInt8] {
    guard content.count <= largestContent_bytes else {
      throw CryptoError(code: "too-large", reason: "at most \(largestContent_bytes) bytes are put under a passphrase")
    }
    let salt = try randomBytes(salt_bytes)
    let nonce = try randomBytes(nonce_bytes)
    let header = Array(title.utf8) + [10, cost.log2N, cost.r, cost.p] + salt + nonce
    let key = try key(passphrase, salt, cost)
    guard let context = EVP_CIPHER_CTX_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a cipher") }
    defer { EVP_CIPHER_CTX_free(context) }
    var sealed = [UInt8](repeating: 0, count: content.count)
    var tag = [UInt8](repeating: 0, count: tag_bytes)
    var count: CInt = 0
    let done = key.withUnsafeBytes { key in
      EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, key.bindMemory(to: UInt8.self).baseAddress, nonce) == 1
        && EVP_EncryptUpdate(context, nil, &count, header, CInt(header.count)) == 1
        && EVP_EncryptUpdate(context, &sealed, &count, content, CInt(content.count)) == 1
        && EVP_EncryptFinal_ex(context, nil, &count) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CInt(tag_bytes), &tag) == 1
    }
    guard done else { throw OpenSSL.failure("openssl-failed", "AES-256-GCM could not be computed") }
    return header + sealed + tag
  }

  /// - Throws: `malformed-input` where `box` is no box of that title, or asks for more memory than is allowed; `passphrase-wrong` where the passphrase is
  ///   another or a byte was changed: nobody can tell the two apart.
  public static func open(_ box: [UInt8], title: String, passphrase: SecretBytes) throws(CryptoError) -> [UInt8] {
    let name = Array(title.utf8) + [10]
    let header_bytes = name.count + 3 + salt_bytes + nonce_bytes
    guard box.starts(with: name) else { throw CryptoError(code: "malformed-input", reason: "the bytes do not begin with '\(title)'") }
    guard box.count >= header_bytes + tag_bytes else { throw CryptoError(code: "malformed-input", reason: "the bytes end too early: the file was cut off") }
    let sealed = Array(box[header_bytes..<box.count - tag_bytes])
    guard sealed.count <= largestContent_bytes else {
      throw CryptoError(code: "too-large", reason: "at most \(largestContent_bytes) bytes are put under a passphrase")
    }
    let header = Array(box[..<header_bytes])
    let salt = Array(header[(name.count + 3)..<(name.count + 3 + salt_bytes)])
    let nonce = Array(header[(name.count + 3 + salt_bytes)...])
    let key = try key(passphrase, salt, (header[name.count], header[name.count + 1], header[name.count + 2]))
    guard let context = EVP_CIPHER_CTX_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a cipher") }
    defer { EVP_CIPHER_CTX_free(context) }
    var content = [UInt8](repeating: 0, count: sealed.count)
    var tag = Array(box[(box.count - tag_bytes)...])
    var count: CInt = 0
    let isAuthentic = key.withUnsafeBytes { key in
      EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, key.bindMemory(to: UInt8.self).baseAddress, nonce) == 1
        && EVP_DecryptUpdate(context, nil, &count, header, CInt(header.count)) == 1
        && EVP_DecryptUpdate(context, &content, &count, sealed, CInt(sealed.count)) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(tag_bytes), &tag) == 1
        && EVP_DecryptFinal_ex(context, nil, &count) == 1
    }
    guard isAuthentic else {
      OpenSSL.clearErrors()
      throw CryptoError(code: "passphrase-wrong", reason: "the passphrase is another one, or a byte was changed")
    }
    return content
  }

  private static func key(_ passphrase: SecretBytes, _ salt: [UInt8], _ cost: (log2N: UInt8, r: UInt8, p: UInt8)) throws(CryptoError) -> SecretBytes {
    guard cost.log2N <= 20, let cost = ScryptCost(n: 1 << Int(cost.log2N), r: Int(cost.r), p: Int(cost.p)) else {
      throw CryptoError(code: "malformed-input", reason: "the bytes ask for a cost of scrypt that is not allowed here")
    }
    return try scrypt(secret: passphrase, salt: salt, cost: cost, count: 32)
  }
}
