internal import COpenSSL
public import Crypto
internal import Synchronization

/// What stands for a TPM in tests: it holds a P-256 key and signs digests, as a chip is asked to, and counts how often it was.
public final class TestChip: Sendable {
  /// How it answers; by default with a signature.
  public typealias Answer = @Sendable (_ chip: TestChip, _ digest: [UInt8]) throws(CryptoError) -> [UInt8]

  private let key: PrivateKey
  private let answer: Answer
  private let asked = Mutex(0)

  public init(answer: @escaping Answer = { (chip, digest) throws(CryptoError) in try chip.sign(digest) }) throws {
    key = try PrivateKey.generateP256()
    self.answer = answer
  }

  public var publicKey: PublicKey { key.publicKey }
  /// How often a signature was asked for by way of `outside`.
  public var count: Int { asked.withLock { $0 } }

  /// The key as a runtime has it.
  public func outside() throws -> PrivateKey {
    try PrivateKey(outside: publicKey) { [self] (digest) throws(CryptoError) in
      asked.withLock { $0 += 1 }
      return try answer(self, digest)
    }
  }

  /// An ECDSA-Sig-Value over a digest.
  public func sign(_ digest: [UInt8]) throws(CryptoError) -> [UInt8] {
    guard let context = EVP_PKEY_CTX_new(key.handle, nil) else { throw OpenSSL.failure("openssl-failed", "no memory for a signature") }
    defer { EVP_PKEY_CTX_free(context) }
    var signature = [UInt8](repeating: 0, count: 128)
    var count = signature.count
    guard EVP_PKEY_sign_init(context) == 1, EVP_PKEY_sign(context, &signature, &count, digest, digest.count) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the chip could not sign")
    }
    return Array(signature.prefix(count))
  }
}
