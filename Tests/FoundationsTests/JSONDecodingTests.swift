import FoundationEssentials
import Foundations
import Testing

/// What a device reads is what everybody else's decoder reads.
@Suite struct JSONDecodingTests {
  private typealias Document = JSONTextTests.Document
  private typealias Inner = JSONTextTests.Inner

  private struct Everything: Codable {
    var bool: Bool?
    var int: Int?
    var tiny: Int8?
    var small: UInt16?
    var large: UInt64?
    var double: Double?
    var float: Float?
    var text: String?
    var list: [Int]?
    var lists: [[Int]]?
    var inner: Inner?
    var named: [String: Double]?
    var state: JSONTextTests.State?
  }

  /// Reads through every container that there is what `JSONTextTests.Nested` writes.
  private struct Nested: Decodable {
    var seen: [String] = []

    init(from decoder: any Decoder) throws {
      typealias Key = JSONTextTests.Nested.Key
      let object = try decoder.container(keyedBy: Key.self)
      seen.append("\(object.allKeys.map(\.stringValue).sorted()) \(object.contains(Key("z"))) \(object.contains(Key("none")))")
      let first = try object.nestedContainer(keyedBy: Key.self, forKey: Key("m"))
      seen.append("\(try first.decode(Int32.self, forKey: Key("x"))) \(try first.decodeNil(forKey: Key("y"))) \(first.codingPath.map(\.stringValue))")
      var list = try object.nestedUnkeyedContainer(forKey: Key("l"))
      seen.append("\(list.count ?? -1) \(try list.decodeNil()) \(try list.decode(Int.self)) \(list.currentIndex)")
      let inList = try list.nestedContainer(keyedBy: Key.self)
      seen.append("\(try inList.decode(Double.self, forKey: Key("b"))) \(try inList.decode(Bool.self, forKey: Key("a")))")
      seen.append("\(inList.codingPath.map(\.stringValue)) \(try list.decode(String.self))")
      var deeper = try list.nestedUnkeyedContainer()
      seen.append("\(try deeper.decodeNil()) \(try deeper.decode(UInt16.self)) \(deeper.isAtEnd) \(list.isAtEnd)")
      seen.append("\(try Inner(from: object.superDecoder()).zeta) \(try String(from: object.superDecoder(forKey: Key("s"))))")
      seen.append("\(try object.nestedUnkeyedContainer(forKey: Key("f")).isAtEnd)")
    }
  }

  /// Both read the same, or both refuse it, for the same member.
  private func expectSame<Value: Codable>(_ type: Value.Type, _ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let theirs = Result { try JSONDecoder().decode(type, from: Data(text.utf8)) }
    let ours = Result { try jsonDocument(type, from: Array(text.utf8)) }
    switch (ours, theirs) {
    case (.success(let ours), .success(let theirs)): #expect(try jsonText(ours) == jsonText(theirs), "\(text)", sourceLocation: sourceLocation)
    case (.failure(let ours), .failure(let theirs)):
      #expect(fault(ours) == fault(theirs), "\(text)", sourceLocation: sourceLocation)
    default: Issue.record("\(text): here \(ours), there \(theirs)", sourceLocation: sourceLocation)
    }
  }

  private func fault(_ error: any Error) -> String {
    switch error as? DecodingError {
    case .keyNotFound(let key, let context): "no \(key.stringValue) in \(context.codingPath.map(\.stringValue))"
    case .typeMismatch(_, let context): "type of \(context.codingPath.map(\.stringValue))"
    case .valueNotFound(_, let context): "null in \(context.codingPath.map(\.stringValue))"
    // The other one does not name the member that has a number out of range.
    case .dataCorrupted: "value"
    default: "\(type(of: error))"
    }
  }

