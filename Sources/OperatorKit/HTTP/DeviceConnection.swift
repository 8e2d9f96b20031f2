internal import Crypto
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import TLS

/// One connection to a device, for one task: requests go one after the other, as the API wants it.
public final class DeviceConnection {
  /// How long each step may take, in seconds.
  public struct Deadlines: Sendable {
    /// Name resolution and TCP. The kernel alone would try for two minutes.
    public var connect_s: Int64 = 10
    /// The handshake: the device gives 10 s itself; a slow board's key operations are far below a second.
    public var handshake_s: Int64 = 15
    /// One whole answer.
    public var answer_s: Int64 = 30
    /// Silence of an event stream: the device sends a comment every 15 s, so three of them are missing.
    public var silence_s: Int64 = 50

    public init() {}
  }

  /// Where it goes.
  public let endpoint: Endpoint
  /// The device's certificate, as the handshake accepted it.
  private(set) var peer: Certificate?
  private let security: ConnectionSecurity
  private var inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
  private var writeFailure: (any Error)?
  private let outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
  private let channel: any Channel
  private let watch: ConnectionWatch
  private let deadlines: Deadlines

  private init(
    endpoint: Endpoint, security: ConnectionSecurity, inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator,
    outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>, channel: any Channel, watch: ConnectionWatch, deadlines: Deadlines
  ) {
    self.endpoint = endpoint
    self.security = security
    self.inbound = inbound
    self.outbound = outbound
    self.channel = channel
    self.watch = watch
    self.deadlines = deadlines
  }

