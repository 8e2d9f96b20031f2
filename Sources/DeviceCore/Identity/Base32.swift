internal import Foundations

/// Crockford's base 32, in which secrets are written for people: digits and capital letters without I, L, O, U; upper and lower case alike, O read as 0,
/// I and L as 1.
///
/// A secret's bits come last: where five bits a character are more than it has, the first are zero.
enum Base32 {
  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

  /// How many characters so many bytes have.
  static func textCount(bytes: Int) -> Int { (bytes * 8 + 4) / 5 }

  /// The value of a character, 0…31; nil where it is none.
  static func symbol(_ byte: UInt8) -> UInt8? {
    let upper = (97...122).contains(byte) ? byte - 32 : byte
    switch upper {
    case UInt8(ascii: "O"): return 0
    case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
    default: return alphabet.firstIndex(of: upper).map { UInt8($0) }
    }
  }

  /// The characters of values 0…31.
  static func text(_ symbols: some Sequence<UInt8>) -> String { String(decoding: symbols.map { alphabet[Int($0 & 31)] }, as: UTF8.self) }

  /// Groups of 4 characters with hyphens between them.
  static func grouped(_ text: String) -> String {
    var grouped = ""
    for (index, character) in text.enumerated() {
      if index > 0, index % 4 == 0 { grouped.append("-") }
      grouped.append(character)
    }
    return grouped
  }

  /// The values of a secret's characters.
  static func symbols(_ secret: SecretBytes) -> [UInt8] {
    var symbols: [UInt8] = []
    symbols.reserveCapacity(textCount(bytes: secret.count))
    secret.withUnsafeBytes { bytes in
      var accumulator: UInt32 = 0
      var bits = textCount(bytes: bytes.count) * 5 - bytes.count * 8
      for byte in bytes {
        accumulator = (accumulator << 8 | UInt32(byte)) & 0xffff
        bits += 8
        while bits >= 5 {
          bits -= 5
          symbols.append(UInt8(accumulator >> UInt32(bits) & 31))
        }
      }
    }
    return symbols
  }

  /// The secret of `count` bytes whose characters have these values; nil where they are not so many, or a bit before the first is set.
  static func secret(_ symbols: some Collection<UInt8>, count: Int) -> SecretBytes? {
    guard symbols.count == textCount(bytes: count), let first = symbols.first else { return nil }
    let spare = symbols.count * 5 - count * 8
    guard first >> UInt8(5 - spare) == 0 else { return nil }
    return SecretBytes(capacity: count) { bytes in
      var accumulator: UInt32 = 0
      var bits = -spare
      var filled = 0
      for symbol in symbols {
        accumulator = (accumulator << 5 | UInt32(symbol)) & 0xffff
        bits += 5
        if bits >= 8 {
          bits -= 8
          bytes[filled] = UInt8(accumulator >> UInt32(bits) & 0xff)
          filled += 1
        }
      }
      return filled
    }
  }
}
