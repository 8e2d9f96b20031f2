/// One event of a `text/event-stream` (WHATWG HTML 9.2).
public struct ServerSentEvent: Equatable, Sendable {
  /// The event's type; `message` where the stream names none.
  public var name: String
  /// The data lines, joined by line feeds.
  public var data: String
  /// The last `id` that the stream has named, empty before the first.
  public var id: String

  public init(name: String, data: String, id: String = "") {
    self.name = name
    self.data = data
    self.id = id
  }
}

/// Reads a `text/event-stream` as it arrives, in pieces of any size.
///
/// Total and bounded: any bytes give events, or one error after which the stream is given up. Broken UTF-8 becomes U+FFFD, as the standard says.
public struct ServerSentEventParser: Sendable {
  /// The most bytes of one line. A reading is about 120 bytes and a log line at most a few hundred: 64 KiB is generous.
  public static let longestLine_bytes = 64 * 1024
  /// The most bytes of data of one event, over all its lines.
  public static let largestEvent_bytes = 256 * 1024

  private var line: [UInt8] = []
  private var afterCarriageReturn = false
  private var atStart = true
  private var name = ""
  private var data: [UInt8] = []
  private var hasData = false
  private var id = ""

  public init() {}

  /// Takes the next bytes of the stream; gives the events that they complete, in order.
  ///
  /// - Throws: `answer-too-large` when a line or an event passes its limit; the parser must not be used after that.
  public mutating func take(_ bytes: some Sequence<UInt8>) throws(OperatorError) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for byte in bytes {
      // A line ends with CR, LF or CR LF: the LF of a CR LF, which may come in the next piece, ends nothing more.
      if byte == 0x0a {
        if afterCarriageReturn {
          afterCarriageReturn = false
        } else if let event = try endLine() {
          events.append(event)
        }
      } else {
        afterCarriageReturn = byte == 0x0d
        if byte == 0x0d {
          if let event = try endLine() { events.append(event) }
        } else {
          guard line.count < Self.longestLine_bytes else {
            throw OperatorError(
              "answer-too-large", "the device sent an event line longer than \(Self.longestLine_bytes) bytes; the stream was closed")
          }
          line.append(byte)
        }
      }
    }
    return events
  }

  private mutating func endLine() throws(OperatorError) -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    var text = line[...]
    if atStart {
      atStart = false
      // One byte order mark may lead the stream.
      if text.starts(with: [0xef, 0xbb, 0xbf]) { text = text.dropFirst(3) }
    }
    guard !text.isEmpty else { return dispatch() }
    let colon = text.firstIndex(of: UInt8(ascii: ":"))
    let field = text[..<(colon ?? text.endIndex)]
    var value = colon.map { text[text.index(after: $0)...] } ?? []
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    switch String(decoding: field, as: UTF8.self) {
    case "event": name = String(decoding: value, as: UTF8.self)
    case "data":
      guard data.count + value.count < Self.largestEvent_bytes else {
        throw OperatorError(
          "answer-too-large", "the device sent an event larger than \(Self.largestEvent_bytes) bytes; the stream was closed")
      }
      if hasData { data.append(0x0a) }
      data.append(contentsOf: value)
      hasData = true
    case "id":
      // The standard ignores an id that holds NUL.
      if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
    default: break  // Comments (an empty field name), `retry`, and what a later version may add.
    }
    return nil
  }

  private mutating func dispatch() -> ServerSentEvent? {
    defer {
      name = ""
      data.removeAll(keepingCapacity: true)
      hasData = false
    }
    guard hasData else { return nil }
    return ServerSentEvent(name: name.isEmpty ? "message" : name, data: String(decoding: data, as: UTF8.self), id: id)
  }
}
