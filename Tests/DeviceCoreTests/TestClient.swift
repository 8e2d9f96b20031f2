import Crypto
import Foundations
import Identity
import NIOCore
import NIOPosix
import Synchronization
import TLS

/// A client's certificate and key.
struct ClientCredentials {
  var chain: [Certificate] = []
  var key: PrivateKey?
}

/// One TLS connection that speaks HTTP/1.1 the simple way.
final class TestClient: Sendable {
  struct Answer {
    let status: Int
    let head: String
    let body: String
  }
  private struct State {
    var bytes: [UInt8] = []
    var handshake: TLSHandshakeCompleted?
    var error: (any Error)?
    var isClosed = false
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let client: TestClient
    init(client: TestClient) { self.client = client }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = unwrapInboundIn(data).readableBytesView
      client.state.withLock { $0.bytes += bytes }
    }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if let handshake = event as? TLSHandshakeCompleted { client.state.withLock { $0.handshake = handshake } }
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { client.state.withLock { $0.error = $0.error ?? error } }
    func channelInactive(context: ChannelHandlerContext) { client.state.withLock { $0.isClosed = true } }
  }

  private let state = Mutex(State())
  private let channelBox = Mutex<(any Channel)?>(nil)

  /// Connects; the handshake goes on by itself.
  static func connect(port: Int, _ credentials: ClientCredentials, trust: ServerTrust, context: TLSClientContext? = nil) async throws -> TestClient {
    let client = TestClient()
    let tls = try context ?? TLSClientContext(chain: credentials.chain, key: credentials.key, trust: trust, clock: testClock)
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(client: tls, handshakeDeadline: .seconds(120)), Collector(client: client)])
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    client.channelBox.withLock { $0 = channel }
    return client
  }

  var handshake: TLSHandshakeCompleted? { state.withLock { $0.handshake } }
  var error: TLSError? { state.withLock { $0.error as? TLSError } }
  var isClosed: Bool { state.withLock { $0.isClosed } }
  var text: String { state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }

  /// What TLS exports for this connection.
  func binding() async throws -> [UInt8] {
    guard let channel = channelBox.withLock({ $0 }) else { return [] }
    return try await channel.eventLoop.submit {
      try channel.pipeline.syncOperations.handler(type: TLSHandler.self).channelBinding(label: LabelProof.exporterLabel)
    }.get()
  }

  func close() async { try? await channelBox.withLock { $0 }?.close().get() }

  func send(_ text: String) async throws {
    guard let channel = channelBox.withLock({ $0 }) else { return }
    try await channel.writeAndFlush(ByteBuffer(string: text)).get()
  }

  /// Sends a request and takes its answer.
  func ask(_ method: String, _ target: String, _ fields: String = "", body: String? = nil) async throws -> Answer {
    let bodyFields = body.map { "Content-Type: application/json\r\nContent-Length: \($0.utf8.count)\r\n" } ?? ""
    try await send("\(method) \(target) HTTP/1.1\r\nHost: haechi\r\n\(fields)\(bodyFields)\r\n\(body ?? "")")
    for _ in 0..<24_000 {
      if let answer = takeAnswer() { return answer }
      if isClosed { break }
      try await Task.sleep(for: .milliseconds(5))
    }
    if let answer = takeAnswer() { return answer }
    throw TLSError(code: "no-answer", reason: "no answer to \(method) \(target); \(String(describing: error))", side: .local)
  }

  private func takeAnswer() -> Answer? {
    state.withLock { state in
      guard let end = state.bytes.indices.first(where: { state.bytes[$0...].starts(with: "\r\n\r\n".utf8) }) else { return nil }
      let head = String(decoding: state.bytes[..<end], as: UTF8.self)
      let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }.flatMap { line in
        Int(line.drop { $0 != ":" }.dropFirst().drop { $0 == " " })
      }
      guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }), state.bytes.count >= end + 4 + (length ?? 0) else { return nil }
      let body = String(decoding: state.bytes[(end + 4)..<(end + 4 + (length ?? 0))], as: UTF8.self)
      state.bytes.removeFirst(end + 4 + (length ?? 0))
      return Answer(status: status, head: head, body: body)
    }
  }
}

/// The string member `name` of a flat JSON text, unescaped as far as PEM needs it.
func member(_ name: String, of json: String) -> String? {
  guard let start = json.ranges(of: "\"\(name)\":\"").first?.upperBound else { return nil }
  return String(json[start...].prefix { $0 != "\"" }).replacing("\\n", with: "\n")
}

/// `text` as a JSON string.
func quoted(_ text: String) -> String { "\"" + text.replacing("\n", with: "\\n") + "\"" }
