internal import BoardAPI
internal import COpenSSL
internal import Foundations

/// AES-256-GCM (NIST SP 800-38D) for the records of the ident store, and random bytes.
enum RecordCipher {
  static let key_bytes = 32
  static let nonce_bytes = 12
  static let tag_bytes = 16

  /// Bytes that nobody can guess.
  static func randomBytes(_ count: Int) throws(BoardError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, CInt(count)) == 1 else { throw BoardError(code: "storage-failed", reason: "no random bytes are to be had") }
    return bytes
  }

  /// A key that nobody can guess.
  static func randomKey(_ count: Int) throws(BoardError) -> SecretBytes {
    try SecretBytes(capacity: count) { (buffer) throws(BoardError) in
      guard RAND_priv_bytes(buffer.bindMemory(to: UInt8.self).baseAddress, CInt(count)) == 1 else {
        throw BoardError(code: "storage-failed", reason: "no random bytes are to be had")
      }
      return count
    }
  }

  /// `plaintext` encrypted, then the tag over it and `associated`. A nonce is used once with a key.
  static func seal(_ plaintext: [UInt8], key: SecretBytes, nonce: [UInt8], associated: [UInt8]) throws(BoardError) -> [UInt8] {
    var sealed = [UInt8](repeating: 0, count: plaintext.count + tag_bytes)
    var written: CInt = 0
    let isDone = withContext(key: key, nonce: nonce, associated: associated, encrypts: true) { context in
      sealed.withUnsafeMutableBufferPointer { output in
        guard let start = output.baseAddress else { return false }
        return EVP_EncryptUpdate(context, start, &written, plaintext, CInt(plaintext.count)) == 1 && Int(written) == plaintext.count
          && EVP_EncryptFinal_ex(context, start + plaintext.count, &written) == 1
          && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CInt(tag_bytes), start + plaintext.count) == 1
      }
    }
    guard isDone else { throw BoardError(code: "storage-failed", reason: "a record could not be encrypted") }
    return sealed
  }

  /// nil where `sealed`, `associated` or the key is not what it was sealed with.
  static func open(_ sealed: [UInt8], key: SecretBytes, nonce: [UInt8], associated: [UInt8]) -> [UInt8]? {
    guard sealed.count >= tag_bytes else { return nil }
    let count = sealed.count - tag_bytes
    var tag = Array(sealed.suffix(tag_bytes))
    // Room for the tag too, so that there is an address even for an empty message.
    var plaintext = [UInt8](repeating: 0, count: sealed.count)
    var written: CInt = 0
    let isDone = withContext(key: key, nonce: nonce, associated: associated, encrypts: false) { context in
      plaintext.withUnsafeMutableBufferPointer { output in
        guard let start = output.baseAddress else { return false }
        return EVP_DecryptUpdate(context, start, &written, sealed, CInt(count)) == 1 && Int(written) == count
          && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(tag_bytes), &tag) == 1
          && EVP_DecryptFinal_ex(context, start + count, &written) == 1
      }
    }
    return isDone ? Array(plaintext.prefix(count)) : nil
  }

  private static func withContext(
    key: SecretBytes, nonce: [UInt8], associated: [UInt8], encrypts: Bool, _ body: (OpaquePointer) -> Bool
  ) -> Bool {
    guard key.count == key_bytes, nonce.count == nonce_bytes, let context = EVP_CIPHER_CTX_new() else { return false }
    defer { EVP_CIPHER_CTX_free(context) }
    let isReady = key.withUnsafeBytes { key in
      EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, key.bindMemory(to: UInt8.self).baseAddress, nonce, encrypts ? 1 : 0) == 1
    }
    var written: CInt = 0
    return isReady && EVP_CipherUpdate(context, nil, &written, associated, CInt(associated.count)) == 1 && body(context)
  }

  /// SHA-256.
  static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    // It fails only without memory; then nothing matches.
    guard EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha256(), nil) == 1 else { return [] }
    return digest
  }
}
