import NIOCore
import NIOEmbedded
import TLS

/// What the application above a handler saw.
final class Recorder: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  var received: [UInt8] = []
  var errors: [any Error] = []
  var completed: TLSHandshakeCompleted?
  var inputClosed = false
  var inactive = false
  /// Plaintext that arrived before the handshake was reported: must stay 0.
  var early = 0

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    if completed == nil { early += buffer.readableBytes }
    received += Array(buffer.readableBytesView)
  }
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? TLSHandshakeCompleted { completed = event }
    if case .inputClosed? = event as? ChannelEvent { inputClosed = true }
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }
  func channelInactive(context: ChannelHandlerContext) { inactive = true }

  var tlsErrors: [TLSError] { errors.compactMap { $0 as? TLSError } }
}

/// A server's and a client's channel joined by a wire that cuts and may change what passes.
final class Wire {
  struct Side {
    let channel: EmbeddedChannel
    let handler: TLSHandler
    let recorder = Recorder()
    /// Whether the application asks for more after each read.
    var readsByItself = true
    /// Ciphertext on its way to this side.
    var arriving: [UInt8] = []
    var toldOfEnd = false
  }
  let loop = EmbeddedEventLoop()
  var server: Side
  var client: Side
  var random: SeededRandom
  var largestFragment: Int
  /// Called with each fragment before it arrives, `toServer` says where.
  var change: ((_ fragment: inout [UInt8], _ toServer: Bool) -> Void)?
  /// Every byte that went to the server, and to the client.
  var bytesToServer = 0
  var bytesToClient = 0

  init(
    server: TLSServerContext, client: TLSClientContext, seed: UInt64 = 1, largestFragment: Int = 20_000, allowsHalfClosure: Bool = false
  ) throws {
    random = SeededRandom(seed)
    self.largestFragment = largestFragment
    let serverHandler = try TLSHandler(server: server, handshakeDeadline: .seconds(10), allowsHalfClosure: allowsHalfClosure)
    let clientHandler = try TLSHandler(client: client, handshakeDeadline: .seconds(10), allowsHalfClosure: allowsHalfClosure)
    self.server = Side(channel: EmbeddedChannel(loop: loop), handler: serverHandler)
    self.client = Side(channel: EmbeddedChannel(loop: loop), handler: clientHandler)
    try self.server.channel.pipeline.syncOperations.addHandlers([serverHandler, self.server.recorder])
    try self.client.channel.pipeline.syncOperations.addHandlers([clientHandler, self.client.recorder])
    let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
    self.server.channel.connect(to: address, promise: nil)
    self.client.channel.connect(to: address, promise: nil)
    self.server.channel.read()
    self.client.channel.read()
  }

  /// Carries bytes until both sides are quiet. Returns false where they never are.
  @discardableResult func pump(rounds: Int = 200_000) throws -> Bool {
    for _ in 0..<rounds {
      loop.run()
      let moved = try [carry(from: client, to: &server, toServer: true), carry(from: server, to: &client, toServer: false)]
      if !moved.contains(true) { return true }
    }
    return false
  }

  private func carry(from: Side, to: inout Side, toServer: Bool) throws -> Bool {
    while let buffer = try from.channel.readOutbound(as: ByteBuffer.self) { to.arriving += Array(buffer.readableBytesView) }
    guard !to.arriving.isEmpty else {
      guard !from.channel.isActive, to.channel.isActive, !to.toldOfEnd else { return false }
      to.toldOfEnd = true
      to.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
      return true
    }
    let count = Int.random(in: 1...min(largestFragment, to.arriving.count), using: &random)
    var fragment = Array(to.arriving.prefix(count))
    to.arriving.removeFirst(count)
    if toServer { bytesToServer += count } else { bytesToClient += count }
    change?(&fragment, toServer)
    if to.channel.isActive, !fragment.isEmpty {
      to.channel.pipeline.fireChannelRead(ByteBuffer(bytes: fragment))
      to.channel.pipeline.fireChannelReadComplete()
      if to.readsByItself { to.channel.read() }
    }
    return true
  }

  func write(_ bytes: [UInt8], from channel: EmbeddedChannel) -> EventLoopFuture<Void> { channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

  /// Ends both channels; what they still complain of is not looked at.
  func end() {
    _ = try? server.channel.finish(acceptAlreadyClosed: true)
    _ = try? client.channel.finish(acceptAlreadyClosed: true)
  }
}
