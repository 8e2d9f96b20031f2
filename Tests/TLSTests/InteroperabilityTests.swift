import Crypto
import Foundations
import NIOCore
import NIOPosix
import TLS
import Testing

/// Our sides against OpenSSL's own client and server commands.
@Suite struct InteroperabilityTests {
  /// A server of ours that echoes 5 bytes and ends.
  private func listen(_ server: TLSServerContext) async throws -> any Channel {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([
            TLSHandler(server: server, handshakeDeadline: .seconds(60)), Echo(closingAfter: 5),
          ])
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }

  @Test func theirClientIsServed() async throws {
    let world = try World()
    let folder = try Folder()
    let listener = try await listen(world.server())
    let port = try #require(listener.localAddress?.port)
    let arguments = try folder.credential(world.credential(), world)
    let answered = try await Command.openssl(
      ["s_client", "-connect", "127.0.0.1:\(port)", "-tls1_3", "-verify_return_error", "-verify", "2", "-ign_eof"] + arguments, input: "hello")
    #expect(answered.text.contains("hello") && answered.text.contains("TLSv1.3"), "\(answered.text)")
    #expect(answered.text.contains("Verify return code: 0 (ok)"), "\(answered.text)")
    try await listener.close()
  }

  @Test(arguments: [["-tls1_2"], ["-tls1_3", "-cipher", "DEFAULT", "-groups", "P-384"], ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"]])
  func theirOldOrOddClientGetsAnAlert(_ how: [String]) async throws {
    let world = try World()
    let folder = try Folder()
    let listener = try await listen(world.server())
    let port = try #require(listener.localAddress?.port)
    let refused = try await Command.openssl(
      ["s_client", "-connect", "127.0.0.1:\(port)", "-ign_eof"] + how + folder.credential(world.credential(), world), input: "hello")
    #expect(refused.text.contains("alert"), "\(refused.text)")
    #expect(!refused.text.contains("hello"))
    try await listener.close()
  }

  @Test func theirClientWithoutACertificateGetsAnAlertAndNoByte() async throws {
    let world = try World()
    let listener = try await listen(world.server())
    let port = try #require(listener.localAddress?.port)
    let refused = try await Command.openssl(["s_client", "-connect", "127.0.0.1:\(port)", "-ign_eof"], input: "hello")
    #expect(refused.text.contains("alert certificate required"), "\(refused.text)")
    #expect(!refused.text.contains("hello"))
    try await listener.close()
  }

  @Test func theirServerIsSpokenTo() async throws {
    let world = try World()
    let folder = try Folder()
    let own = try folder.credential(world.serverCredential(), world)
    let server = try Command.start(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-Verify", "2", "-verify_return_error", "-rev"] + own)
    defer { server.end() }
    let port = try #require(try await server.port())
    let result = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: [UInt8].self)
    let client = try world.client(world.credential())
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(client: client, handshakeDeadline: .seconds(60)), Collector(6, result)])
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    try await channel.writeAndFlush(ByteBuffer(string: "hello\n"))
    #expect(try await result.futureResult.get() == sha256("olleh\n".utf8))
    try await channel.close()
  }

  /// `k` makes s_client send a key update: each costs the device key derivations, and an attacker nothing.
  @Test func aFloodOfKeyUpdatesEndsTheConnection() async throws {
    let world = try World()
    let folder = try Folder()
    let server = try world.server()
    let failed = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: TLSError.self)
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(server: server, handshakeDeadline: .seconds(60)), FailureWatcher(failed)])
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(listener.localAddress?.port)
    let client = try Command.start(["s_client", "-connect", "127.0.0.1:\(port)", "-tls1_3"] + folder.credential(world.credential(), world))
    defer { client.end() }
    let isOver = Flag()
    failed.futureResult.whenComplete { _ in isOver.set() }
    for _ in 0..<2_400 {
      if client.text.contains("New, TLSv1.3") { break }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
    // One command is taken from each read of its input, so they are given one by one; a busy s_client reads several at once, and takes one of them.
    for _ in 0..<2_400 {
      if isOver.value { break }
      try? client.type("k\n")
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    // Ends the connection where the server did not: then the error is another one.
    client.end()
    #expect(try await failed.futureResult.get().code == "post-handshake-flood")
    try await listener.close()
  }

  @Test func plaintextHTTPIsDropped() async throws {
    let world = try World()
    let listener = try await listen(world.server())
    let result = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: [UInt8].self)
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(100_000, result)) }
      }
      .connect(to: #require(listener.localAddress)).get()
    try await channel.writeAndFlush(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: device\r\n\r\n"))
    await #expect(throws: (any Error).self) { try await result.futureResult.get() }
    try await channel.closeFuture.get()
    try await listener.close()
  }
}

/// Gives the first error of a connection, or `connection-closed` where it ended without one.
private final class FailureWatcher: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let failed: EventLoopPromise<TLSError>
  init(_ failed: EventLoopPromise<TLSError>) { self.failed = failed }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let error = error as? TLSError { failed.succeed(error) } else { failed.fail(error) }
  }
  func channelInactive(context: ChannelHandlerContext) { failed.succeed(TLSError(code: "connection-closed", reason: "it ended", side: .peer)) }
}
