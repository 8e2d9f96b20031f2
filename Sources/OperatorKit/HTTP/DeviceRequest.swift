internal import NIOCore
internal import NIOHTTP1

/// One request to a device.
public struct DeviceRequest: Sendable, Equatable {
  /// The methods that the API has.
  public enum Method: String, Sendable { case get = "GET", put = "PUT", post = "POST", delete = "DELETE" }

  public let method: Method
  /// Begins with `/v1/`; already percent-encoded.
  public let path: String
  /// JSON, UTF-8.
  public let body: [UInt8]?
  /// Asks for `text/event-stream` instead of JSON.
  public let wantsEvents: Bool

  public init(_ method: Method, _ path: String, body: [UInt8]? = nil, wantsEvents: Bool = false) {
    self.method = method
    self.path = path
    self.body = body
    self.wantsEvents = wantsEvents
  }

  var description: String { "\(method.rawValue) \(path)" }

  /// The head as it is sent to `endpoint`.
  func head(to endpoint: Endpoint) -> HTTPRequestHead {
    var headers = HTTPHeaders()
    headers.add(name: "Host", value: endpoint.authority)
    headers.add(
      name: "Accept", value: wantsEvents ? "text/event-stream, application/problem+json" : "application/json, application/problem+json")
    headers.add(name: "User-Agent", value: "haechi")
    if let body {
      headers.add(name: "Content-Type", value: "application/json")
      headers.add(name: "Content-Length", value: String(body.count))
    } else if method != .get {
      // Else a body of unknown length would be announced.
      headers.add(name: "Content-Length", value: "0")
    }
    return HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: path, headers: headers)
  }
}

/// A device's whole answer.
public struct DeviceResponse: Sendable, Equatable {
  /// The HTTP status code.
  public let status: Int
  /// The media type without its parameters, in lower case; empty where there is none.
  public let mediaType: String
  public let body: [UInt8]

  public init(status: Int, mediaType: String, body: [UInt8]) {
    self.status = status
    self.mediaType = mediaType
    self.body = body
  }
}

/// Puts the parts of one answer together, within limits.
struct ResponseCollector {
  /// The largest answer of the API is a full log ring: 1 MiB is more than any ring of the device holds.
  static let largestBody_bytes = 1024 * 1024

  private(set) var head: HTTPResponseHead?
  private var body: [UInt8] = []

  /// Takes the next part; gives the answer once it is whole.
  ///
  /// - Throws: `answer-too-large`, `bad-answer` when parts come in an order that HTTP does not have.
  mutating func take(_ part: HTTPClientResponsePart) throws(OperatorError) -> DeviceResponse? {
    switch part {
    case .head(let head):
      guard self.head == nil else { throw Self.disorder }
      self.head = head
      // What is announced as too large need not be read first.
      if let length = head.headers.first(name: "content-length"), let length_bytes = Int(length), length_bytes > Self.largestBody_bytes {
        throw Self.tooLarge
      }
      return nil
    case .body(let bytes):
      guard head != nil else { throw Self.disorder }
      guard body.count + bytes.readableBytes <= Self.largestBody_bytes else { throw Self.tooLarge }
      body.append(contentsOf: bytes.readableBytesView)
      return nil
    case .end:
      guard let head else { throw Self.disorder }
      return DeviceResponse(status: Int(head.status.code), mediaType: Self.mediaType(head.headers), body: body)
    }
  }

  /// The media type of an answer without its parameters, in lower case.
  static func mediaType(_ headers: HTTPHeaders) -> String {
    let value = headers.first(name: "content-type") ?? ""
    let type = value.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
    return type.filter { $0 != " " && $0 != "\t" }.lowercased()
  }

  private static var tooLarge: OperatorError {
    OperatorError(
      "answer-too-large",
      "the device's answer is larger than \(largestBody_bytes) bytes, which no answer of this API is; the connection was closed")
  }
  private static var disorder: OperatorError {
    OperatorError("bad-answer", "the device's answer is not HTTP as RFC 9112 has it: its parts come in the wrong order")
  }
}
