import NIOCore
import NIOPosix
import Synchronization
import TLS

@testable import OperatorKit

extension DeviceConnection.Deadlines {
  /// For servers in the tests' own process, whose turn may come late on a busy machine.
  static var patient: Self {
    var deadlines = Self()
    deadlines.connect_s = 60
    deadlines.handshake_s = 120
    deadlines.answer_s = 300
    return deadlines
  }
}

/// A server that answers the requests of one connection with prepared answers, one after the other, and keeps what was asked.
final class ScriptedServer: Sendable {
  struct Request: Equatable { var line: String, body: String }
  struct Answer: Sendable { var status: String, type: String, body: String }

  let endpoint: Endpoint
  private let channel: any Channel
  private let log: Log

  /// What was asked so far.
  var requests: [Request] { log.requests.withLock { $0 } }

  private final class Log: Sendable { let requests = Mutex<[Request]>([]) }

  private init(_ channel: any Channel, _ log: Log) {
    self.channel = channel
    self.log = log
    endpoint = Endpoint(host: "127.0.0.1", port: channel.localAddress?.port ?? 0)
  }

  /// - Parameter tls: nil to speak without TLS.
  static func with<Value>(_ answers: [Answer], tls: TLSServerContext? = nil, _ body: (ScriptedServer) async throws -> Value) async throws -> Value {
    let log = Log()
    let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler(server: tls, handshakeDeadline: .seconds(120))) }
          try channel.pipeline.syncOperations.addHandler(Script(answers, log))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let server = ScriptedServer(channel, log)
    do {
      let value = try await body(server)
      try await channel.close()
      return value
    } catch {
      try? await channel.close()
      throw error
    }
  }

  private final class Script: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var answers: [Answer]
    private let log: Log
    private var received = ""

    init(_ answers: [Answer], _ log: Log) {
      self.answers = answers
      self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      received += String(buffer: unwrapInboundIn(data))
      while let request = takeRequest() {
        log.requests.withLock { $0.append(request) }
        guard !answers.isEmpty else { return context.close(promise: nil) }
        let answer = answers.removeFirst()
        let head = "HTTP/1.1 \(answer.status)\r\nContent-Type: \(answer.type)\r\nContent-Length: \(answer.body.utf8.count)\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: head + answer.body)), promise: nil)
      }
    }

    /// The first whole request of what was received; our own client writes them, so their form is known.
    private func takeRequest() -> Request? {
      let parts = received.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      let lines = parts[0].split(separator: "\r\n")
      let length = lines.first { $0.lowercased().hasPrefix("content-length:") }.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
      guard parts[1].utf8.count >= length else { return nil }
      received = String(parts[1].dropFirst(length))
      return Request(line: String(lines.first ?? ""), body: String(parts[1].prefix(length)))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}
