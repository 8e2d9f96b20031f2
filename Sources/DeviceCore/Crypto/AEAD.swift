internal import COpenSSL
public import Foundations

/// The ciphers that authenticate what they encrypt (RFC 5116), each with a 32-byte key, a 12-byte nonce and a 16-byte tag.
///
/// The raw value is what stands in stored data: a number is never given to another cipher.
public enum AEADAlgorithm: UInt8, Sendable, CaseIterable {
  /// AES-256 in Galois/Counter Mode (NIST SP 800-38D): fast where the processor has AES instructions.
  case aes256GCM = 1
  /// ChaCha20-Poly1305 (RFC 8439): as fast everywhere.
  case chaCha20Poly1305 = 2

  fileprivate var cipher: OpaquePointer? {
    switch self {
    case .aes256GCM: OpenSSL.aes256GCM
    case .chaCha20Poly1305: OpenSSL.chaCha20Poly1305
    }
  }
}

/// A key with its nonce, for one message: whoever seals a second message with the same pair loses both.
public struct AEADKey: Sendable {
  public static let key_bytes = 32
  public static let nonce_bytes = 12
  /// What a sealed message is longer than its plaintext.
  public static let tag_bytes = 16
  /// The longest message, either way; far below what the ciphers allow.
  public static let message_bytes = 16 * 1024 * 1024

  public let algorithm: AEADAlgorithm
  private let key: SecretBytes
  private let nonce: [UInt8]

  /// - Parameters:
  ///   - key: 32 bytes.
  ///   - nonce: 12 bytes; zeros are right for a key that was derived for one message.
  /// - Throws: `malformed-input` for other lengths.
  public init(
    _ algorithm: AEADAlgorithm, key: SecretBytes, nonce: [UInt8] = [UInt8](repeating: 0, count: nonce_bytes)
  ) throws(CryptoError) {
    guard key.count == Self.key_bytes, nonce.count == Self.nonce_bytes else {
      throw CryptoError(code: "malformed-input", reason: "an AEAD key has 32 bytes and a nonce 12; these have \(key.count) and \(nonce.count)")
    }
    self.algorithm = algorithm
    self.key = key
    self.nonce = nonce
  }

  /// `plaintext` encrypted, then the tag over it and `associatedData`.
  ///
  /// - Throws: `too-large`, `openssl-failed`.
  public func seal(_ plaintext: SecretBytes, associatedData: [UInt8]) throws(CryptoError) -> [UInt8] {
    try Self.check(plaintext.count, associatedData.count)
    let context = try begin(encrypts: true, associatedData)
    defer { EVP_CIPHER_CTX_free(context) }
    let count = plaintext.count
    var isDone = false
    let sealed = [UInt8](unsafeUninitializedCapacity: count + Self.tag_bytes) { buffer, initialized in
      guard let output = buffer.baseAddress else { return }
      var written: CInt = 0
      isDone = plaintext.withUnsafeBytes { plaintext in
        let input = plaintext.bindMemory(to: UInt8.self).baseAddress
        return (count == 0 || (EVP_EncryptUpdate(context, output, &written, input, CInt(count)) == 1 && written == count))
          && EVP_EncryptFinal_ex(context, output + count, &written) == 1
          && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CInt(Self.tag_bytes), output + count) == 1
      }
      initialized = isDone ? count + Self.tag_bytes : 0
    }
    guard isDone else { throw OpenSSL.failure("openssl-failed", "a message could not be encrypted") }
    return sealed
  }

  /// The plaintext of `sealed`, nil where it, the associated data or the key is not what it was sealed with.
  ///
  /// - Throws: `too-large`, `openssl-failed`.
  public func open(_ sealed: ArraySlice<UInt8>, associatedData: [UInt8]) throws(CryptoError) -> SecretBytes? {
    guard sealed.count >= Self.tag_bytes else { return nil }
    let count = sealed.count - Self.tag_bytes
    try Self.check(count, associatedData.count)
    let context = try begin(encrypts: false, associatedData)
    defer { EVP_CIPHER_CTX_free(context) }
    var tag = Array(sealed.suffix(Self.tag_bytes))
    guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(Self.tag_bytes), &tag) == 1 else {
      throw OpenSSL.failure("openssl-failed", "a tag could not be set")
    }
    do {
      // What a failed decryption left in the buffer is erased with it.
      return try SecretBytes(capacity: count) { (buffer) throws(NotAuthentic) in
        var written: CInt = 0
        var last: UInt8 = 0
        let output = buffer.bindMemory(to: UInt8.self).baseAddress
        let isDone = sealed.withUnsafeBufferPointer { sealed in
          (count == 0 || (EVP_DecryptUpdate(context, output, &written, sealed.baseAddress, CInt(count)) == 1 && written == count))
            && EVP_DecryptFinal_ex(context, &last, &written) == 1
        }
        guard isDone else { throw NotAuthentic() }
        return count
      }
    } catch {
      OpenSSL.clearErrors()
      return nil
    }
  }

  private struct NotAuthentic: Error {}

  private static func check(_ count: Int, _ associated: Int) throws(CryptoError) {
    guard count <= message_bytes, associated <= message_bytes else {
      throw CryptoError(code: "too-large", reason: "a message has at most \(message_bytes) bytes")
    }
  }

  /// A context that has the key, the nonce and the associated data; the caller frees it.
  private func begin(encrypts: Bool, _ associatedData: [UInt8]) throws(CryptoError) -> OpaquePointer {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let context = EVP_CIPHER_CTX_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a cipher") }
    var written: CInt = 0
    let isReady = key.withUnsafeBytes { key in
      EVP_CipherInit_ex(context, algorithm.cipher, nil, key.bindMemory(to: UInt8.self).baseAddress, nonce, encrypts ? 1 : 0) == 1
    }
    guard isReady, associatedData.isEmpty || EVP_CipherUpdate(context, nil, &written, associatedData, CInt(associatedData.count)) == 1 else {
      EVP_CIPHER_CTX_free(context)
      throw OpenSSL.failure("openssl-failed", "\(algorithm) is not available")
    }
    return context
  }
}
