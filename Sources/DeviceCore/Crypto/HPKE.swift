internal import COpenSSL
public import Foundations

/// Hybrid public-key encryption (RFC 9180), base mode, one message for each encapsulation: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
///
/// OpenSSL has it from 3.2 on; a development host may have 3.0, so it is put together here from its parts.
public enum HPKE {
  /// What a sealed message is longer than its plaintext: the encapsulated key before it, and the tag behind it.
  public static let overhead_bytes = X25519PrivateKey.key_bytes + AEADKey.tag_bytes

  /// `plaintext` for the holder of `publicKey`: the encapsulated key, then the ciphertext with its tag.
  ///
  /// - Parameters:
  ///   - information: what the message is about (`info` of the RFC): it opens with the same only.
  ///   - associatedData: authenticated with it (`aad`).
  /// - Throws: `malformed-input` where `publicKey` is no key; `openssl-failed`, `too-large`.
  public static func seal(
    _ plaintext: SecretBytes, to publicKey: [UInt8], information: [UInt8], associatedData: [UInt8] = []
  ) throws(CryptoError) -> [UInt8] {
    try seal(plaintext, to: publicKey, information: information, associatedData: associatedData, ephemeral: try .generate())
  }

  /// With a given ephemeral key, for the test vectors: each is used once.
  static func seal(
    _ plaintext: SecretBytes, to publicKey: [UInt8], information: [UInt8], associatedData: [UInt8], ephemeral: X25519PrivateKey
  ) throws(CryptoError) -> [UInt8] {
    let agreed = try ephemeral.agreement(with: publicKey)
    let secret = try sharedSecret(agreed, encapsulated: ephemeral.publicKey, receiver: publicKey)
    let (key, nonce) = try schedule(secret, information: information)
    return ephemeral.publicKey + (try AEADKey(.aes256GCM, key: key, nonce: nonce).seal(plaintext, associatedData: associatedData))
  }

  /// The plaintext of `sealed`; nil where it was sealed for another key, other information or other associated data, or was changed.
  ///
  /// - Throws: `openssl-failed`, `too-large`.
  public static func open(
    _ sealed: [UInt8], with privateKey: X25519PrivateKey, information: [UInt8], associatedData: [UInt8] = []
  ) throws(CryptoError) -> SecretBytes? {
    guard sealed.count >= overhead_bytes else { return nil }
    let encapsulated = Array(sealed.prefix(X25519PrivateKey.key_bytes))
    // A point that agrees on nothing is a message that does not open.
    guard let agreed = try? privateKey.agreement(with: encapsulated) else { return nil }
    let secret = try sharedSecret(agreed, encapsulated: encapsulated, receiver: privateKey.publicKey)
    let (key, nonce) = try schedule(secret, information: information)
    return try AEADKey(.aes256GCM, key: key, nonce: nonce).open(sealed.dropFirst(encapsulated.count), associatedData: associatedData)
  }

  // MARK: The parts, by the names of the RFC

  /// `KEM` and 0x0020, DHKEM(X25519, HKDF-SHA256).
  private static let kemSuite = Array("KEM".utf8) + [0x00, 0x20]
  /// `HPKE`, the KEM, 0x0001 (HKDF-SHA256) and 0x0002 (AES-256-GCM).
  private static let suite = Array("HPKE".utf8) + [0x00, 0x20, 0x00, 0x01, 0x00, 0x02]
  private static let version = Array("HPKE-v1".utf8)

  /// ExtractAndExpand of section 4.1.
  static func sharedSecret(_ agreed: SecretBytes, encapsulated: [UInt8], receiver: [UInt8]) throws(CryptoError) -> SecretBytes {
    try hkdfSHA256(
      secret: labelled("eae_prk", agreed, kemSuite), salt: [],
      information: expansion("shared_secret", encapsulated + receiver, kemSuite, count: 32), count: 32)
  }

  /// KeySchedule of section 5.1 in base mode, where the pre-shared key and its name are empty.
  static func schedule(_ sharedSecret: SecretBytes, information: [UInt8]) throws(CryptoError) -> (key: SecretBytes, nonce: [UInt8]) {
    let none = SecretBytes(copying: [])
    let nameHash = try hmacSHA256(key: none, message: version + suite + Array("psk_id_hash".utf8))
    let informationHash = try hmacSHA256(key: none, message: version + suite + Array("info_hash".utf8) + information)
    let context = [0] + nameHash + informationHash
    var salt = sharedSecret.withUnsafeBytes { Array($0) }
    defer { salt.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
    let secret = labelled("secret", none, suite)
    let key = try hkdfSHA256(
      secret: secret, salt: salt, information: expansion("key", context, suite, count: AEADKey.key_bytes), count: AEADKey.key_bytes)
    let nonce = try hkdfSHA256(
      secret: secret, salt: salt, information: expansion("base_nonce", context, suite, count: AEADKey.nonce_bytes), count: AEADKey.nonce_bytes)
    return (key, nonce.withUnsafeBytes { Array($0) })
  }

  /// What LabeledExtract of section 4 extracts from.
  private static func labelled(_ label: String, _ secret: SecretBytes, _ suite: [UInt8]) -> SecretBytes {
    let head = version + suite + Array(label.utf8)
    return SecretBytes(capacity: head.count + secret.count) { buffer in
      buffer.copyBytes(from: head)
      secret.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[head.count...]).copyMemory(from: $0) }
      return buffer.count
    }
  }

  /// What LabeledExpand of section 4 expands with.
  private static func expansion(_ label: String, _ information: [UInt8], _ suite: [UInt8], count: Int) -> [UInt8] {
    [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + version + suite + Array(label.utf8) + information
  }
}
