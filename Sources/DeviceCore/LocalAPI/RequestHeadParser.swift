/// The fields of a request, in the order in which they came.
struct RequestFields: Equatable {
  struct Field: Equatable {
    /// In lower case: names are compared without regard to it (RFC 9110 section 5.1).
    let name: String
    let value: String
  }
  private(set) var all: [Field] = []

  mutating func add(name: String, value: String) { all.append(Field(name: name, value: value)) }

  /// The values of the fields of this name, which is in lower case.
  subscript(name: String) -> [String] {
    var values: [String] = []
    for field in all where field.name == name { values.append(field.value) }
    return values
  }
}

/// A request head that passed every check.
struct RequestHead: Equatable {
  let method: String
  /// Origin form, starts with `/`.
  let target: String
  let fields: RequestFields
  /// The length of the body that follows; 0 where there is none.
  let bodyLength_bytes: Int
  /// The client wants no further request on this connection.
  let closes: Bool
  /// The client waits for `100 (Continue)` before it sends the body.
  let expectsContinue: Bool
}

// The parser is this strict so that there is one reading only of every head: whatever RFC 9112 lets a recipient repair (bare LF, obs-fold,
// absolute form, repeated lengths, transfer codings) is refused. NIOHTTP1's decoder repairs or passes on some of these, parses before a
// limit can be set, and stops at an Upgrade field; the tests hold that both read the same from every head that is accepted here.

/// Reads one request head (RFC 9112 sections 3 to 6): total, whatever the bytes are.
///
/// - Parameter bytes: from the first byte of the request line to the last of the empty line, CR LF CR LF included.
func parseRequestHead(_ bytes: [UInt8], limits: APILimits) -> Result<RequestHead, Problem> {
  do {
    var parser = RequestHeadParser(bytes: bytes, limits: limits)
    return .success(try parser.head())
  } catch {
    return .failure(error)
  }
}

private struct RequestHeadParser {
  /// Names of fields are put into lower case here.
  private var bytes: [UInt8]
  private let limits: APILimits

  init(bytes: [UInt8], limits: APILimits) {
    self.bytes = bytes
    self.limits = limits
  }

