import Glibc
import NIOCore
import NIOPosix

@testable import OperatorKit

/// A TCP port of the loopback that is taken and at which nobody listens, for as long as this lives.
final class SilentPort {
  let number: Int
  private let descriptor: CInt

  init() throws {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    self.descriptor = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0 }
    }
    guard isBound else {
      close(descriptor)
      throw OperatorError("unreachable", "no port of the loopback could be taken")
    }
    number = Int(UInt16(bigEndian: address.sin_port))
  }

  deinit { close(descriptor) }
}

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
