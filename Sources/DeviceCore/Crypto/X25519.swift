internal import COpenSSL
public import Foundations

/// A private key of X25519 (RFC 7748), for one agreement: made, used and forgotten.
public struct X25519PrivateKey: Sendable, CustomStringConvertible {
  /// Bytes of either half, and of what two keys agree on.
  public static let key_bytes = 32

  /// The key: 32 bytes.
  public let secret: SecretBytes
  /// Its public half: 32 bytes.
  public let publicKey: [UInt8]
  /// Never the key.
  public var description: String { "private key (X25519)" }

  /// A new key of OpenSSL's generator for secrets.
  ///
  /// - Throws: `openssl-failed`.
  public static func generate() throws(CryptoError) -> X25519PrivateKey { try X25519PrivateKey(try randomSecret(key_bytes)) }

  /// - Throws: `malformed-input` where `secret` has not 32 bytes; `openssl-failed`.
  public init(_ secret: SecretBytes) throws(CryptoError) {
    let handle = try Self.handle(of: secret)
    defer { EVP_PKEY_free(handle) }
    var publicKey = [UInt8](repeating: 0, count: Self.key_bytes)
    var count = publicKey.count
    guard EVP_PKEY_get_raw_public_key(handle, &publicKey, &count) == 1, count == Self.key_bytes else {
      throw OpenSSL.failure("openssl-failed", "an X25519 key has no public half")
    }
    self.secret = secret
    self.publicKey = publicKey
  }

  /// What this key and the holder of the other one agree on: 32 bytes.
  ///
  /// - Throws: `malformed-input` where `other` has not 32 bytes or is a point that makes the agreement the same for every key (RFC 7748 section 6.1);
  ///   `openssl-failed`.
  public func agreement(with other: [UInt8]) throws(CryptoError) -> SecretBytes {
    guard other.count == Self.key_bytes, let peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, other, other.count) else {
      throw OpenSSL.failure("malformed-input", "a public X25519 key has \(Self.key_bytes) bytes; this has \(other.count)")
    }
    defer { EVP_PKEY_free(peer) }
    let handle = try Self.handle(of: secret)
    defer { EVP_PKEY_free(handle) }
    guard let context = EVP_PKEY_CTX_new(handle, nil) else { throw OpenSSL.failure("openssl-failed", "no memory for X25519") }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_derive_init(context) == 1, EVP_PKEY_derive_set_peer(context, peer) == 1 else {
      throw OpenSSL.failure("openssl-failed", "OpenSSL has no X25519")
    }
    return try SecretBytes(capacity: Self.key_bytes) { (buffer) throws(CryptoError) in
      var count = buffer.count
      // It fails where all bytes would be zero: then the other key is no key.
      guard EVP_PKEY_derive(context, buffer.bindMemory(to: UInt8.self).baseAddress, &count) == 1, count == Self.key_bytes else {
        throw OpenSSL.failure("malformed-input", "the public X25519 key is a point that agrees on nothing")
      }
      return count
    }
  }

  /// OpenSSL's own of the key; the caller frees it.
  private static func handle(of secret: SecretBytes) throws(CryptoError) -> OpaquePointer {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard secret.count == key_bytes else {
      throw CryptoError(code: "malformed-input", reason: "a private X25519 key has \(key_bytes) bytes; this has \(secret.count)")
    }
    let handle = secret.withUnsafeBytes { EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, $0.bindMemory(to: UInt8.self).baseAddress, $0.count) }
    guard let handle else { throw OpenSSL.failure("openssl-failed", "OpenSSL has no X25519") }
    return handle
  }
}
