public import Foundations

/// A serial number that a label can show and a file can be named after: 1…64 of `A`–`Z`, `0`–`9`, `-`, `.`, the first a letter or digit.
///
/// These characters are in all three alphabets that it must pass: PrintableString (IEEE 802.1AR section 8.6), QR's alphanumeric mode, and
/// that of file names.
public struct LabelSerialNumber: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// nil for anything else; lower case is not folded.
  public init?(_ text: some StringProtocol) {
    func isPlain(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (48...57).contains(byte) }
    guard (1...64).contains(text.utf8.count), let first = text.utf8.first, isPlain(first),
      text.utf8.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") })
    else { return nil }
    self.text = String(text)
  }

  public var description: String { text }
}

/// What a device's label says: which device it is, by its serial number and its key, and the code that claims it.
///
/// As text and in its QR code, in capital letters so that the alphanumeric mode (ISO/IEC 18004) holds it:
///
///     HAECHI:1:<serial number>:<SHA-256 of the key's SubjectPublicKeyInfo, 64 hexadecimal digits>:<code, 28 characters>
public struct DeviceLabel: Sendable, CustomStringConvertible {
  public let serialNumber: LabelSerialNumber
  /// SHA-256 of the device key's SubjectPublicKeyInfo: 32 bytes.
  public let keyHash: [UInt8]
  public let code: LabelCode

  /// nil where `keyHash` has not 32 bytes.
  public init?(serialNumber: LabelSerialNumber, keyHash: [UInt8], code: LabelCode) {
    guard keyHash.count == 32 else { return nil }
    self.serialNumber = serialNumber
    self.keyHash = keyHash
    self.code = code
  }

  /// Reads the text of a label or its QR code; upper and lower case alike, blanks around it allowed.
  ///
  /// - Throws: `label-malformed`, saying what is wrong, never the code.
  public init(text: some StringProtocol) throws(LabelError) {
    let trimmed = text.utf8.drop { $0 <= 32 }
    let bytes = trimmed.prefix(256).reversed().drop { $0 <= 32 }.reversed()
    let parts = bytes.split(separator: UInt8(ascii: ":"), maxSplits: 5, omittingEmptySubsequences: false)
    let words = parts.map { String(decoding: $0, as: UTF8.self).uppercased() }
    guard words.first == "HAECHI", words.count >= 2 else {
      throw LabelError("this is not the text of a device's label, which begins with HAECHI:1:")
    }
    guard words[1] == "1" else { throw LabelError("this label has another form than 1, the one that is known here; use a newer haechi") }
    guard words.count == 5 else {
      throw LabelError("a label's text has 5 parts between colons (HAECHI:1:SERIAL:KEY:CODE), and this has \(words.count)")
    }
    guard let serialNumber = LabelSerialNumber(words[2]) else {
      throw LabelError("the label's serial number is not 1 to 64 of A to Z, 0 to 9, '-' and '.'")
    }
    guard words[3].utf8.count == 64, let keyHash = Foundations.bytes(hexadecimal: words[3]) else {
      throw LabelError("the label's key hash is not 64 hexadecimal digits")
    }
    self.serialNumber = serialNumber
    self.keyHash = keyHash
    code = try LabelCode(text: words[4])
  }

  /// The text of the QR code. Whoever has it can claim the device.
  public var text: String { "HAECHI:1:\(serialNumber):\(hexadecimal(keyHash).uppercased()):\(code.text)" }

  /// The device that it is on.
  public var deviceId: DeviceIdentifier {
    guard let device = DeviceIdentifier(publicKeyDigest: keyHash) else { preconditionFailure("a label's key hash has 32 bytes") }
    return device
  }

  /// The serial number and the device; never the code.
  public var description: String { "label of \(serialNumber) (device \(deviceId))" }
}
