internal import Foundations
internal import Identity

/// How a line numbers its devices: `KB-{n:06}` gives KB-000001, KB-000002 and so on.
public struct SerialPattern: Sendable, Equatable {
  private let prefix: String
  private let suffix: String
  /// At least so many digits, with zeros before.
  private let digits: Int

  /// The highest number: 12 digits are more than any line makes.
  static let highestNumber = 999_999_999_999

  /// - Parameter text: serial-number characters with one `{n}` or `{n:0DIGITS}` in it, 1…12 digits.
  /// - Throws: `bad-argument` with the form that is wanted.
  public init(_ text: String) throws(OperatorError) {
    let wrong = OperatorError(
      "bad-argument",
      "'\(printable(text.prefix(80)))' is no pattern of serial numbers: write A-Z, 0-9, '-' and '.' with one {n} or {n:06} for the number, such as KB-{n:06}")
    let parts = text.split(separator: "{", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw wrong }
    let rest = parts[1].split(separator: "}", maxSplits: 1, omittingEmptySubsequences: false)
    guard rest.count == 2 else { throw wrong }
    if rest[0] == "n" {
      digits = 1
    } else {
      guard rest[0].hasPrefix("n:0"), let count = Int(rest[0].dropFirst(3)), (1...12).contains(count) else { throw wrong }
      digits = count
    }
    prefix = String(parts[0])
    suffix = String(rest[1])
    guard LabelSerialNumber(written(Self.highestNumber)) != nil else { throw wrong }
  }

  /// The serial number of the number `n`, 0…999999999999.
  func serialNumber(_ n: Int) -> LabelSerialNumber? { (0...Self.highestNumber).contains(n) ? LabelSerialNumber(written(n)) : nil }

  private func written(_ n: Int) -> String {
    let number = String(n)
    return prefix + String(repeating: "0", count: max(0, digits - number.count)) + number + suffix
  }

  /// The number in a serial number of this pattern, nil for another one.
  func number(of serialNumber: String) -> Int? {
    guard serialNumber.hasPrefix(prefix), serialNumber.hasSuffix(suffix), serialNumber.count > prefix.count + suffix.count,
      let number = Int(serialNumber.dropFirst(prefix.count).dropLast(suffix.count)), written(number) == serialNumber
    else { return nil }
    return number
  }
}