  @Test func itReadsWhatItWrites() throws {
    for document in [Document(), Document(text: "é\u{0}\u{ffff}🦊", list: [], words: ["\\u0041", "\""])] {
      let text = String(decoding: try jsonText(document), as: UTF8.self)
      try expectSame(Document.self, text)
      try expectSame([Document].self, "[ \(text) ,\n\t\(text)]")
    }
    try expectSame(String.self, #""\u0041\/\b\f\n\r\t\"\\\ud83e\udd8a\u00e9""#)
    try expectSame([String: Int].self, #"{"\u0061":1,"b\n":2,"":3}"#)
    try expectSame([String: [Int?]].self, #"{"a":[1,null,2],"b":[]}"#)
  }

  @Test func itReadsEveryContainer() throws {
    let text = try jsonText(JSONTextTests.Nested())
    #expect(try jsonDocument(Nested.self, from: text).seen == JSONDecoder().decode(Nested.self, from: Data(text)).seen)
    #expect(
      try jsonDocument([Nested].self, from: [0x5b] + text + [0x5d]).map(\.seen)
        == JSONDecoder().decode([Nested].self, from: Data([0x5b] + text + [0x5d])).map(\.seen))
  }

  @Test(arguments: ["bool", "int", "tiny", "small", "large", "double", "float", "text", "list", "lists", "inner", "named", "state", "other"])
  func everyMemberTakesOrRefusesEveryValue(_ name: String) throws {
    let values = [
      "true", "false", "null", "0", "-0", "1", "-1", "127", "128", "-128", "-129", "65535", "65536", "1.0", "1.5", "-2e2", "1e-1", "1E+2", "0.1",
      "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
      "1e400", "-1e400", "3.5e38", "-0.0e-999", "123456789012345678901234567890", #""""#, #""text""#, #""on""#, #""off""#, "[]", "[1,2]",
      "[1,null]", "[1,\"\"]",
      "[[1],[2,3]]",
      "[[1],[true]]", "{}", #"{"zeta":"z","alpha":3}"#, #"{"zeta":"z"}"#, #"{"zeta":null,"alpha":3}"#, #"{"zeta":"z","alpha":300}"#, #"{"a":1,"b":0.5}"#,
    ]
    for value in values {
      try expectSame(Everything.self, #"{"\#(name)":\#(value)}"#)
      try expectSame(Everything.self, #"{"x":[{"y":[]}],"\#(name)" : \#(value) ,"z":{}}"#)
    }
  }

  @Test func whatIsMissingOrOfAnotherTypeIsNamed() throws {
    for text in ["{}", "[]", "1", "null", #"{"zeta":1,"alpha":1}"#, #"{"alpha":1}"#] {
      try expectSame(Inner.self, text)
      try expectSame([Inner].self, "[\(text)]")
      try expectSame([String: [Inner]].self, #"{"list":[{"zeta":"","alpha":0},\#(text)]}"#)
    }
    try expectSame([Bool].self, #"[true,0]"#)
    try expectSame([String].self, #"["",0]"#)
    try expectSame([Double].self, #"[1,"1"]"#)
  }

  @Test func manyNumbersAreTheSame() throws {
    var random = SystemRandomNumberGenerator()
    let numbers = (0..<2_000).map { _ in Double(bitPattern: random.next()) }.filter(\.isFinite)
    #expect(try jsonDocument([Double].self, from: jsonText(numbers)) == numbers)
    let whole = (0..<2_000).map { _ in Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64) }
    #expect(try jsonDocument([Int64].self, from: jsonText(whole)) == whole)
    let positive = (0..<2_000).map { _ in random.next() as UInt64 }
    #expect(try jsonDocument([UInt64].self, from: jsonText(positive)) == positive)
  }

  @Test func anExponentThatIsBeyondAllNumbersIsRefused() throws {
    #expect(try jsonDocument([Double].self, from: Array("[0e9,-0E-999,0.000e5]".utf8)) == [0, 0, 0])
    for text in ["[1e-400]", "[0.001e-999]", "[1e400]"] {
      #expect(throws: DecodingError.self, "\(text)") { try jsonDocument([Double].self, from: Array(text.utf8)) }
      #expect(throws: DecodingError.self, "\(text)") { try jsonDocument([Int].self, from: Array(text.utf8)) }
    }
  }

  @Test func aWholeNumberIsExactHoweverItIsWritten() throws {
    let exact: [(String, Int64)] = [
      ("9007199254740993.0", 9_007_199_254_740_993), ("-9223372036854775808.000", .min), ("9.223372036854775807e18", .max), ("12300e-2", 123),
      ("-0.00e99999999999999999999", 0), ("1e0", 1), ("1.50E+1", 15), ("0.5e1", 5), ("0e5", 0),
    ]
    for (text, value) in exact { #expect(try jsonDocument(Int64.self, from: Array(text.utf8)) == value, "\(text)") }
    for text in [
      "9007199254740992.5", "4503599627370496.3", "1e19", "9.2233720368547758071e18", "1e-1", "5e-1", "0.5", "1e99999999999999999999",
      "1e-99999999999999999999",
    ] {
      #expect(throws: DecodingError.self, "\(text)") { try jsonDocument(Int64.self, from: Array(text.utf8)) }
    }
  }

  /// It takes nothing that the other one refuses, and never reads it otherwise.
  @Test func whatIsBrokenIsNeverReadOtherwise() throws {
    let seeds = [
      try jsonText(Document()), Array(#"{"tiny":-12,"list":[1,2],"lists":[[],[3]],"text":"\u00e9\n","inner":{"zeta":"z","alpha":1},"named":{"a":1e3}}"#.utf8),
    ]
    var accepted = 0
    for turn in 0..<8_000 {
      var bytes = seeds[turn % 2]
      for _ in 0..<Int.random(in: 1...3) {
        let place = Int.random(in: 0..<bytes.count)
        switch Int.random(in: 0..<4) {
        case 0: bytes[place] = UInt8.random(in: 0...255)
        case 1: bytes[place] = "{}[],:\"\\0123456789.eE-+tfnu ".utf8.randomElement() ?? 0
        case 2: bytes.remove(at: place)
        default: bytes.insert(bytes[Int.random(in: 0..<bytes.count)], at: place)
        }
      }
      if turn % 2 == 0 {
        accepted += try expectNoOtherReading(Document.self, bytes) ? 1 : 0
      } else {
        accepted += try expectNoOtherReading(Everything.self, bytes) ? 1 : 0
      }
    }
    #expect(accepted > 200)
  }

  private func expectNoOtherReading<Value: Codable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Bool {
    guard let ours = try? jsonDocument(type, from: bytes) else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    guard let theirs = try? JSONDecoder().decode(type, from: Data(bytes)) else {
      // The other one does not know RFC 8259's zero with an exponent.
      if text.contains(/[^0-9.]0[eE]/) { return false }
      Issue.record("only here: \(text)")
      return false
    }
    // The other one reads a whole number with a fraction or an exponent as a rounded one.
    if text.contains(/[0-9]{15,}(\.[0-9]|[eE])/) { return true }
    #expect(try jsonText(ours) == jsonText(theirs), "\(text)")
    return true
  }

  @Test func itIsStricterWhereTheTextCouldBeReadInTwoWays() {
    for text in [#"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "{\"a\":1}\u{0}", "\u{feff}{}", "[[[[1]]]]"] {
      #expect(throws: (any Error).self, "\(text)") { try jsonDocument([String: Int].self, from: Array(text.utf8), maximumDepth: 3) }
    }
    let many = (0..<40).map { #""n\#($0)":\#($0)"# }.joined(separator: ",")
    #expect(throws: (any Error).self) { try jsonDocument([String: Int].self, from: Array("{\(many),\"n39\":1}".utf8)) }
    #expect((try? jsonDocument([String: Int].self, from: Array("{\(many)}".utf8)))?.count == 40)
  }
}