  /// Connects, runs `body` with the connection, and closes it.
  ///
  /// - Parameter security: what protects it, and who is expected at the other end.
  /// - Throws: `unreachable`, `silent`, `tls-refused`, `tls-failed`, `wrong-device` and their kin, and what `body` throws.
  public static func with<Value: Sendable>(
    _ endpoint: Endpoint, security: ConnectionSecurity, deadlines: Deadlines = Deadlines(),
    _ body: (DeviceConnection) async throws(OperatorError) -> Value
  ) async throws(OperatorError) -> Value {
    let opened: (NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>, ConnectionWatch)
    do {
      opened = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connectTimeout(.seconds(deadlines.connect_s))
        .connect(host: endpoint.host, port: endpoint.port) { channel in
          channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let watch = ConnectionWatch(channel: channel, isPlain: security.isPlain)
            try security.install(channel)
            try pipeline.addHandler(watch)
            try pipeline.addHTTPClientHandlers()
            return (try NIOAsyncChannel(wrappingChannelSynchronously: channel), watch)
          }
        }
    } catch {
      throw unreachable(endpoint, error)
    }
    let (channel, watch) = opened
    var answer: Result<Value, OperatorError>?
    do {
      try await channel.executeThenClose { inbound, outbound in
        let connection = DeviceConnection(
          endpoint: endpoint, security: security, inbound: inbound.makeAsyncIterator(), outbound: outbound, channel: channel.channel,
          watch: watch,
          deadlines: deadlines)
        do throws(OperatorError) {
          try await connection.waitForHandshake()
          answer = .success(try await body(connection))
        } catch {
          answer = .failure(error)
        }
      }
    } catch {
      // Only closing can fail here; an answer that is whole, or an error that came first, stands.
      if let answer { return try answer.get() }
      throw OperatorError("connection-lost", "the connection to \(endpoint) ended before its work was done", cause: error)
    }
    guard let answer else { throw OperatorError("connection-lost", "the connection to \(endpoint) ended before its work was done") }
    return try answer.get()
  }

  /// 32 bytes that name this connection and no other at both of its ends; see `TLSHandler.channelBinding`.
  ///
  /// - Throws: `tls-failed` on a connection without TLS.
  func binding(label: String) async throws(OperatorError) -> [UInt8] {
    let channel = channel
    do {
      return try await channel.eventLoop.submit {
        try channel.pipeline.syncOperations.handler(type: TLSHandler.self).channelBinding(label: label)
      }.get()
    } catch {
      throw OperatorError("tls-failed", "the connection to \(endpoint) cannot be named, so nothing can be proved over it", cause: error)
    }
  }

  private func waitForHandshake() async throws(OperatorError) {
    watch.arm(
      channel, limit_s: deadlines.handshake_s,
      OperatorError(
        "silent",
        "\(endpoint) accepted the connection and then said nothing for \(deadlines.handshake_s) s: it is no Haechi device, or it is overloaded"
      ))
    do {
      peer = try await watch.handshake.get()
    } catch {
      throw security.explain(watch.failure ?? error, endpoint)
    }
    watch.disarm(channel)
  }

  /// Sends `request` and reads the whole answer, whatever its status.
  ///
  /// - Throws: `silent`, `connection-lost`, `tls-refused`, `bad-answer`, `answer-too-large`.
  public func exchange(_ request: DeviceRequest) async throws(OperatorError) -> DeviceResponse {
    watch.arm(
      channel, limit_s: deadlines.answer_s,
      OperatorError("silent", "\(endpoint) did not answer \(request.description) within \(deadlines.answer_s) s"))
    defer { watch.disarm(channel) }
    await send(request)
    var collector = ResponseCollector()
    while true {
      if let answer = try collector.take(try await nextPart(request)) { return answer }
    }
  }

  /// Sends `request` and gives each event to `each` as it comes, until `each` gives false or the device ends the stream.
  ///
  /// - Throws: as `exchange`; `refused-by-device` when the answer is no event stream.
  public func events(_ request: DeviceRequest, each: (ServerSentEvent) async throws(OperatorError) -> Bool) async throws(OperatorError) {
    watch.arm(
      channel, limit_s: deadlines.answer_s,
      OperatorError("silent", "\(endpoint) did not answer \(request.description) within \(deadlines.answer_s) s"))
    defer { watch.disarm(channel) }
    await send(request)
    let fellSilent = OperatorError(
      "silent", "\(endpoint) sent nothing for \(deadlines.silence_s) s on \(request.description): the device or the network is gone")
    var parser = ServerSentEventParser()
    var collector = ResponseCollector()
    var isStream = false
    while true {
      let part = try await nextPart(request)
      if isStream {
        switch part {
        case .body(let bytes):
          watch.arm(channel, limit_s: deadlines.silence_s, fellSilent)
          for event in try parser.take(bytes.readableBytesView) {
            guard try await each(event) else { return }
          }
        case .head, .end: return
        }
      } else if case .head(let head) = part, head.status == .ok, ResponseCollector.mediaType(head.headers) == "text/event-stream" {
        isStream = true
        watch.arm(channel, limit_s: deadlines.silence_s, fellSilent)
      } else if let answer = try collector.take(part) {
        throw refusal(answer, of: request, by: endpoint)
      }
    }
  }

  /// Writes `request`. A device may answer and close before it has read everything (RFC 9112 section 9.6): what a failed write means is
  /// known only after what arrived was read.
  private func send(_ request: DeviceRequest) async {
    do {
      try await outbound.write(.head(request.head(to: endpoint)))
      if let body = request.body { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
      try await outbound.write(.end(nil))
    } catch {
      writeFailure = error
    }
  }

  private func nextPart(_ request: DeviceRequest) async throws(OperatorError) -> HTTPClientResponsePart {
    var iterator = inbound
    do {
      if let part = try await iterator.next() { return part }
    } catch {
      throw lost(request, error)
    }
    throw lost(request, ChannelError.eof)
  }

  private func lost(_ request: DeviceRequest, _ error: any Error) -> OperatorError {
    let first = watch.failure ?? writeFailure ?? error
    if let known = first as? OperatorError { return known }
    if first is HTTPParserError {
      let text =
        first as? HTTPParserError == .invalidEOFState
        ? "\(endpoint) closed the connection in the middle of its answer to \(request.description)"
        : "what \(endpoint) answered to \(request.description) is not HTTP/1.1"
      return OperatorError(first as? HTTPParserError == .invalidEOFState ? "connection-lost" : "bad-answer", text, cause: first)
    }
    return security.explain(first, endpoint)
  }
}

/// Why no connection could be made, with what to look at.
func unreachable(_ endpoint: Endpoint, _ error: any Error) -> OperatorError {
  if let known = error as? OperatorError { return known }
  var causes: [any Error] = [error]
  if let several = error as? NIOConnectionError {
    if several.connectionErrors.isEmpty {
      return OperatorError(
        "unreachable", "'\(endpoint.host)' has no address in this network's name service; check the name or use the device's IP address",
        cause: several.dnsAError ?? several.dnsAAAAError)
    }
    causes = several.connectionErrors.map(\.error)
  }
  for case let refused as IOError in causes where refused.errnoCode == connectionRefused {
    return OperatorError(
      "unreachable", "nothing listens at \(endpoint): the device is off, still booting, or at another address", cause: nil)
  }
  for case let channelError as ChannelError in causes {
    if case .connectTimeout = channelError {
      return OperatorError(
        "unreachable", "\(endpoint) does not answer: check that the device is on and in this network, and the address", cause: nil)
    }
  }
  return OperatorError("unreachable", "no connection to \(endpoint)", cause: causes.first)
}