  mutating func head() throws(Problem) -> RequestHead {
    let lines = try splitLines()
    guard let requestLine = lines.first else { throw .malformed("The request line is missing.") }
    let (method, target) = try parseRequestLine(requestLine)
    guard lines.count - 1 <= limits.fieldMaximumCount else {
      throw .headTooLarge("A request may have at most \(limits.fieldMaximumCount) fields.")
    }
    var fields = RequestFields()
    for line in lines.dropFirst() {
      let (name, value) = try parseField(line)
      fields.add(name: name, value: value)
    }
    try checkHost(fields["host"])
    let closes = try connectionCloses(fields["connection"])
    return RequestHead(
      method: method, target: target, fields: fields, bodyLength_bytes: try bodyLength(fields), closes: closes,
      expectsContinue: try expectsContinue(fields["expect"]))
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// Lines end in CR LF and nothing else; the last is empty and not returned.
  private func splitLines() throws(Problem) -> [Range<Int>] {
    var lines: [Range<Int>] = []
    lines.reserveCapacity(12)
    var start = 0
    var index = 0
    while index < bytes.count {
      switch bytes[index] {
      case 0x0d:
        guard index + 1 < bytes.count, bytes[index + 1] == 0x0a else { throw .malformed("A CR stands without its LF.") }
        lines.append(start..<index)
        index += 2
        start = index
      case 0x0a: throw .malformed("A line ends in a bare LF.")
      default: index += 1
      }
    }
    guard start == bytes.count, let last = lines.popLast(), last.isEmpty else { throw .malformed("The head has no end.") }
    guard !lines.contains(where: \.isEmpty) else { throw .malformed("An empty line stands before the end of the head.") }
    return lines
  }

  private func parseRequestLine(_ line: Range<Int>) throws(Problem) -> (String, String) {
    let words = "The request line is not: method, one space, target, one space, version."
    guard let first = line.first(where: { bytes[$0] == 0x20 }), let last = line.last(where: { bytes[$0] == 0x20 }), first < last else {
      throw .malformed(words)
    }
    let (method, target, version) = (line.lowerBound..<first, (first + 1)..<last, (last + 1)..<line.upperBound)
    guard !target.contains(where: { bytes[$0] == 0x20 }) else { throw .malformed(words) }
    guard (1...16).contains(method.count), method.allSatisfy({ (0x41...0x5a).contains(bytes[$0]) }) else {
      throw .malformed("The method is not one to 16 upper-case letters.")
    }
    guard bytes[version].elementsEqual("HTTP/1.1".utf8) else { throw .malformed("Only HTTP/1.1 is served here.") }
    guard target.count <= limits.targetMaximum_bytes else { throw .targetTooLong(limits.targetMaximum_bytes) }
    guard !target.isEmpty, bytes[target.lowerBound] == UInt8(ascii: "/"), target.allSatisfy({ ByteSet.target.contains(bytes[$0]) }) else {
      throw .malformed("The request target is not in origin form: a path that starts with / and, at most, a query (RFC 9112 section 3.2.1).")
    }
    return (text(method), text(target))
  }

  private mutating func parseField(_ line: Range<Int>) throws(Problem) -> (String, String) {
    guard let colon = line.first(where: { bytes[$0] == UInt8(ascii: ":") }) else { throw .malformed("A field has no colon.") }
    let name = line.lowerBound..<colon
    // A space before the colon and a line that starts with one (obs-fold) both fail here, as RFC 9112 sections 5.1 and 5.2 ask.
    guard !name.isEmpty, name.allSatisfy({ ByteSet.token.contains(bytes[$0]) }) else { throw .malformed("A field name is not a token.") }
    for index in name where (0x41...0x5a).contains(bytes[index]) { bytes[index] |= 0x20 }
    var value = (colon + 1)..<line.upperBound
    while let first = value.first, ByteSet.blank.contains(bytes[first]) { value = (first + 1)..<value.upperBound }
    while let last = value.last, ByteSet.blank.contains(bytes[last]) { value = value.lowerBound..<last }
    guard value.allSatisfy({ (0x20...0x7e).contains(bytes[$0]) || bytes[$0] == 0x09 }) else {
      throw .malformed("The field \(text(name)) holds a byte that is not printable ASCII.")
    }
    return (text(name), text(value))
  }

  private func checkHost(_ values: [String]) throws(Problem) {
    guard values.count == 1, let host = values.first, (1...261).contains(host.utf8.count), host.utf8.allSatisfy(ByteSet.host.contains) else {
      throw .malformed("A request has exactly one Host field, with a host and perhaps a port (RFC 9112 section 3.2).")
    }
  }

  private func bodyLength(_ fields: RequestFields) throws(Problem) -> Int {
    let lengths = fields["content-length"]
    if !fields["transfer-encoding"].isEmpty {
      guard lengths.isEmpty else { throw .malformed("Content-Length and Transfer-Encoding stand side by side (RFC 9112 section 6.1).") }
      throw .lengthRequired
    }
    guard let text = lengths.first else { return 0 }
    guard lengths.count == 1 else { throw .malformed("There is more than one Content-Length.") }
    guard (1...19).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      throw .malformed("Content-Length is not a decimal number.")
    }
    guard let length = Int(text), length <= limits.bodyMaximum_bytes else { throw .bodyTooLarge(limits.bodyMaximum_bytes) }
    return length
  }

  private func connectionCloses(_ values: [String]) throws(Problem) -> Bool {
    let options = values.flatMap { $0.split(separator: ",") }.map { trimmed($0).lowercased() }
    // These decide the framing and the routing: no client may declare them hop-by-hop.
    for option in options where ["host", "content-length", "content-type", "transfer-encoding"].contains(option) {
      throw .malformed("Connection names the field \(option).")
    }
    return options.contains("close")
  }

  private func expectsContinue(_ values: [String]) throws(Problem) -> Bool {
    guard let expectation = values.first else { return false }
    guard values.count == 1, expectation.lowercased() == "100-continue" else { throw .expectationFailed }
    return true
  }
}

/// A set of ASCII characters.
private struct ByteSet {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  private init(_ bytes: some Sequence<UInt8>) {
    for byte in bytes {
      if byte < 64 { low |= 1 << byte } else if byte < 128 { high |= 1 << (byte - 64) }
    }
  }

  func contains(_ byte: UInt8) -> Bool {
    byte < 64 ? low >> byte & 1 == 1 : byte < 128 && high >> (byte - 64) & 1 == 1
  }

  private static let alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
  /// RFC 3986 section 3.3 and 3.4: unreserved, sub-delims, `:` `@` `/` `?` and `%`.
  static let target = ByteSet((alphanumeric + "-._~!$&'()*+,;=:@/?%").utf8)
  /// RFC 9110 section 5.6.2.
  static let token = ByteSet((alphanumeric + "!#$%&'*+-.^_`|~").utf8)
  /// A registered name, an address, or an IPv6 address in brackets, and a port.
  static let host = ByteSet((alphanumeric + "-._~:[]").utf8)
  static let blank = ByteSet([0x20, 0x09])
}

/// Without spaces and tabs at either end.
func trimmed(_ text: some StringProtocol) -> String {
  var view = Substring(text)
  while let first = view.utf8.first, first == 0x20 || first == 0x09 { view = view.dropFirst() }
  while let last = view.utf8.last, last == 0x20 || last == 0x09 { view = view.dropLast() }
  return String(view)
}
