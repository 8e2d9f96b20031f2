import FoundationEssentials
import Foundations
import Testing

/// What a device writes is what everybody else's encoder writes.
@Suite struct JSONTextTests {
  enum State: String, Codable { case on, off }

  struct Inner: Codable {
    var zeta = "z"
    var alpha: Int8 = -8
    var none: String?
  }

  struct Document: Codable {
    var text = "plain"
    var quoted = "a\"b\\c/d\u{08}\u{0c}\n\r\t\u{01}\u{1f}\u{7f}é 🦊"
    var empty = ""
    var inner = Inner()
    var list = [Inner(), Inner(zeta: "y", alpha: 7, none: "some")]
    var words = ["b", "a"]
    var nothing: [Int] = []
    var numbers: [Double] = [0, 1, -1.5, 0.1, 1e16, 1e-7, 123_456_789.25, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 5e20]
    var single: Float = 0.1
    var whole: Float = 3
    var largest = UInt64.max
    var smallest = Int64.min
    var small: [UInt8] = [0, 255]
    var mixed: [Int16?] = [1, nil, -3]
    var yes = true
    var state = State.off
    var named = ["two": 2, "one": 1, "a\"b": 3]
    var aB = 1
    var ab = 2
    var aa = 3
  }

  /// Asks for every container that there is, and writes to them by turns.
  struct Nested: Encodable {
    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(_ name: String) { stringValue = name }
      init?(stringValue: String) { self.init(stringValue) }
      init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
      var object = encoder.container(keyedBy: Key.self)
      var first = object.nestedContainer(keyedBy: Key.self, forKey: Key("m"))
      var list = object.nestedUnkeyedContainer(forKey: Key("l"))
      try object.encode("z", forKey: Key("z"))
      try list.encode(1)
      var inList = list.nestedContainer(keyedBy: Key.self)
      try list.encode("after")
      var deeper = list.nestedUnkeyedContainer()
      try list.encodeNil()
      try inList.encode(2.5, forKey: Key("b"))
      try inList.encode(false, forKey: Key("a"))
      try deeper.encode(UInt16(9))
      try first.encodeNil(forKey: Key("y"))
      try first.encode(Int32(4), forKey: Key("x"))
      try Inner().encode(to: object.superEncoder())
      try "single".encode(to: object.superEncoder(forKey: Key("s")))
      _ = object.nestedContainer(keyedBy: Key.self, forKey: Key("e"))
      _ = object.nestedUnkeyedContainer(forKey: Key("f"))
    }
  }

  struct Twice: Encodable {
    func encode(to encoder: any Encoder) throws {
      for value in 1...3 {
        var object = encoder.container(keyedBy: Nested.Key.self)
        try object.encode(value, forKey: Nested.Key("same"))
        try object.encode(value, forKey: Nested.Key("n\(4 - value)"))
      }
    }
  }

  private func expectSame(_ document: some Encodable, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let wanted = String(decoding: try encoder.encode(document), as: UTF8.self)
    #expect(String(decoding: try jsonText(document), as: UTF8.self) == wanted, sourceLocation: sourceLocation)
  }

  @Test func itWritesWhatFoundationWrites() throws {
    try expectSame(Document())
    try expectSame([Document(), Document()])
    try expectSame(Nested())
    try expectSame([Nested(), Nested()])
    try expectSame(Twice())
    try expectSame("alone")
    try expectSame([String]())
    try expectSame([String: Int]())
    try expectSame(State.on)
    try expectSame(7)
  }

  @Test func everyCharacterAndManyNumbersAreTheSame() throws {
    try expectSame((0..<0x300).compactMap { Unicode.Scalar($0).map { String(Character($0)) } })
    var random = SystemRandomNumberGenerator()
    let numbers = (0..<2_000).map { _ in Double(bitPattern: random.next()) }.filter(\.isFinite)
    try expectSame(numbers)
    try expectSame(numbers.map { Float($0.truncatingRemainder(dividingBy: 1_000)) })
    try expectSame(numbers.map { ($0.truncatingRemainder(dividingBy: 1e6)).rounded() })
  }

  @Test func aNumberThatIsNoneIsRefused() {
    for value in [Double.nan, .infinity, -.infinity] { #expect(throws: EncodingError.self) { try jsonText(["value": value]) } }
    #expect(throws: EncodingError.self) { try jsonText([Float.nan]) }
  }
}
