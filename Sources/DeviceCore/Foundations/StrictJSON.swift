/// Where a scan of JSON text stopped, and why.
package struct JSONScanError: Error, Equatable {
  package let code: String
  package let detail: String
  package let field: String?
}

/// What a decoder does not tell: the members of the outermost object, after a check of the whole text.
package struct JSONOutline: Equatable {
  /// The member names of the outermost object, in their order; nil where the outermost value is no object.
  package let memberNames: [String]?
}

/// Checks JSON text (RFC 8259) more strictly than a decoder does: valid UTF-8, no byte order mark, no nesting beyond `maximumDepth`, no name
/// twice in one object (RFC 8259 section 4 leaves its meaning open), no unpaired surrogates, nothing after the value.
///
/// Total: every byte sequence gives an outline or an error, in one pass and without recursion.
package func scanJSON(_ bytes: [UInt8], maximumDepth: Int) -> Result<JSONOutline, JSONScanError> {
  do {
    var scanner = JSONScanner(bytes: bytes, maximumDepth: maximumDepth)
    return .success(try scanner.scan())
  } catch {
    return .failure(error)
  }
}

private struct JSONScanner {
  let bytes: [UInt8]
  let maximumDepth: Int
  private var index = 0
  /// One entry for each open array (nil) or object (the names seen in it).
  private var open: [Set<String>?] = []
  private var outermostNames: [String]?

  init(bytes: [UInt8], maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  private enum Expectation { case value, valueOrEnd, nameOrEnd, name, commaOrEnd }

  mutating func scan() throws(JSONScanError) -> JSONOutline {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw failure("The text is not valid UTF-8.") }
    var expectation = Expectation.value
    while true {
      skipSpace()
      switch expectation {
      case .value, .valueOrEnd:
        if expectation == .valueOrEnd, peek() == UInt8(ascii: "]") {
          index += 1
          open.removeLast()
        } else if let next = try scanValueStart() {
          expectation = next
          continue
        }
      case .nameOrEnd where peek() == UInt8(ascii: "}"):
        index += 1
        open.removeLast()
      case .nameOrEnd, .name:
        try scanName()
        expectation = .value
        continue
      case .commaOrEnd:
        guard let isObject = open.last.map({ $0 != nil }) else { throw failure("Text follows the value.") }
        switch peek() {
        case UInt8(ascii: ","):
          index += 1
          expectation = isObject ? .name : .value
          continue
        case UInt8(ascii: isObject ? "}" : "]"):
          index += 1
          open.removeLast()
        default: throw failure("A comma or the end of the \(isObject ? "object" : "array") is missing.")
        }
      }
      // A value is complete here.
      skipSpace()
      if open.isEmpty {
        guard index == bytes.count else { throw failure("Text follows the value.") }
        return JSONOutline(memberNames: outermostNames)
      }
      expectation = .commaOrEnd
    }
  }

  /// Reads a scalar and returns nil, or enters an array or object and returns what may come next.
  private mutating func scanValueStart() throws(JSONScanError) -> Expectation? {
    switch peek() {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard open.count < maximumDepth else {
        throw JSONScanError(code: "json-too-deep", detail: "Arrays and objects may nest at most \(maximumDepth) deep.", field: nil)
      }
      let isObject = peek() == UInt8(ascii: "{")
      if isObject && open.isEmpty { outermostNames = [] }
      open.append(isObject ? .some([]) : .none)
      index += 1
      return isObject ? .nameOrEnd : .valueOrEnd
    case UInt8(ascii: "\""): _ = try scanString()
    case UInt8(ascii: "t"): try scanWord("true")
    case UInt8(ascii: "f"): try scanWord("false")
    case UInt8(ascii: "n"): try scanWord("null")
    case UInt8(ascii: "-"): try scanNumber()
    case let digit? where (0x30...0x39).contains(digit): try scanNumber()
    case nil: throw failure("The text ends where a value is missing.")
    default: throw failure("A value is missing.")
    }
    return nil
  }

  private mutating func scanName() throws(JSONScanError) {
    guard peek() == UInt8(ascii: "\"") else { throw failure("The name of a member is missing.") }
    let name = try scanString()
    guard var names = open.removeLast() else { throw failure("A member stands outside an object.") }
    guard names.insert(name).inserted else {
      throw JSONScanError(code: "field-duplicate", detail: "The field \(name) stands twice in one object.", field: name)
    }
    open.append(names)
    if open.count == 1 { outermostNames?.append(name) }
    skipSpace()
    guard peek() == UInt8(ascii: ":") else { throw failure("A colon is missing after the name \(name).") }
    index += 1
  }

  private mutating func scanWord(_ word: StaticString) throws(JSONScanError) {
    let text = word.description.utf8
    guard bytes[index...].starts(with: text) else { throw failure("A value is missing.") }
    index += text.count
  }

  /// RFC 8259 section 6.
  private mutating func scanNumber() throws(JSONScanError) {
    if peek() == UInt8(ascii: "-") { index += 1 }
    let leadingZero = peek() == UInt8(ascii: "0")
    let digits = skipDigits()
    guard digits > 0, !(leadingZero && digits > 1) else { throw failure("A number is malformed.") }
    if peek() == UInt8(ascii: ".") {
      index += 1
      guard skipDigits() > 0 else { throw failure("A number is malformed.") }
    }
    if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
      index += 1
      if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { index += 1 }
      guard skipDigits() > 0 else { throw failure("A number is malformed.") }
    }
  }

  private mutating func skipDigits() -> Int {
    let start = index
    while let byte = peek(), (0x30...0x39).contains(byte) { index += 1 }
    return index - start
  }

  /// Reads a string and returns it unescaped, so that two spellings of one name count as one (RFC 8259 section 8.3).
  private mutating func scanString() throws(JSONScanError) -> String {
    index += 1
    var text: [UInt8] = []
    while let byte = peek() {
      index += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text += Array(String(try scanEscape()).utf8)
      case 0..<0x20: throw failure("A string holds a control character.")
      default: text.append(byte)
      }
    }
    throw failure("A string has no end.")
  }

  private mutating func scanEscape() throws(JSONScanError) -> Unicode.Scalar {
    let letter = peek()
    index += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter ?? 0)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try scanFourDigits()
      guard (0xd800...0xdbff).contains(first) else {
        guard let scalar = Unicode.Scalar(first) else { throw failure("A string holds half of a surrogate pair.") }
        return scalar
      }
      guard peek() == UInt8(ascii: "\\"), index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "u") else {
        throw failure("A string holds half of a surrogate pair.")
      }
      index += 2
      let second = try scanFourDigits()
      guard (0xdc00...0xdfff).contains(second), let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) else {
        throw failure("A string holds half of a surrogate pair.")
      }
      return scalar
    default: throw failure("A string holds an unknown escape.")
    }
  }

  private mutating func scanFourDigits() throws(JSONScanError) -> UInt32 {
    guard index + 4 <= bytes.count,
      bytes[index..<(index + 4)].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 0x80 }),
      let value = UInt32(String(decoding: bytes[index..<(index + 4)], as: UTF8.self), radix: 16)
    else { throw failure("A string holds an unknown escape.") }
    index += 4
    return value
  }

  private func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { index += 1 }
  }

  private func failure(_ detail: String) -> JSONScanError {
    JSONScanError(code: "json-invalid", detail: "\(detail) (at byte \(min(index, bytes.count)))", field: nil)
  }
}
