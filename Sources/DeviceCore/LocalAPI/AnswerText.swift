import NIOCore
import NIOHTTP1

/// What a session writes: text of an answer as it goes into TLS.
enum AnswerPart {
  /// More of this answer follows.
  case part(ByteBuffer)
  /// The answer is complete with it, and the next request may come.
  case end(ByteBuffer)
}

// An answer is put together in one buffer, so that its head and body are one write, one record and one system call. What can stand in a head is
// the API's own: nothing of a request is repeated there.

extension Response {
  /// The answer (RFC 9112 section 4).
  ///
  /// - Parameters:
  ///   - closes: no further request is read on this connection.
  ///   - omitsBody: the answer to HEAD has the fields of one with a body and ends after them (RFC 9110 section 9.3.2).
  func text(closes: Bool, omitsBody: Bool, _ allocator: ByteBufferAllocator) -> ByteBuffer {
    var text = allocator.buffer(capacity: 320 + (omitsBody ? 0 : body.count))
    text.writeAnswerHead(status: status, mediaType)
    text.writeStaticString("Content-Length: ")
    text.writeString(String(body.count))
    text.writeStaticString("\r\n")
    for (name, value) in fields { text.writeString("\(name): \(value)\r\n") }
    if closes { text.writeStaticString("Connection: close\r\n") }
    text.writeStaticString("\r\n")
    if !omitsBody { text.writeBytes(body) }
    return text
  }
}

extension ByteBuffer {
  /// The head of a stream's answer. Its length is not known: chunks follow (RFC 9112 section 7.1).
  mutating func writeStreamHead(_ mediaType: MediaType) {
    writeAnswerHead(status: 200, mediaType)
    writeStaticString("Transfer-Encoding: chunked\r\n\r\n")
  }

  /// One chunk that holds `text`, which must not be empty: an empty one is the end.
  mutating func writeChunk(_ text: String) {
    writeString(String(text.utf8.count, radix: 16))
    writeStaticString("\r\n")
    writeString(text)
    writeStaticString("\r\n")
  }

  /// The end of a stream's answer.
  mutating func writeLastChunk() { writeStaticString("0\r\n\r\n") }

  /// The status line, and the fields of every answer. There is no Server field, and no Date: the clock may not be set yet (RFC 9110 section 6.6.1).
  fileprivate mutating func writeAnswerHead(status: Int, _ mediaType: MediaType) {
    if status == 200 {
      writeStaticString("HTTP/1.1 200 OK\r\nContent-Type: ")
    } else {
      writeString("HTTP/1.1 \(status) \(HTTPResponseStatus(statusCode: status).reasonPhrase)\r\nContent-Type: ")
    }
    writeString(mediaType.rawValue)
    writeStaticString(
      "\r\nStrict-Transport-Security: max-age=63072000; includeSubDomains\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n")
  }
}
