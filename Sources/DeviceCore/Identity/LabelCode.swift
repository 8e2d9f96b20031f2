public import Crypto
public import Foundations

/// Why a text is no label, or no part of one.
///
/// Codes: `label-malformed`.
public struct LabelError: HaechiError {
  public let code = "label-malformed"
  public let reason: String
  public var cause: (any Error)? { nil }

  init(_ reason: String) { self.reason = reason }
}

/// The secret of a device's label: 128 random bits, made by the station, known to who holds the label and to nobody else.
///
/// Its text is Crockford's base 32 (digits and capital letters without I, L, O, U; upper and lower case alike, O read as 0, I and L as 1): 26 characters for the
/// bits and 2 that check them, written in 7 groups of 4. The two are those of a Reed-Solomon code over GF(32) of distance 3: any two
/// wrong characters are noticed, and so are any two that changed places.
public struct LabelCode: Sendable, CustomStringConvertible {
  /// The bits: 16 bytes.
  public let secret: SecretBytes

  /// How many bytes a code has.
  public static let count_bytes = 16
  /// How many characters of text a code has, without hyphens.
  public static let textCount = 28

  /// nil where `secret` has not 16 bytes.
  public init?(_ secret: SecretBytes) {
    guard secret.count == Self.count_bytes else { return nil }
    self.secret = secret
  }

  /// A new code of OpenSSL's generator for secrets.
  ///
  /// - Throws: `openssl-failed` where the generator has no entropy.
  public static func random() throws(CryptoError) -> LabelCode { LabelCode(checked: try randomSecret(count_bytes)) }

  private init(checked secret: SecretBytes) { self.secret = secret }

  /// Reads a code as a person types it: hyphens and blanks anywhere.
  ///
  /// - Throws: `label-malformed`, saying what is wrong, never what was typed.
  public init(text: some StringProtocol) throws(LabelError) {
    var symbols: [UInt8] = []
    for byte in text.utf8 where byte != UInt8(ascii: "-") && byte != UInt8(ascii: " ") {
      guard let symbol = Self.symbol(byte) else {
        throw LabelError("a label's code has digits and the letters A to Z without U; look at the label again")
      }
      guard symbols.count < Self.textCount else { throw LabelError("a label's code has \(Self.textCount) characters, and this has more") }
      symbols.append(symbol)
    }
    guard symbols.count == Self.textCount else {
      throw LabelError("a label's code has \(Self.textCount) characters, and this has \(symbols.count)")
    }
    let data = symbols.dropLast(2)
    // 26 characters hold 130 bits: the first two are always zero.
    guard let first = data.first, first < 8, symbols.suffix(2).elementsEqual(Self.check(data)) else {
      throw LabelError("a character of the label's code is wrong: its two check characters do not agree; look at the label again")
    }
    secret = SecretBytes(capacity: Self.count_bytes) { bytes in
      var accumulator: UInt32 = 0
      var bits = -2
      var filled = 0
      for symbol in data {
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

  /// For a label and its QR code: 28 characters. Whoever has it can claim the device.
  public var text: String {
    var symbols: [UInt8] = []
    symbols.reserveCapacity(Self.textCount)
    secret.withUnsafeBytes { bytes in
      var accumulator: UInt32 = 0
      var bits = 2
      for byte in bytes {
        accumulator = (accumulator << 8 | UInt32(byte)) & 0xffff
        bits += 8
        while bits >= 5 {
          bits -= 5
          symbols.append(UInt8(accumulator >> UInt32(bits) & 31))
        }
      }
    }
    symbols += Self.check(symbols[...])
    return String(decoding: symbols.map { Self.alphabet[Int($0)] }, as: UTF8.self)
  }

  /// For people: 7 groups of 4 characters with hyphens between them.
  public var groupedText: String {
    var grouped = ""
    for (index, character) in text.enumerated() {
      if index > 0, index % 4 == 0 { grouped.append("-") }
      grouped.append(character)
    }
    return grouped
  }

  /// Never the code.
  public var description: String { "code of a label" }

  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

  /// The value of a character, 0…31.
  private static func symbol(_ byte: UInt8) -> UInt8? {
    let upper = (97...122).contains(byte) ? byte - 32 : byte
    switch upper {
    case UInt8(ascii: "O"): return 0
    case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
    default: return alphabet.firstIndex(of: upper).map { UInt8($0) }
    }
  }

  /// The remainder of `symbols` over GF(32) = GF(2)[a]/(a^5+a^2+1) by (x+1)(x+a) = x^2 + (a+1)x + a.
  private static func check(_ symbols: ArraySlice<UInt8>) -> [UInt8] {
    var high: UInt8 = 0
    var low: UInt8 = 0
    for symbol in symbols {
      let feedback = symbol ^ high
      let doubled = feedback << 1 ^ (feedback & 16 == 0 ? 0 : 0b100101)
      high = low ^ doubled ^ feedback
      low = doubled
    }
    return [high, low]
  }
}
