/// The members of an object that is being read.
final class JSONObjectMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let object: JSONValueDecoder
  private let place: JSONPlace?
  private let end: Int
  /// Where to look first: most types ask for members in the order in which they stand.
  private var likely: Int

  init(object: JSONValueDecoder) {
    self.object = object
    place = object.place
    likely = object.node + 1
    end = Int(object.outline.nodes[object.node].next)
  }

  var codingPath: [any CodingKey] { object.codingPath }
  var allKeys: [Key] { object.outline.members(of: object.node).compactMap { Key(stringValue: object.outline.string($0.name)) } }

  func contains(_ key: Key) -> Bool { find(key.stringValue) != nil }

  /// The node of a member's value; nil where there is no such member.
  private func find(_ name: String) -> Int? { search(name, from: likely, to: end) ?? search(name, from: object.node + 1, to: likely) }

  private func search(_ name: String, from start: Int, to end: Int) -> Int? {
    let outline = object.outline
    var node = start
    while node < end {
      let value = node + 1
      if outline.isNamed(node, name) {
        likely = node
        return value
      }
      node = Int(outline.nodes[value].next)
    }
    return nil
  }

  private func member(_ key: Key) throws -> JSONValueDecoder {
    guard let node = find(key.stringValue) else {
      throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: codingPath, debugDescription: "there is no member \(key.stringValue)"))
    }
    return JSONValueDecoder(outline: object.outline, node: node, key: key, outer: place)
  }

  func decodeNil(forKey key: Key) throws -> Bool { try member(key).decodeNil() }
  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try member(key).decode(type) }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try member(key).decode(type) }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try member(key).decode(type) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try member(key).decode(type) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try member(key).decode(type) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try member(key).decode(type) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try member(key).decode(type) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try member(key).decode(type) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try member(key).decode(type) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try member(key).decode(type) }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try member(key).decode(type) }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try member(key).decode(type) }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try member(key).decode(type) }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try member(key).decode(type) }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try Value(from: try member(key)) }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
    try member(key).container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try member(key).unkeyedContainer() }
  func superDecoder(forKey key: Key) throws -> any Decoder { try member(key) }

  func superDecoder() throws -> any Decoder {
    let key = JSONKey.inherited
    guard let node = find(key.stringValue) else {
      throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: codingPath, debugDescription: "there is no member \(key.stringValue)"))
    }
    return JSONValueDecoder(outline: object.outline, node: node, key: key, outer: place)
  }
}

/// The elements of an array that is being read, one after another.
struct JSONArrayElements: UnkeyedDecodingContainer {
  private let array: JSONValueDecoder
  private let place: JSONPlace?
  private let end: Int
  private var node: Int
  private(set) var currentIndex = 0

  init(array: JSONValueDecoder) {
    self.array = array
    place = array.place
    node = array.node + 1
    end = Int(array.outline.nodes[array.node].next)
  }

  var codingPath: [any CodingKey] { array.codingPath }
  var isAtEnd: Bool { node >= end }

  var count: Int? {
    var count = 0
    var node = array.node + 1
    while node < end {
      node = Int(array.outline.nodes[node].next)
      count += 1
    }
    return count
  }

  /// What `read` makes of the element that is next; where it throws, the element is next again.
  private mutating func take<Value>(_ type: Any.Type, _ read: (JSONValueDecoder) throws -> Value) throws -> Value {
    let key = JSONKey.element(currentIndex)
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(type, DecodingError.Context(codingPath: codingPath + [key], debugDescription: "the array has no more elements"))
    }
    let value = try read(JSONValueDecoder(outline: array.outline, node: node, key: key, outer: place))
    node = Int(array.outline.nodes[node].next)
    currentIndex += 1
    return value
  }

  mutating func decodeNil() throws -> Bool {
    guard isAtEnd || array.outline.nodes[node].kind == .null else { return false }
    return try take(Never.self) { $0.decodeNil() }
  }
  mutating func decode(_ type: Bool.Type) throws -> Bool { try take(type) { try $0.decode(type) } }
  mutating func decode(_ type: String.Type) throws -> String { try take(type) { try $0.decode(type) } }
  mutating func decode(_ type: Int.Type) throws -> Int { try take(type) { try $0.decode(type) } }
  mutating func decode(_ type: Double.Type) throws -> Double { try take(type) { try $0.decode(type) } }
  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try take(type) { try Value(from: $0) } }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
    try take(KeyedDecodingContainer<Nested>.self) { try $0.container(keyedBy: type) }
  }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try take((any UnkeyedDecodingContainer).self) { try $0.unkeyedContainer() }
  }
  mutating func superDecoder() throws -> any Decoder { try take((any Decoder).self) { $0 } }
}
