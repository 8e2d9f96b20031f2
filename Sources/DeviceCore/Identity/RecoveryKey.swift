public import Crypto
public import Foundations

/// Why a text is no recovery key.
///
/// Codes: `recovery-key-malformed`.
public struct RecoveryKeyError: HaechiError {
  public let code = "recovery-key-malformed"
  public let reason: String
  public var cause: (any Error)? { nil }

  init(_ reason: String) { self.reason = reason }
}

/// What opens a device's disk on a PC, with stock cryptsetup: 256 random bits that the owner makes and keeps, and the device does not.
///
/// Its text is the passphrase of a LUKS2 key slot, letter by letter: Crockford's base 32, 52 characters for the bits and 4 that check them (the first 20 bits of a
/// SHA-256), in 14 groups of 4 with hyphens between them.
public struct RecoveryKey: Sendable, CustomStringConvertible {
  /// The bits: 32 bytes.
  public let secret: SecretBytes

  /// How many bytes a key has.
  public static let count_bytes = 32
  /// How many bytes a fingerprint has.
  public static let fingerprint_bytes = 8
  /// How many bytes a key has that is sealed for a device.
  public static let sealed_bytes = count_bytes + HPKE.overhead_bytes
  /// How many characters of text a key has, without hyphens.
  private static let textCount = Base32.textCount(bytes: count_bytes) + checkCount
  private static let checkCount = 4

  /// nil where `secret` has not 32 bytes.
  public init?(_ secret: SecretBytes) {
    guard secret.count == Self.count_bytes else { return nil }
    self.secret = secret
  }

  /// A new key of OpenSSL's generator for secrets.
  ///
  /// - Throws: `openssl-failed` where the generator has no entropy.
  public static func random() throws(CryptoError) -> RecoveryKey { RecoveryKey(checked: try randomSecret(count_bytes)) }

  private init(checked secret: SecretBytes) { self.secret = secret }

  /// Reads a key as a person types it: hyphens, blanks and line ends anywhere, letters of either case.
  ///
  /// - Throws: `recovery-key-malformed`, saying what is wrong, never what was typed.
  public init(text: some StringProtocol) throws(RecoveryKeyError) {
    var symbols: [UInt8] = []
    for byte in text.utf8 where ![UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(byte) {
      guard let symbol = Base32.symbol(byte) else {
        throw RecoveryKeyError("a recovery key has digits and the letters A to Z without U; look at it again")
      }
      guard symbols.count < Self.textCount else { throw RecoveryKeyError("a recovery key has \(Self.textCount) characters, and this has more") }
      symbols.append(symbol)
    }
    guard symbols.count == Self.textCount else {
      throw RecoveryKeyError("a recovery key has \(Self.textCount) characters, and this has \(symbols.count)")
    }
    guard let secret = Base32.secret(symbols.dropLast(Self.checkCount), count: Self.count_bytes),
      symbols.suffix(Self.checkCount).elementsEqual(Self.check(secret))
    else { throw RecoveryKeyError("a character of the recovery key is wrong: its four check characters do not agree; look at it again") }
    self.secret = secret
  }

  /// What is shown to its owner, and what cryptsetup asks for. Whoever has it opens the disk.
  public var text: String { Base32.grouped(Base32.text(Base32.symbols(secret) + Self.check(secret))) }

  /// Names the key without telling it: 16 hexadecimal digits.
  public var fingerprint: String { hexadecimal(fingerprintBytes) }
  /// As `fingerprint`, 8 bytes.
  public var fingerprintBytes: [UInt8] { Array(Self.digest("haechi-recovery-fingerprint-1", secret).prefix(Self.fingerprint_bytes)) }

  /// Never the key.
  public var description: String { "recovery key \(fingerprint)" }

  private static func check(_ secret: SecretBytes) -> [UInt8] {
    let digest = digest("haechi-recovery-check-1", secret)
    let bits = UInt32(digest[0]) << 12 | UInt32(digest[1]) << 4 | UInt32(digest[2]) >> 4
    return stride(from: UInt32(15), through: 0, by: -5).map { UInt8(bits >> $0 & 31) }
  }

  /// SHA-256 of the words, a zero byte and the secret.
  private static func digest(_ words: String, _ secret: SecretBytes) -> [UInt8] {
    let head = Array(words.utf8) + [0]
    let message = SecretBytes(capacity: head.count + secret.count) { buffer in
      buffer.copyBytes(from: head)
      secret.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[head.count...]).copyMemory(from: $0) }
      return buffer.count
    }
    return message.withUnsafeBytes { sha256($0) }
  }

  // MARK: On its way to the device

  /// The key for a device's supervisor, which nobody on the way can open: HPKE (RFC 9180) to its key of one use, about this device and this event of it.
  ///
  /// - Parameters:
  ///   - publicKey: what the device offered for this one order.
  ///   - event: as in the statement whose body this becomes.
  ///   - nonce: likewise.
  /// - Throws: `malformed-input` where `publicKey` is none; `openssl-failed`.
  public func sealed(to publicKey: [UInt8], device: DeviceIdentifier, event: UInt64, nonce: [UInt8]) throws(CryptoError) -> [UInt8] {
    try HPKE.seal(secret, to: publicKey, information: Self.information(device, event, nonce))
  }

  /// The key of a statement; nil where it was not sealed for this key, device and event.
  ///
  /// - Throws: `openssl-failed`.
  public init?(
    opening sealed: [UInt8], with privateKey: X25519PrivateKey, device: DeviceIdentifier, event: UInt64, nonce: [UInt8]
  ) throws(CryptoError) {
    guard let secret = try HPKE.open(sealed, with: privateKey, information: Self.information(device, event, nonce)) else { return nil }
    self.init(secret)
  }

  /// `haechi-recovery-key-1`, a zero byte, device id (10 bytes), event (8 bytes, big endian), nonce (32 bytes).
  private static func information(_ device: DeviceIdentifier, _ event: UInt64, _ nonce: [UInt8]) -> [UInt8] {
    let number = (0..<8).reversed().map { UInt8(truncatingIfNeeded: event >> (UInt64($0) * 8)) }
    return Array("haechi-recovery-key-1".utf8) + [0] + (bytes(hexadecimal: device.text) ?? []) + number + nonce
  }
}
