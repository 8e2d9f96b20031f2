/// Where each value of a JSON text stands, after a check of the whole text: what a document is decoded from, without a tree of values.
package final class JSONOutline: Sendable {
  /// A value, or the name of a member, which stands before its value.
  struct Node {
    enum Kind: UInt8 { case object, array, string, escapedString, number, yes, no, null }

    var kind: Kind
    /// Of its text, a string's without the quotes.
    var start: Int32
    var end: Int32
    /// The first node that is not within this one.
    var next: Int32
  }

  /// Longer text is no document of a device.
  static let text_bytes = 1 << 30

  let bytes: [UInt8]
  let nodes: [Node]

  init(bytes: [UInt8], nodes: [Node]) {
    self.bytes = bytes
    self.nodes = nodes
  }

  /// The outermost value.
  static let root = 0

  /// The member names of the outermost object, in their order; nil where the outermost value is no object.
  package var memberNames: [String]? {
    guard nodes[Self.root].kind == .object else { return nil }
    return members(of: Self.root).map { string($0.name) }
  }

  /// The nodes of an object's names and values, in their order.
  func members(of object: Int) -> [(name: Int, value: Int)] {
    var result: [(name: Int, value: Int)] = []
    var name = object + 1
    while name < Int(nodes[object].next) {
      result.append((name: name, value: name + 1))
      name = Int(nodes[name + 1].next)
    }
    return result
  }

  /// The text of a value, a string's as it is written.
  func text(_ node: Int) -> ArraySlice<UInt8> { bytes[Int(nodes[node].start)..<Int(nodes[node].end)] }

  /// What a string says.
  func string(_ node: Int) -> String {
    guard nodes[node].kind == .escapedString else { return String(decoding: text(node), as: UTF8.self) }
    return JSONScanner.unescaped(bytes, from: Int(nodes[node].start))
  }

  /// Whether a member's name is `name`.
  func isNamed(_ node: Int, _ name: String) -> Bool {
    nodes[node].kind == .escapedString ? string(node) == name : text(node).elementsEqual(name.utf8)
  }

  /// A number's value, nil where the type has none such. A whole number may be written with a fraction or an exponent: `1.0` is 1.
  func integer<Number: FixedWidthInteger>(_ node: Int, as type: Number.Type) -> Number? {
    let text = text(node)
    let isNegative = text.first == UInt8(ascii: "-")
    let unsigned = isNegative ? text.dropFirst() : text
    let isPlain = unsigned.allSatisfy { (0x30...0x39).contains($0) }
    guard let digits = isPlain ? unsigned : Self.wholeDigits(unsigned) else { return nil }
    var value: Number = 0
    for byte in digits {
      let (shifted, isOver) = value.multipliedReportingOverflow(by: 10)
      let digit = Number(byte & 0x0f)
      let (sum, isBeyond) = isNegative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
      guard !isOver, !isBeyond else { return nil }
      value = sum
    }
    return value
  }

  /// The digits of a number with a fraction or an exponent, where it is whole and not far beyond every type; nil where it is not. No rounding.
  private static func wholeDigits(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    let mantissa = text.prefix { $0 | 0x20 != UInt8(ascii: "e") }
    let whole = mantissa.prefix { $0 != UInt8(ascii: ".") }
    let fraction = mantissa.dropFirst(whole.count + 1)
    let digits = whole + fraction
    if digits.allSatisfy({ $0 == UInt8(ascii: "0") }) { return digits.prefix(1) }
    let exponent = mantissa.count == text.count ? 0 : Int(String(decoding: text.dropFirst(mantissa.count + 1), as: UTF8.self))
    // The text's length bounds the fraction, and this the exponent, so that nothing overflows.
    guard let exponent, exponent.magnitude <= UInt(JSONOutline.text_bytes) else { return nil }
    let shift = exponent - fraction.count
    if shift >= 0 { return shift > 20 ? nil : digits + [UInt8](repeating: UInt8(ascii: "0"), count: shift) }
    guard -shift < digits.count, digits.suffix(-shift).allSatisfy({ $0 == UInt8(ascii: "0") }) else { return nil }
    return digits.dropLast(-shift)
  }

  /// A number's value, nil where it is too large for the type, or so small that it would read as zero.
  func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(_ node: Int, as type: Number.Type) -> Number? {
    let text = text(node)
    guard let value = Number(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
    let isZero = { text.prefix { $0 | 0x20 != UInt8(ascii: "e") }.allSatisfy { !(0x31...0x39).contains($0) } }
    return value != 0 || isZero() ? value : nil
  }
}
