/// Where a scan of JSON text stopped, and why.
package struct JSONScanError: Error, Equatable {
  package let code: String
  package let detail: String
  package let field: String?
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

struct JSONScanner {
  let bytes: [UInt8]
  let maximumDepth: Int
  private var index = 0
  private var nodes: [JSONOutline.Node] = []
  /// Each open array or object.
  private var open: [Open] = []

  private struct Open {
    let node: Int
    /// Of an object, nil for an array.
    var names: SeenNames?
  }

  init(bytes: [UInt8], maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  private enum Expectation { case value, valueOrEnd, nameOrEnd, name, commaOrEnd }

  mutating func scan() throws(JSONScanError) -> JSONOutline {
    guard bytes.count <= JSONOutline.text_bytes else { throw failure("The text is too long.") }
    guard bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else { throw failure("The text is not valid UTF-8.") }
    // Rarely more: a value has about eight characters.
    nodes.reserveCapacity(bytes.count / 8 + 4)
    var expectation = Expectation.value
    while true {
      skipSpace()
      switch expectation {
      case .value, .valueOrEnd:
        if expectation == .valueOrEnd, peek() == UInt8(ascii: "]") {
          close()
        } else if let next = try scanValueStart() {
          expectation = next
          continue
        }
      case .nameOrEnd where peek() == UInt8(ascii: "}"): close()
      case .nameOrEnd, .name:
        try scanName()
        expectation = .value
        continue
      case .commaOrEnd:
        guard let isObject = open.last.map({ $0.names != nil }) else { throw failure("Text follows the value.") }
        switch peek() {
        case UInt8(ascii: ","):
          index += 1
          expectation = isObject ? .name : .value
          continue
        case UInt8(ascii: isObject ? "}" : "]"): close()
        default: throw failure("A comma or the end of the \(isObject ? "object" : "array") is missing.")
        }
      }
      // A value is complete here.
      skipSpace()
      if open.isEmpty {
        guard index == bytes.count else { throw failure("Text follows the value.") }
        return JSONOutline(bytes: bytes, nodes: nodes)
      }
      expectation = .commaOrEnd
    }
  }

  private mutating func add(_ kind: JSONOutline.Node.Kind, from start: Int, to end: Int) {
    nodes.append(JSONOutline.Node(kind: kind, start: Int32(start), end: Int32(end), next: Int32(nodes.count + 1)))
  }

  /// At the end of the innermost array or object.
  private mutating func close() {
    index += 1
    guard let closed = open.popLast() else { return }
    nodes[closed.node].end = Int32(index)
    nodes[closed.node].next = Int32(nodes.count)
  }

  /// Reads a scalar and returns nil, or enters an array or object and returns what may come next.
  private mutating func scanValueStart() throws(JSONScanError) -> Expectation? {
    switch peek() {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard open.count < maximumDepth else {
        throw JSONScanError(code: "json-too-deep", detail: "Arrays and objects may nest at most \(maximumDepth) deep.", field: nil)
      }
      let isObject = peek() == UInt8(ascii: "{")
      open.append(Open(node: nodes.count, names: isObject ? SeenNames() : nil))
      add(isObject ? .object : .array, from: index, to: index)
      index += 1
      return isObject ? .nameOrEnd : .valueOrEnd
    case UInt8(ascii: "\""): try scanString()
    case UInt8(ascii: "t"): try scanWord("true", .yes)
    case UInt8(ascii: "f"): try scanWord("false", .no)
    case UInt8(ascii: "n"): try scanWord("null", .null)
    case UInt8(ascii: "-"): try scanNumber()
    case let digit? where (0x30...0x39).contains(digit): try scanNumber()
    case nil: throw failure("The text ends where a value is missing.")
    default: throw failure("A value is missing.")
    }
    return nil
  }

  private mutating func scanName() throws(JSONScanError) {
    guard peek() == UInt8(ascii: "\"") else { throw failure("The name of a member is missing.") }
    let name = try scanName(from: index)
    guard let object = open.indices.last, open[object].names?.insert(name) == true else {
      throw JSONScanError(code: "field-duplicate", detail: "The field \(name) stands twice in one object.", field: name)
    }
    skipSpace()
    guard peek() == UInt8(ascii: ":") else { throw failure("A colon is missing after the name \(name).") }
    index += 1
  }

  private mutating func scanWord(_ word: String, _ kind: JSONOutline.Node.Kind) throws(JSONScanError) {
    let text = word.utf8
    guard bytes[index...].starts(with: text) else { throw failure("A value is missing.") }
    add(kind, from: index, to: index + text.count)
    index += text.count
  }

  /// RFC 8259 section 6.
  private mutating func scanNumber() throws(JSONScanError) {
    let start = index
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
    add(.number, from: start, to: index)
  }

  private mutating func skipDigits() -> Int {
    let start = index
    while let byte = peek(), (0x30...0x39).contains(byte) { index += 1 }
    return index - start
  }

  private mutating func scanString() throws(JSONScanError) {
    index += 1
    let start = index
    var kind = JSONOutline.Node.Kind.string
    while let byte = peek() {
      index += 1
      switch byte {
      case UInt8(ascii: "\""): return add(kind, from: start, to: index - 1)
      case UInt8(ascii: "\\"):
        kind = .escapedString
        _ = try scanEscape()
      case 0..<0x20: throw failure("A string holds a control character.")
      default: break
      }
    }
    throw failure("A string has no end.")
  }

  /// Reads a string and returns it unescaped, so that two spellings of one name count as one (RFC 8259 section 8.3).
  private mutating func scanName(from quote: Int) throws(JSONScanError) -> String {
    try scanString()
    let start = quote + 1
    guard nodes.last?.kind == .escapedString else { return String(decoding: bytes[start..<(index - 1)], as: UTF8.self) }
    return Self.unescaped(bytes, from: start)
  }

  /// What a string says, of a text that was scanned before.
  ///
  /// - Parameter start: after the opening quote.
  static func unescaped(_ bytes: [UInt8], from start: Int) -> String {
    var scanner = JSONScanner(bytes: bytes, maximumDepth: 0)
    scanner.index = start
    var text: [UInt8] = []
    while let byte = scanner.peek(), byte != UInt8(ascii: "\"") {
      scanner.index += 1
      if byte != UInt8(ascii: "\\") {
        text.append(byte)
      } else if let scalar = try? scanner.scanEscape() {
        text += Array(String(scalar).utf8)
      }
    }
    return String(decoding: text, as: UTF8.self)
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

/// The names that an object has so far. Most have few, which a set would only make dear.
private struct SeenNames {
  private static let few = 8
  private var first: [String] = []
  private var all: Set<String> = []

  /// Whether it was not there before.
  mutating func insert(_ name: String) -> Bool {
    guard all.isEmpty else { return all.insert(name).inserted }
    guard !first.contains(name) else { return false }
    first.append(name)
    if first.count > Self.few { all = Set(first) }
    return true
  }
}
