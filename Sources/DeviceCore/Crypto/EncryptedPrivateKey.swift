internal import COpenSSL
public import Foundations

/// Private keys under a passphrase, as files of people have them. A device's own keys are sealed another way.
extension PrivateKey {
  /// scrypt with N = 2^14, r = 8, p = 8: 16 MiB and about half a second. OWASP's password storage cheat sheet asks for p = 5 at that N. A larger
  /// N would go beyond the 32 MiB that OpenSSL's own reader allows, and `openssl pkey` could not read the file any more.
  static let passphraseCost: (n: UInt64, r: UInt64, p: UInt64) = (1 << 14, 8, 8)

  /// Whether `pem` begins as an encrypted private key (RFC 7468 section 11) does.
  public static func isEncrypted(pem: SecretBytes) -> Bool {
    pem.withUnsafeBytes { bytes in bytes.drop { $0 <= 32 }.starts(with: "-----BEGIN ENCRYPTED PRIVATE KEY-----".utf8) }
  }

  /// The key as PKCS#8 (RFC 5958 section 3) encrypted under `passphrase`, PEM: PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC, which any
  /// OpenSSL since 1.1.0 reads. scrypt instead of PBKDF2 because guessing it costs memory as well as time.
  ///
  /// - Parameter passphrase: at most 1024 bytes.
  /// - Throws: `key-outside`, `openssl-failed`, `too-large`.
  public func encryptedPEM(passphrase: SecretBytes) throws(CryptoError) -> [UInt8] {
    try requireInside()
    OpenSSL.clearErrors()
    try Self.check(passphrase)
    var salt = try randomBytes(16)
    guard let information = EVP_PKEY2PKCS8(handle) else { throw OpenSSL.failure("openssl-failed", "the private key could not be encoded") }
    defer { PKCS8_PRIV_KEY_INFO_free(information) }
    let cost = Self.passphraseCost
    guard let scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), &salt, CInt(salt.count), nil, cost.n, cost.r, cost.p) else {
      throw OpenSSL.failure("openssl-failed", "the encryption of a private key could not be set up")
    }
    let sealed = passphrase.withUnsafeBytes { bytes in
      PKCS8_set0_pbe(bytes.bindMemory(to: CChar.self).baseAddress, CInt(bytes.count), information, scheme)
    }
    guard let sealed else {
      // It takes over the scheme only where it succeeds.
      X509_ALGOR_free(scheme)
      throw OpenSSL.failure("openssl-failed", "the private key could not be encrypted")
    }
    defer { X509_SIG_free(sealed) }
    guard let bio = BIO_new(BIO_s_mem()) else { throw OpenSSL.failure("openssl-failed", "no memory for a private key") }
    defer { BIO_free(bio) }
    guard PEM_write_bio_PKCS8(bio, sealed) == 1 else { throw OpenSSL.failure("openssl-failed", "the private key could not be encoded") }
    var start: UnsafeMutablePointer<CChar>?
    let count = haechi_BIO_get_mem_data(bio, &start)
    guard let start, count > 0 else { throw OpenSSL.failure("openssl-failed", "the private key has no encoding") }
    return Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  /// - Parameters:
  ///   - encryptedPEM: one encrypted private key (PKCS#8), at most 16 KiB.
  ///   - passphrase: at most 1024 bytes.
  /// - Throws: `malformed-input` where it is none, `passphrase-wrong` where the passphrase does not open it, `too-large`, `unsupported-key`.
  public convenience init(encryptedPEM: SecretBytes, passphrase: SecretBytes) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard encryptedPEM.count <= 16_384 else { throw CryptoError(code: "too-large", reason: "a private key in PEM has at most 16384 bytes") }
    try Self.check(passphrase)
    guard Self.isEncrypted(pem: encryptedPEM) else { throw CryptoError(code: "malformed-input", reason: "the PEM text holds no encrypted private key") }
    let sealed = encryptedPEM.withUnsafeBytes { bytes -> OpaquePointer? in
      guard let bio = BIO_new_mem_buf(bytes.baseAddress, CInt(bytes.count)) else { return nil }
      defer { BIO_free(bio) }
      return PEM_read_bio_PKCS8(bio, nil, nil, nil)
    }
    guard let sealed else { throw OpenSSL.failure("malformed-input", "the PEM text holds no encrypted private key that can be read") }
    defer { X509_SIG_free(sealed) }
    let information = passphrase.withUnsafeBytes { bytes in
      PKCS8_decrypt(sealed, bytes.bindMemory(to: CChar.self).baseAddress, CInt(bytes.count))
    }
    // A wrong passphrase shows as wrong padding or, once in 256 times, as something that is no key.
    guard let information else { throw OpenSSL.failure("passphrase-wrong", "the passphrase does not open the private key") }
    defer { PKCS8_PRIV_KEY_INFO_free(information) }
    guard let handle = EVP_PKCS82PKEY(information) else { throw OpenSSL.failure("unsupported-key", "the private key is of a kind that is not known here") }
    try self.init(adopting: handle)
  }

  private static func check(_ passphrase: SecretBytes) throws(CryptoError) {
    guard passphrase.count <= 1024 else { throw CryptoError(code: "too-large", reason: "a passphrase has at most 1024 bytes") }
  }
}
