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
/// Its text is Crockford's base 32: 26 characters for the bits and 2 that check them, written in 7 groups of 4. The two are those of a Reed-Solomon code over GF(32) of distance 3: any two
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
      guard let symbol = Base32.symbol(byte) else {
        throw LabelError("a label's code has digits and the letters A to Z without U; look at the label again")
      }
      guard symbols.count < Self.textCount else { throw LabelError("a label's code has \(Self.textCount) characters, and this has more") }
      symbols.append(symbol)
    }
    guard symbols.count == Self.textCount else {
      throw LabelError("a label's code has \(Self.textCount) characters, and this has \(symbols.count)")
    }
    let data = symbols.dropLast(2)
    guard let secret = Base32.secret(data, count: Self.count_bytes), symbols.suffix(2).elementsEqual(Self.check(data)) else {
      throw LabelError("a character of the label's code is wrong: its two check characters do not agree; look at the label again")
    }
    self.secret = secret
  }

  /// For a label and its QR code: 28 characters. Whoever has it can claim the device.
  public var text: String {
    let symbols = Base32.symbols(secret)
    return Base32.text(symbols + Self.check(symbols[...]))
  }

  /// For people: 7 groups of 4 characters with hyphens between them.
  public var groupedText: String { Base32.grouped(text) }

  /// Never the code.
  public var description: String { "code of a label" }

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
