/// The document that JSON text (RFC 8259) stands for, by the same rules as FoundationEssentials' decoder, but as strict as `scanJSON`.
///
/// That one is a tenth of a firmware; this one reads where each value stands, and makes nothing that its document does not hold.
///
/// - Parameter maximumDepth: of arrays and objects in one another.
/// - Throws: `JSONScanError` for what is no such text; `DecodingError`, or what a type throws that decodes itself, for another document.
public func jsonDocument<Document: Decodable>(_ type: Document.Type, from bytes: [UInt8], maximumDepth: Int = 128) throws -> Document {
  try scanJSON(bytes, maximumDepth: maximumDepth).get().decode(type)
}

extension JSONOutline {
  /// The document that the text stands for.
  ///
  /// - Throws: `DecodingError`, or what a type throws that decodes itself.
  package func decode<Document: Decodable>(_ type: Document.Type) throws -> Document {
    try Document(from: JSONValueDecoder(outline: self, node: Self.root, key: nil, outer: nil))
  }
}

/// Where a value stands, for errors: a member of an object or an element of an array, and what that is in.
final class JSONPlace: Sendable {
  private let key: any CodingKey
  private let outer: JSONPlace?

  init(_ key: any CodingKey, in outer: JSONPlace?) {
    self.key = key
    self.outer = outer
  }

  var path: [any CodingKey] { (outer?.path ?? []) + [key] }
}

/// The key of an element, and of what a class inherits.
enum JSONKey: CodingKey {
  case element(Int)
  case inherited

  var stringValue: String {
    switch self {
    case .element(let index): "Index \(index)"
    case .inherited: "super"
    }
  }
  var intValue: Int? { if case .element(let index) = self { index } else { nil } }

  init?(stringValue: String) {
    guard stringValue == "super" else { return nil }
    self = .inherited
  }

  init?(intValue: Int) { self = .element(intValue) }
}

/// One value, for whatever its type makes of it: itself, the members or the elements.
struct JSONValueDecoder: Decoder, SingleValueDecodingContainer {
  let outline: JSONOutline
  let node: Int
  /// Under which it stands in what is around it; nil for the outermost value.
  let key: (any CodingKey)?
  let outer: JSONPlace?

  var place: JSONPlace? { key.map { JSONPlace($0, in: outer) } }
  var codingPath: [any CodingKey] { place?.path ?? [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  var kind: JSONOutline.Node.Kind { outline.nodes[node].kind }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard kind == .object else { throw mismatch([String: any Decodable].self) }
    return KeyedDecodingContainer(JSONObjectMembers(object: self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard kind == .array else { throw mismatch([any Decodable].self) }
    return JSONArrayElements(array: self)
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { kind == .null }

  func decode(_ type: Bool.Type) throws -> Bool {
    switch kind {
    case .yes: true
    case .no: false
    default: throw mismatch(type)
    }
  }

  func decode(_ type: String.Type) throws -> String {
    guard kind == .string || kind == .escapedString else { throw mismatch(type) }
    return outline.string(node)
  }

  func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  func decode(_ type: Double.Type) throws -> Double { try number(type) }
  func decode(_ type: Float.Type) throws -> Float { try number(type) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try Value(from: self) }

  private func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    guard kind == .number else { throw mismatch(type) }
    guard let value = outline.integer(node, as: type) else { throw outOfRange(type) }
    return value
  }

  private func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(_ type: Number.Type) throws -> Number {
    guard kind == .number else { throw mismatch(type) }
    guard let value = outline.number(node, as: type) else { throw outOfRange(type) }
    return value
  }

  private func mismatch(_ type: Any.Type) -> DecodingError {
    let context = DecodingError.Context(codingPath: codingPath, debugDescription: "a value of another type is needed, \(type)")
    return kind == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  private func outOfRange(_ type: Any.Type) -> DecodingError {
    .dataCorrupted(DecodingError.Context(codingPath: codingPath, debugDescription: "\(type) has no such number"))
  }
}
