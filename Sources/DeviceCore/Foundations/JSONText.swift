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

  func append(_ value: String) {
    bytes.append(UInt8(ascii: "\""))
    var value = value
    value.withUTF8 { text in
      // Nearly no text has a character that must be escaped.
      if text.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
        bytes.append(contentsOf: text)
      } else {
        for byte in text { appendEscaped(byte) }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// RFC 8259 section 7.
  private func appendEscaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): token("\\\"")
    case UInt8(ascii: "\\"): token("\\\\")
    case 0x08: token("\\b")
    case 0x09: token("\\t")
    case 0x0a: token("\\n")
    case 0x0c: token("\\f")
    case 0x0d: token("\\r")
    case ..<0x20:
      token(byte < 0x10 ? "\\u000" : "\\u001")
      bytes.append(contentsOf: String(byte & 0x0f, radix: 16).utf8)
    default: bytes.append(byte)
    }
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
    if !members.isEmpty { text.token(",") }
    var member = Member(start: text.bytes.count, nameEnd: 0, end: 0)
    text.append(name)
    member.nameEnd = text.bytes.count
    text.token(":")
    try write(text)
    member.end = text.bytes.count
    members.append(member)
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
    guard let first = members.first, !zip(members, members.dropFirst()).allSatisfy({ precedes($0, $1) }) else { return }
    let sorted = members.enumerated().sorted { a, b in
      precedes(a.element, b.element) || (a.offset > b.offset && !precedes(b.element, a.element))
    }
    var ordered: [UInt8] = []
    ordered.reserveCapacity(text.bytes.count - first.start)
    var previous: Member?
    for (_, member) in sorted {
      if let previous, !precedes(previous, member) { continue }
      if previous != nil { ordered.append(UInt8(ascii: ",")) }
      ordered.append(contentsOf: text.bytes[member.start..<member.end])
      previous = member
    }
    text.bytes.replaceSubrange(first.start..., with: ordered)
  }

  private func precedes(_ a: Member, _ b: Member) -> Bool {
    text.bytes.withUnsafeBufferPointer { bytes in
      bytes[(a.start + 1)..<(a.nameEnd - 1)].lexicographicallyPrecedes(bytes[(b.start + 1)..<(b.nameEnd - 1)])
    }
  }
}
