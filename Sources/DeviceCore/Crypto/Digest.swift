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
    precondition(EVP_Digest(message.baseAddress, message.count, digest.baseAddress, &length, OpenSSL.sha256, nil) == 1)
    count = Int(length)
  }
  return result
}

/// HMAC-SHA-256 (RFC 2104) of `message` under `key`: 32 bytes.
///
/// - Throws: `openssl-failed`.
public func hmacSHA256(key: SecretBytes, message: some Collection<UInt8>) throws(CryptoError) -> [UInt8] {
  let code = HMACContext()
  let message = Array(message)
  var result = [UInt8](repeating: 0, count: HMACContext.code_bytes)
  let isDone = key.withUnsafeBytes { code.begin($0) } && code.add(message) && result.withUnsafeMutableBytes { code.end($0) }
  guard isDone else { throw OpenSSL.failure("openssl-failed", "HMAC-SHA-256 could not be computed") }
  return result
}

/// HKDF-SHA-256 (RFC 5869), extract and expand: `count` bytes derived from `secret`.
///
/// OpenSSL's own HKDF looks its parts up anew for each derivation (8 µs where this takes 1.4): the vault derives a key for each value.
///
/// - Parameters:
///   - salt: any length; empty stands for 32 zero bytes (RFC 5869 section 2.2).
///   - information: binds the result to its use, at most 1024 bytes.
///   - count: 1…8160 (255 hashes, RFC 5869 section 2.3).
/// - Throws: `openssl-failed`, also where a length is out of bounds.
public func hkdfSHA256(
  secret: SecretBytes, salt: [UInt8], information: [UInt8], count: Int
) throws(CryptoError) -> SecretBytes {
  guard (1...8160).contains(count), information.count <= 1024 else {
    throw CryptoError(code: "openssl-failed", reason: "HKDF gives 1…8160 bytes from at most 1024 bytes of information")
  }
  let code = HMACContext()
  var pseudorandomKey = [UInt8](repeating: 0, count: HMACContext.code_bytes)
  var block = pseudorandomKey
  defer {
    pseudorandomKey.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    block.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
  }
  // Section 2.2. An empty salt is HMAC's empty key, which is the zeros that the RFC asks for.
  let isExtracted =
    salt.withUnsafeBytes { code.begin($0) } && secret.withUnsafeBytes { code.add($0) } && pseudorandomKey.withUnsafeMutableBytes { code.end($0) }
  guard isExtracted else { throw OpenSSL.failure("openssl-failed", "HKDF-SHA-256 could not be computed") }
  return try SecretBytes(capacity: count) { (output) throws(CryptoError) in
    // Section 2.3: T(n) = HMAC(key, T(n - 1), information, n), and T(0) is empty.
    var done = 0
    var number: UInt8 = 1
    while done < count {
      let isMade =
        pseudorandomKey.withUnsafeBytes { code.begin($0) } && (done == 0 || code.add(block)) && code.add(information) && code.add([number])
        && block.withUnsafeMutableBytes { code.end($0) }
      guard isMade else { throw OpenSSL.failure("openssl-failed", "HKDF-SHA-256 could not be computed") }
      let part = min(block.count, count - done)
      UnsafeMutableRawBufferPointer(rebasing: output[done..<done + part]).copyBytes(from: block.prefix(part))
      done += part
      number &+= 1
    }
    return count
  }
}

/// One HMAC-SHA-256 after another, without looking the hash up for each. What it holds of a key is erased with it.
private struct HMACContext: ~Copyable {
  static let code_bytes = 32
  /// nil where memory is short: then nothing succeeds.
  private let handle: OpaquePointer?

  init() {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    handle = OpenSSL.hmacSHA256.flatMap { EVP_MAC_CTX_dup($0) }
  }

  deinit { EVP_MAC_CTX_free(handle) }

  func begin(_ key: UnsafeRawBufferPointer) -> Bool {
    // A null key means "the same key again", so that an empty one needs an address.
    var none: UInt8 = 0
    return withUnsafePointer(to: &none) { none in
      handle != nil && EVP_MAC_init(handle, key.bindMemory(to: UInt8.self).baseAddress ?? none, key.count, nil) == 1
    }
  }

  func add(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.isEmpty || EVP_MAC_update(handle, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count) == 1
  }

  func add(_ bytes: [UInt8]) -> Bool { bytes.isEmpty || EVP_MAC_update(handle, bytes, bytes.count) == 1 }

  /// - Parameter result: has room for 32 bytes.
  func end(_ result: UnsafeMutableRawBufferPointer) -> Bool {
    var length = 0
    return EVP_MAC_final(handle, result.bindMemory(to: UInt8.self).baseAddress, &length, result.count) == 1 && length == Self.code_bytes
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
