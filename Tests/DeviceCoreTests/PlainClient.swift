import NIOCore
import NIOPosix
import Synchronization

/// A TCP connection without TLS.
final class PlainClient: Sendable {
  private struct State {
    var bytes: [UInt8] = []
    var isClosed = false
  }
  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let client: PlainClient
    init(client: PlainClient) { self.client = client }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = unwrapInboundIn(data).readableBytesView
      client.state.withLock { $0.bytes += bytes }
    }
    func channelInactive(context: ChannelHandlerContext) { client.state.withLock { $0.isClosed = true } }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }

  private let state = Mutex(State())
  private let channelBox = Mutex<(any Channel)?>(nil)

  static func connect(port: Int) async throws -> PlainClient {
    let client = PlainClient()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(client: client)) }
      }
      .connect(host: "127.0.0.1", port: port).get()
    client.channelBox.withLock { $0 = channel }
    return client
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }
  var bytes: [UInt8] { state.withLock { $0.bytes } }

  func send(_ text: String) async throws {
    guard let channel = channelBox.withLock({ $0 }) else { return }
    try await channel.writeAndFlush(ByteBuffer(string: text)).get()
  }
}
