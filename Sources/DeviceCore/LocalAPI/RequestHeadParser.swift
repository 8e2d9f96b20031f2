import NIOHTTP1

/// A request head that passed every check.
struct RequestHead: Equatable {
  let method: String
  /// Origin form, starts with `/`.
  let target: String
  let fields: HTTPHeaders
  /// The length of the body that follows; 0 where there is none.
  let bodyLength_bytes: Int
  /// The client wants no further request on this connection.
  let closes: Bool
  /// The client waits for `100 (Continue)` before it sends the body.
  let expectsContinue: Bool

  static func == (a: RequestHead, b: RequestHead) -> Bool {
    a.method == b.method && a.target == b.target && a.bodyLength_bytes == b.bodyLength_bytes && a.closes == b.closes
      && a.expectsContinue == b.expectsContinue && a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }
}

// The parser is this strict so that there is one reading only of every head: whatever RFC 9112 lets a recipient repair (bare LF, obs-fold,
// absolute form, repeated lengths, transfer codings) is refused. NIOHTTP1's decoder repairs or passes on some of these, parses before a
// limit can be set, and stops at an Upgrade field; the tests hold that both read the same from every head that is accepted here.

/// Reads one request head (RFC 9112 sections 3 to 6): total, whatever the bytes are.
///
/// - Parameter bytes: from the first byte of the request line to the last of the empty line, CR LF CR LF included.
func parseRequestHead(_ bytes: [UInt8], limits: APILimits) -> Result<RequestHead, Problem> {
  do {
    return .success(try RequestHeadParser(bytes: bytes, limits: limits).head())
  } catch {
    return .failure(error)
  }
}

private struct RequestHeadParser {
  let bytes: [UInt8]
  let limits: APILimits

  func head() throws(Problem) -> RequestHead {
    let lines = try splitLines()
    guard let requestLine = lines.first else { throw .malformed("The request line is missing.") }
    let (method, target) = try parseRequestLine(requestLine)
    guard lines.count - 1 <= limits.fieldMaximumCount else {
      throw .headTooLarge("A request may have at most \(limits.fieldMaximumCount) fields.")
    }
    var fields = HTTPHeaders()
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

  /// Lines end in CR LF and nothing else; the last is empty and not returned.
  private func splitLines() throws(Problem) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    var index = 0
    while index < bytes.count {
      switch bytes[index] {
      case 0x0d:
        guard index + 1 < bytes.count, bytes[index + 1] == 0x0a else { throw .malformed("A CR stands without its LF.") }
        lines.append(bytes[start..<index])
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

  private func parseRequestLine(_ line: ArraySlice<UInt8>) throws(Problem) -> (String, String) {
    let words = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard words.count == 3 else { throw .malformed("The request line is not: method, one space, target, one space, version.") }
    let (method, target, version) = (words[0], words[1], words[2])
    guard (1...16).contains(method.count), method.allSatisfy({ (0x41...0x5a).contains($0) }) else {
      throw .malformed("The method is not one to 16 upper-case letters.")
    }
    guard version.elementsEqual("HTTP/1.1".utf8) else { throw .malformed("Only HTTP/1.1 is served here.") }
    guard target.count <= limits.targetMaximum_bytes else { throw .targetTooLong(limits.targetMaximum_bytes) }
    guard target.first == UInt8(ascii: "/"), target.allSatisfy(isTargetByte) else {
      throw .malformed("The request target is not in origin form: a path that starts with / and, at most, a query (RFC 9112 section 3.2.1).")
    }
    return (String(decoding: method, as: UTF8.self), String(decoding: target, as: UTF8.self))
  }

  private func parseField(_ line: ArraySlice<UInt8>) throws(Problem) -> (String, String) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw .malformed("A field has no colon.") }
    let name = line[..<colon]
    // A space before the colon and a line that starts with one (obs-fold) both fail here, as RFC 9112 sections 5.1 and 5.2 ask.
    guard !name.isEmpty, name.allSatisfy(isTokenByte) else { throw .malformed("A field name is not a token.") }
    var value = line[(colon + 1)...]
    while let first = value.first, first == 0x20 || first == 0x09 { value = value.dropFirst() }
    while let last = value.last, last == 0x20 || last == 0x09 { value = value.dropLast() }
    guard value.allSatisfy({ (0x20...0x7e).contains($0) || $0 == 0x09 }) else {
      throw .malformed("The field \(String(decoding: name, as: UTF8.self)) holds a byte that is not printable ASCII.")
    }
    return (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
  }

  private func checkHost(_ values: [String]) throws(Problem) {
    guard values.count == 1, let host = values.first, (1...261).contains(host.utf8.count), host.utf8.allSatisfy(isHostByte) else {
      throw .malformed("A request has exactly one Host field, with a host and perhaps a port (RFC 9112 section 3.2).")
    }
  }

  private func bodyLength(_ fields: HTTPHeaders) throws(Problem) -> Int {
    let lengths = fields["content-length"]
    if fields.contains(name: "transfer-encoding") {
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

  /// RFC 3986 section 3.3 and 3.4: unreserved, sub-delims, `:` `@` `/` `?` and `%`.
  private func isTargetByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "-._~!$&'()*+,;=:@/?%".utf8.contains(byte)
    }
  }

  /// RFC 9110 section 5.6.2.
  private func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }

  /// A registered name, an address, or an IPv6 address in brackets, and a port.
  private func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "-._~:[]".utf8.contains(byte)
    }
  }
}

/// Without spaces and tabs at either end.
func trimmed(_ text: some StringProtocol) -> String {
  var view = Substring(text)
  while let first = view.utf8.first, first == 0x20 || first == 0x09 { view = view.dropFirst() }
  while let last = view.utf8.last, last == 0x20 || last == 0x09 { view = view.dropLast() }
  return String(view)
}
