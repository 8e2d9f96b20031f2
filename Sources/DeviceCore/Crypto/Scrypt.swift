internal import COpenSSL
public import Foundations

/// What scrypt (RFC 7914) costs: memory is 128·N·r bytes, time grows with N·r·p.
public struct ScryptCost: Hashable, Sendable {
  /// CPU and memory cost N: a power of two, 2…2^20.
  public let n: Int
  /// Block size r: 1…32.
  public let r: Int
  /// Parallelisation p: 1…16.
  public let p: Int

  /// The most memory that a derivation may take, in bytes: 256 MiB, which a small machine still has.
  public static let largestMemory_bytes = 256 * 1024 * 1024

  /// nil where a number is out of its bounds, or the memory is above `largestMemory_bytes`. Total over any numbers, so that they may come from outside.
  public init?(n: Int, r: Int, p: Int) {
    guard (2...1 << 20).contains(n), n & (n - 1) == 0, (1...32).contains(r), (1...16).contains(p), 128 * n * r <= Self.largestMemory_bytes else {
      return nil
    }
    self.n = n
    self.r = r
    self.p = p
  }
}

/// scrypt (RFC 7914): `count` bytes derived from `secret`, slowly and with much memory.
///
/// - Parameters:
///   - salt: any length up to 1024 bytes.
///   - count: 1…1024.
/// - Throws: `malformed-input` where a length is out of bounds, `openssl-failed` where the memory is not there.
public func scrypt(secret: SecretBytes, salt: [UInt8], cost: ScryptCost, count: Int) throws(CryptoError) -> SecretBytes {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  guard (1...1024).contains(count), salt.count <= 1024 else {
    throw CryptoError(code: "malformed-input", reason: "scrypt gives 1 to 1024 bytes, from at most 1024 bytes of salt")
  }
  return try SecretBytes(capacity: count) { (key) throws(CryptoError) in
    let derived = secret.withUnsafeBytes { secret in
      // OpenSSL counts the blocks of p and its own working space besides 128·N·r.
      EVP_PBE_scrypt(
        secret.bindMemory(to: CChar.self).baseAddress, secret.count, salt, salt.count, UInt64(cost.n), UInt64(cost.r), UInt64(cost.p),
        UInt64(ScryptCost.largestMemory_bytes + 1024 * 1024), key.bindMemory(to: UInt8.self).baseAddress, count)
    }
    guard derived == 1 else { throw OpenSSL.failure("openssl-failed", "scrypt could not be computed") }
    return count
  }
}

/// HMAC-SHA-256 (RFC 2104) whose result is a secret itself, as a key that is derived is: 32 bytes.
///
/// - Throws: `openssl-failed`.
public func derivedKey(from key: SecretBytes, purpose: some Collection<UInt8>) throws(CryptoError) -> SecretBytes {
  OpenSSL.initialise()
  OpenSSL.clearErrors()
  let purpose = Array(purpose)
  return try SecretBytes(capacity: 32) { (derived) throws(CryptoError) in
    let done = key.withUnsafeBytes { key in
      var length: CUnsignedInt = 0
      return HMAC(
        EVP_sha256(), key.baseAddress, CInt(key.count), purpose, purpose.count, derived.bindMemory(to: UInt8.self).baseAddress, &length) != nil
        && length == 32
    }
    guard done else { throw OpenSSL.failure("openssl-failed", "HMAC-SHA-256 could not be computed") }
    return 32
  }
}

/// SHA-256 (FIPS 180-4) of a secret: 32 bytes, which tell nothing of a secret that cannot be guessed.
public func sha256(_ secret: SecretBytes) -> [UInt8] { secret.withUnsafeBytes { sha256($0) } }
