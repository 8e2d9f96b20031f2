internal import COpenSSL
public import Foundations

/// SHA-256 (FIPS 180-4) of `message`: 32 bytes.
public func sha256(_ message: some Collection<UInt8>) -> [UInt8] {
  let digest = message.withContiguousStorageIfAvailable { sha256(contiguous: UnsafeRawBufferPointer($0)) }
  if let digest { return digest }
  return Array(message).withUnsafeBytes { sha256(contiguous: $0) }
}

private func sha256(contiguous message: UnsafeRawBufferPointer) -> [UInt8] {
  OpenSSL.initialise()
  let result = [UInt8](unsafeUninitializedCapacity: 32) { digest, count in
    var length: CUnsignedInt = 0
    // EVP_Digest can only fail where the library has no SHA-256, and then no line of this firmware can be trusted.
    precondition(EVP_Digest(message.baseAddress, message.count, digest.baseAddress, &length, EVP_sha256(), nil) == 1)
    count = Int(length)
  }
  return result
}

/// HMAC-SHA-256 (RFC 2104) of `message` under `key`: 32 bytes.
///
/// - Throws: `openssl-failed`.
public func hmacSHA256(key: SecretBytes, message: some Collection<UInt8>) throws(CryptoError) -> [UInt8] {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  let message = Array(message)
  var code = [UInt8](repeating: 0, count: 32)
  let done = key.withUnsafeBytes { key in
    var length: CUnsignedInt = 0
    // HMAC takes a null key as "the same key again", so that an empty one needs an address.
    var none: UInt8 = 0
    return withUnsafePointer(to: &none) { none in
      HMAC(EVP_sha256(), key.baseAddress ?? UnsafeRawPointer(none), CInt(key.count), message, message.count, &code, &length) != nil
        && length == 32
    }
  }
  guard done else { throw OpenSSL.failure("openssl-failed", "HMAC-SHA-256 could not be computed") }
  return code
}

/// HKDF-SHA-256 (RFC 5869), extract and expand: `count` bytes derived from `secret`.
///
/// - Parameters:
///   - salt: any length; empty stands for 32 zero bytes (RFC 5869 section 2.2).
///   - information: binds the result to its use, at most 1024 bytes.
///   - count: 1…8160 (255 hashes, RFC 5869 section 2.3).
/// - Throws: `openssl-failed`, also where a length is out of bounds.
public func hkdfSHA256(
  secret: SecretBytes, salt: [UInt8], information: [UInt8], count: Int
) throws(CryptoError) -> SecretBytes {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  guard (1...8160).contains(count), information.count <= 1024 else {
    throw CryptoError(code: "openssl-failed", reason: "HKDF gives 1…8160 bytes from at most 1024 bytes of information")
  }
  guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nil) else {
    throw OpenSSL.failure("openssl-failed", "HKDF is not available")
  }
  defer { EVP_PKEY_CTX_free(context) }
  let ready = secret.withUnsafeBytes { secret in
    let key = secret.bindMemory(to: UInt8.self)
    return EVP_PKEY_derive_init(context) == 1
      && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1
      && (salt.isEmpty || EVP_PKEY_CTX_set1_hkdf_salt(context, salt, CInt(salt.count)) == 1)
      && EVP_PKEY_CTX_set1_hkdf_key(context, key.baseAddress, CInt(key.count)) == 1
      && (information.isEmpty || EVP_PKEY_CTX_add1_hkdf_info(context, information, CInt(information.count)) == 1)
  }
  guard ready else { throw OpenSSL.failure("openssl-failed", "HKDF-SHA-256 refused its inputs") }
  return try SecretBytes(capacity: count) { (buffer) throws(CryptoError) in
    var length = count
    let derived = EVP_PKEY_derive(context, buffer.bindMemory(to: UInt8.self).baseAddress, &length)
    guard derived == 1, length == count else { throw OpenSSL.failure("openssl-failed", "HKDF-SHA-256 could not be computed") }
    return length
  }
}

/// `count` bytes of OpenSSL's random generator, which is seeded by the kernel. Not for secrets: see `randomSecret`.
///
/// - Throws: `openssl-failed` where the generator has no entropy.
public func randomBytes(_ count: Int) throws(CryptoError) -> [UInt8] {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  precondition((0...1_048_576).contains(count), "1 MiB of random bytes at a time is enough")
  var bytes = [UInt8](repeating: 0, count: count)
  guard count == 0 || RAND_bytes(&bytes, CInt(count)) == 1 else {
    throw OpenSSL.failure("openssl-failed", "the random generator gave nothing")
  }
  return bytes
}

/// `count` random bytes that are secret (`RAND_priv_bytes`, a generator of its own).
///
/// - Throws: `openssl-failed` where the generator has no entropy.
public func randomSecret(_ count: Int) throws(CryptoError) -> SecretBytes {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  return try SecretBytes(capacity: count) { (buffer) throws(CryptoError) in
    guard count == 0 || RAND_priv_bytes(buffer.bindMemory(to: UInt8.self).baseAddress, CInt(count)) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the random generator gave nothing")
    }
    return count
  }
}

/// Whether `a` and `b` are the same bytes; takes the same time wherever they differ. Lengths are not secret.
public func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}
