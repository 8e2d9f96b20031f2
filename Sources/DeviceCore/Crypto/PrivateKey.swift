internal import COpenSSL
public import Foundations

/// A private key: P-256 or Ed25519. OpenSSL holds it and erases it when the last reference goes.
public final class PrivateKey: @unchecked Sendable, CustomStringConvertible {
  /// Owned and never changed after `init`; OpenSSL's keys may be used by several threads at once.
  package let handle: OpaquePointer
  public let publicKey: PublicKey
  /// Whether the private half lies outside this process (`init(outside:sign:)`): a signature takes its time then, and the thread waits for it.
  public let isOutside: Bool
  public var algorithm: KeyAlgorithm { publicKey.algorithm }
  /// The algorithm; never the key.
  public var description: String { "private key (\(algorithm.rawValue))" }

  /// Takes over `handle`, also where it throws.
  init(adopting handle: OpaquePointer, isOutside: Bool = false) throws(CryptoError) {
    // The public half as an object of its own, so that handing it out hands out nothing else.
    guard let der = encode({ i2d_PUBKEY(handle, $0) }) else {
      EVP_PKEY_free(handle)
      throw OpenSSL.failure("unsupported-key", "the key has no public half")
    }
    do { publicKey = try PublicKey(der: der) } catch {
      EVP_PKEY_free(handle)
      throw error
    }
    self.handle = handle
    self.isOutside = isOutside
  }

  deinit { EVP_PKEY_free(handle) }

  /// A new P-256 key.
  public static func generateP256() throws(CryptoError) -> PrivateKey { try generate(.p256) }

  /// A new key of `algorithm`.
  ///
  /// - Throws: `openssl-failed`.
  public static func generate(_ algorithm: KeyAlgorithm) throws(CryptoError) -> PrivateKey {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let context = EVP_PKEY_CTX_new_id(algorithm == .p256 ? EVP_PKEY_EC : EVP_PKEY_ED25519, nil) else {
      throw OpenSSL.failure("openssl-failed", "OpenSSL has no \(algorithm.rawValue)")
    }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1,
      algorithm != .p256 || EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1,
      EVP_PKEY_generate(context, &key) == 1, let key
    else { throw OpenSSL.failure("openssl-failed", "a \(algorithm.rawValue) key could not be generated") }
    return try PrivateKey(adopting: key)
  }

  /// - Parameter pem: one unencrypted private key (PKCS#8 or SEC 1), at most 16 KiB.
  /// - Throws: `malformed-input`, `too-large`, `unsupported-key`.
  public convenience init(pem: SecretBytes) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard pem.count <= 16_384 else { throw CryptoError(code: "too-large", reason: "a private key in PEM has at most 16384 bytes") }
    let handle = pem.withUnsafeBytes { bytes -> OpaquePointer? in
      guard let bio = BIO_new_mem_buf(bytes.baseAddress, CInt(bytes.count)) else { return nil }
      defer { BIO_free(bio) }
      return PEM_read_bio_PrivateKey(bio, nil, refusePassphrase, nil)
    }
    guard let handle else { throw OpenSSL.failure("malformed-input", "the PEM text holds no unencrypted private key") }
    try self.init(adopting: handle)
  }

  /// - Parameter der: one unencrypted private key (PKCS#8 or SEC 1), at most 8 KiB, nothing after it.
  /// - Throws: `malformed-input`, `too-large`, `unsupported-key`.
  public convenience init(der: SecretBytes) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= 8192 else { throw CryptoError(code: "too-large", reason: "a private key in DER has at most 8192 bytes") }
    let handle = der.withUnsafeBytes { bytes -> OpaquePointer? in
      var cursor = bytes.bindMemory(to: UInt8.self).baseAddress
      let start = cursor
      guard let key = d2i_AutoPrivateKey(nil, &cursor, bytes.count) else { return nil }
      guard let start, let cursor, cursor - start == bytes.count else {
        EVP_PKEY_free(key)
        return nil
      }
      return key
    }
    guard let handle else { throw OpenSSL.failure("malformed-input", "the bytes are no unencrypted private key in DER") }
    try self.init(adopting: handle)
  }

  /// The key as PKCS#8 (RFC 5958), unencrypted, PEM.
  ///
  /// - Throws: `key-outside` where its private half is not here; `openssl-failed`.
  public func pem() throws(CryptoError) -> SecretBytes {
    try export { bio in PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil) }
  }

  /// The key as PKCS#8 (RFC 5958), unencrypted, DER.
  ///
  /// - Throws: as `pem()`.
  public func der() throws(CryptoError) -> SecretBytes {
    try export { bio in i2d_PKCS8PrivateKey_bio(bio, handle, nil, nil, 0, nil, nil) }
  }

  private func export(_ write: (OpaquePointer) -> CInt) throws(CryptoError) -> SecretBytes {
    try requireInside()
    OpenSSL.clearErrors()
    // A secure memory BIO erases its buffer when it is freed and when it grows.
    guard let bio = BIO_new(BIO_s_secmem()) else { throw OpenSSL.failure("openssl-failed", "no memory for a private key") }
    defer { BIO_free(bio) }
    guard write(bio) == 1 else { throw OpenSSL.failure("openssl-failed", "the private key could not be encoded") }
    var start: UnsafeMutablePointer<CChar>?
    let count = haechi_BIO_get_mem_data(bio, &start)
    guard let start, count > 0 else { throw OpenSSL.failure("openssl-failed", "the private key has no encoding") }
    return SecretBytes(copying: UnsafeRawBufferPointer(start: start, count: count))
  }

  /// - Throws: `key-outside`.
  func requireInside() throws(CryptoError) {
    guard !isOutside else { throw CryptoError(code: "key-outside", reason: "the private half of the key lies outside this process and cannot be exported") }
  }

  /// A signature over `message`: for P-256 an ECDSA-Sig-Value in DER (RFC 3279 section 2.2.3) over SHA-256, for Ed25519 64 bytes.
  ///
  /// - Throws: `openssl-failed`.
  public func signature(of message: [UInt8]) throws(CryptoError) -> [UInt8] {
    OpenSSL.clearErrors()
    guard let context = EVP_MD_CTX_new() else { throw OpenSSL.failure("openssl-failed", "no memory for a signature") }
    defer { EVP_MD_CTX_free(context) }
    var signature = [UInt8](repeating: 0, count: 128)
    var count = signature.count
    guard EVP_DigestSignInit(context, nil, algorithm == .p256 ? EVP_sha256() : nil, nil, handle) == 1,
      EVP_DigestSign(context, &signature, &count, message, message.count) == 1
    else { throw OpenSSL.failure("openssl-failed", "the private key could not sign") }
    return Array(signature.prefix(count))
  }
}

/// OpenSSL would ask a terminal for a passphrase: a device has none, and an encrypted key is an error.
let refusePassphrase: @convention(c) (UnsafeMutablePointer<CChar>?, CInt, CInt, UnsafeMutableRawPointer?) -> CInt = { _, _, _, _ in -1 }
