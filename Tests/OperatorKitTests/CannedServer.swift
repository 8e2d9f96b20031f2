import NIOCore
import NIOPosix

@testable import OperatorKit

/// A server without TLS that answers whatever comes with the same bytes, in pieces, and closes if told to.
final class CannedServer: Sendable {
  /// What happens after the answer was sent.
  enum After: Sendable { case close, wait }

  let endpoint: Endpoint
  private let channel: any Channel

  private init(_ channel: any Channel) {
    self.channel = channel
    endpoint = Endpoint(host: "127.0.0.1", port: channel.localAddress?.port ?? 0)
  }

  static func with<Value>(_ answer: [UInt8], piece_bytes: Int = .max, after: After = .close, _ body: (CannedServer) async throws -> Value)
    async throws -> Value
  {
    let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Answer(answer, piece_bytes, after)) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let server = CannedServer(channel)
    do {
      let value = try await body(server)
      try await channel.close()
      return value
    } catch {
      try? await channel.close()
      throw error
    }
  }

  private final class Answer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let answer: [UInt8]
    private let piece_bytes: Int
    private let after: After
    private var answered = false

    init(_ answer: [UInt8], _ piece_bytes: Int, _ after: After) {
      self.answer = answer
      self.piece_bytes = piece_bytes
      self.after = after
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard !answered else { return }
      answered = true
      var rest = answer[...]
      while !rest.isEmpty {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: rest.prefix(piece_bytes))), promise: nil)
        rest = rest.dropFirst(piece_bytes)
      }
      if after == .close {
        // After an empty write the answer is out: closing then ends the stream in order.
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.value.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in context.value.close(promise: nil) }
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}
