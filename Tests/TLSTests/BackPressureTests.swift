import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import TLS
import Testing

/// A flag that a closure on another thread may read.
final class Flag: Sendable {
  private let state = Mutex(false)
  var value: Bool { state.withLock { $0 } }
  func set() { state.withLock { $0 = true } }
}

@Suite struct BackPressureTests {
  @Test func nothingIsDeliveredUnasked() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    wire.server.readsByItself = false
    _ = wire.write([1, 2, 3], from: wire.client.channel)
    try wire.pump()
    // The one read at the start was answered; what comes now waits for the next.
    #expect(wire.server.recorder.received == [1, 2, 3])
    _ = wire.write([4], from: wire.client.channel)
    try wire.pump()
    #expect(wire.server.recorder.received == [1, 2, 3])
    wire.server.channel.read()
    #expect(wire.server.recorder.received == [1, 2, 3, 4])
  }

  /// A peer that does not read: what is encrypted for it is bounded, and the rest goes out when it reads again.
  @Test func encryptsOnlyWhatTheChannelTakes() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    try wire.pump()
    wire.client.channel.isWritable = false
    let payload = [UInt8](repeating: 7, count: 4 << 20)
    let written = wire.write(payload, from: wire.client.channel)
    #expect(try wire.client.channel.readOutbound(as: ByteBuffer.self) == nil)
    wire.client.channel.isWritable = true
    wire.client.channel.pipeline.fireChannelWritabilityChanged()
    #expect(try wire.pump())
    try written.wait()
    let intact = wire.server.recorder.received == payload
    #expect(intact)
  }

  /// Over real sockets: a server whose application never reads takes no more than socket buffers and one read's worth.
  @Test func aReaderThatDoesNotReadStopsTheSender() async throws {
    let world = try World()
    let server = try world.server()
    let client = try world.client(world.credential())
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelOption(.autoRead, value: false)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(TLSHandler(server: server, handshakeDeadline: .seconds(60)))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(TLSHandler(client: client, handshakeDeadline: .seconds(60)))
        }
      }
      .connect(to: #require(listener.localAddress)).get()
    // More than every buffer between the two can hold.
    let payload = ByteBuffer(repeating: 1, count: 64 << 20)
    let finished = Flag()
    let promise = channel.eventLoop.makePromise(of: Void.self)
    channel.writeAndFlush(payload, promise: promise)
    let written = promise.futureResult
    written.whenSuccess { finished.set() }
    for _ in 0..<2_400 {
      guard channel.isWritable else { break }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
    for _ in 0..<20 { try await Task.sleep(nanoseconds: 50_000_000) }
    #expect(!finished.value)
    #expect(!channel.isWritable)
    channel.close(promise: nil)
    await #expect(throws: (any Error).self) { try await written.get() }
    try await channel.closeFuture.get()
    try await listener.close()
  }

  /// 16 MiB each way over loopback, echoed, in one write.
  @Test func aLargeTransferIsIntact() async throws {
    let world = try World()
    let server = try world.server()
    let client = try world.client(world.credential())
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(server: server, handshakeDeadline: .seconds(60)), Echo()])
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    var random = SeededRandom(16)
    var payload = ByteBuffer()
    for _ in 0..<(16 << 20) / 8 { payload.writeInteger(random.next()) }
    let expected = sha256(payload.readableBytesView)
    let result = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: [UInt8].self)
    let count = payload.readableBytes
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(client: client, handshakeDeadline: .seconds(60)), Collector(count, result)])
        }
      }
      .connect(to: #require(listener.localAddress)).get()
    try await channel.writeAndFlush(payload).get()
    let received = try await result.futureResult.get()
    let intact = received == expected
    #expect(intact)
    try await channel.close()
    try await listener.close()
  }
}

/// Sends back what it receives; ends the connection after `closingAfter` bytes.
final class Echo: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private var remaining: Int
  init(closingAfter count: Int = .max) { remaining = count }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    remaining -= unwrapInboundIn(data).readableBytes
    context.writeAndFlush(data, promise: nil)
    if remaining <= 0 { context.close(promise: nil) }
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Collects so many bytes and gives their SHA-256.
final class Collector: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let count: Int
  private let result: EventLoopPromise<[UInt8]>
  private var collected = ByteBuffer()
  init(_ count: Int, _ result: EventLoopPromise<[UInt8]>) {
    self.count = count
    self.result = result
  }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    collected.writeBuffer(&buffer)
    if collected.readableBytes >= count { result.succeed(sha256(collected.readableBytesView)) }
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { result.fail(error) }
  func channelInactive(context: ChannelHandlerContext) { result.fail(ChannelError.eof) }
}
