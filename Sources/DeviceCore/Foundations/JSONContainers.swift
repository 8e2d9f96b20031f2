/// The members of an object that is being written. What is not named here goes the general way, which ends in `JSONScalar` for every scalar.
struct JSONMembers<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: JSONValueEncoder
  var codingPath: [any CodingKey] { [] }

  mutating func encodeNil(forKey key: Key) throws { encoder.member(key.stringValue) { $0.token("null") } }
  mutating func encode(_ value: Bool, forKey key: Key) throws { encoder.member(key.stringValue) { $0.append(value) } }
  mutating func encode(_ value: String, forKey key: Key) throws { encoder.member(key.stringValue) { $0.append(value) } }
  mutating func encode(_ value: Int, forKey key: Key) throws { encoder.member(key.stringValue) { $0.append(value) } }
  mutating func encode(_ value: UInt64, forKey key: Key) throws { encoder.member(key.stringValue) { $0.append(value) } }
  mutating func encode(_ value: Double, forKey key: Key) throws { try encoder.member(key.stringValue) { try $0.append(value) } }
  mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try encoder.member(key.stringValue) { try $0.encode(value) } }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
    encoder.nested(key.stringValue).container(keyedBy: type)
  }
  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { encoder.nested(key.stringValue).unkeyedContainer() }
  mutating func superEncoder() -> any Encoder { encoder.nested("super") }
  mutating func superEncoder(forKey key: Key) -> any Encoder { encoder.nested(key.stringValue) }
}

/// The elements of an array that is being written.
struct JSONElements: UnkeyedEncodingContainer {
  let encoder: JSONValueEncoder
  var codingPath: [any CodingKey] { [] }
  var count: Int { encoder.count }

  mutating func encodeNil() throws { encoder.element { $0.token("null") } }
  mutating func encode(_ value: String) throws { encoder.element { $0.append(value) } }
  mutating func encode<Value: Encodable>(_ value: Value) throws { try encoder.element { try $0.encode(value) } }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    encoder.nested().container(keyedBy: type)
  }
  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder.nested().unkeyedContainer() }
  mutating func superEncoder() -> any Encoder { encoder.nested() }
}

/// A value that is neither an object nor an array.
struct JSONScalar: SingleValueEncodingContainer {
  let text: JSONText
  var codingPath: [any CodingKey] { [] }

  func encodeNil() throws { text.token("null") }
  func encode(_ value: Bool) throws { text.append(value) }
  func encode(_ value: String) throws { text.append(value) }
  func encode(_ value: Int) throws { text.append(value) }
  func encode(_ value: Int8) throws { text.append(value) }
  func encode(_ value: Int16) throws { text.append(value) }
  func encode(_ value: Int32) throws { text.append(value) }
  func encode(_ value: Int64) throws { text.append(value) }
  func encode(_ value: UInt) throws { text.append(value) }
  func encode(_ value: UInt8) throws { text.append(value) }
  func encode(_ value: UInt16) throws { text.append(value) }
  func encode(_ value: UInt32) throws { text.append(value) }
  func encode(_ value: UInt64) throws { text.append(value) }
  func encode(_ value: Double) throws { try text.append(value) }
  func encode(_ value: Float) throws { try text.append(value) }
  func encode<Value: Encodable>(_ value: Value) throws { try text.encode(value) }
}
