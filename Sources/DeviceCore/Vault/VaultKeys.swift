import Crypto
public import Foundations

/// The root keys that the caller has: the one to write with, and older ones that a file may still be under.
public struct VaultKeys: Sendable {
  /// 32 bytes.
  public let current: SecretBytes
  public let previous: [SecretBytes]

  /// - Throws: `configuration-invalid` where a key has not 32 bytes.
  public init(current: SecretBytes, previous: [SecretBytes] = []) throws(VaultError) {
    guard ([current] + previous).allSatisfy({ $0.count == AEADKey.key_bytes }) else {
      throw VaultError("configuration-invalid", "a vault's root key has \(AEADKey.key_bytes) bytes")
    }
    self.current = current
    self.previous = previous
  }

  /// The key that `identifier` (8 bytes) names, nil where none of these is it.
  func key(_ identifier: [UInt8]) throws(VaultError) -> SecretBytes? {
    for key in [current] + previous where try Self.identifier(of: key) == identifier { return key }
    return nil
  }

  /// A name for a root key that tells nothing of it: 8 bytes.
  static func identifier(of root: SecretBytes) throws(VaultError) -> [UInt8] {
    let identifier = try FileKey.derive(root, salt: [], use: "key identifier", count: 8)
    return identifier.withUnsafeBytes { Array($0) }
  }
}

/// The key of one file: of the root key, the file's salt and the vault's name. All keys of its parts are derived from it, one for each message.
struct FileKey: Sendable {
  static let salt_bytes = 16
  private let secret: SecretBytes

  init(root: SecretBytes, salt: [UInt8], vault: String) throws(VaultError) {
    secret = try Self.derive(root, salt: salt, use: "file", context: Array(vault.utf8), count: AEADKey.key_bytes)
  }

  /// A key for one message. The salt is fresh for each, so that the nonce may be zero.
  func messageKey(_ algorithm: AEADAlgorithm, salt: [UInt8], use: String, context: [UInt8] = []) throws(VaultError) -> AEADKey {
    let key = try Self.derive(secret, salt: salt, use: use, context: [algorithm.rawValue] + context, count: AEADKey.key_bytes)
    do {
      return try AEADKey(algorithm, key: key)
    } catch {
      throw VaultError("crypto-failed", "a key could not be used", cause: error)
    }
  }

  /// HKDF-SHA-256 (RFC 5869); the information is `haechi-vault-1 USE`, a zero byte and `context`.
  static func derive(_ secret: SecretBytes, salt: [UInt8], use: String, context: [UInt8] = [], count: Int) throws(VaultError) -> SecretBytes {
    do {
      return try hkdfSHA256(secret: secret, salt: salt, information: Array("haechi-vault-1 \(use)\0".utf8) + context, count: count)
    } catch {
      throw VaultError("crypto-failed", "a key could not be derived", cause: error)
    }
  }
}

/// What Crypto refuses here is never the file's fault.
func freshSalt(_ count: Int = FileKey.salt_bytes) throws(VaultError) -> [UInt8] {
  do {
    return try randomBytes(count)
  } catch {
    throw VaultError("crypto-failed", "no random bytes", cause: error)
  }
}

extension AEADKey {
  func sealed(_ plaintext: SecretBytes, with associatedData: [UInt8]) throws(VaultError) -> [UInt8] {
    do {
      return try seal(plaintext, associatedData: associatedData)
    } catch {
      throw VaultError("crypto-failed", "a part of the vault could not be encrypted", cause: error)
    }
  }

  /// nil where it is not authentic.
  func opened(_ sealed: ArraySlice<UInt8>, with associatedData: [UInt8]) throws(VaultError) -> SecretBytes? {
    do {
      return try open(sealed, associatedData: associatedData)
    } catch {
      throw VaultError("crypto-failed", "a part of the vault could not be decrypted", cause: error)
    }
  }
}
