internal import Crypto
internal import NIOCore
internal import Synchronization
internal import TLS

/// Sits behind TLS and remembers the first thing that went wrong: what a caller sees later (a write to a closed channel) only follows from it.
/// Also keeps the deadlines of a connection.
final class ConnectionWatch: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer

  private let firstFailure = Mutex<(any Error)?>(nil)
  private let secured: EventLoopPromise<Certificate?>
  private let deadline: NIOLoopBoundBox<Scheduled<Void>?>

  /// - Parameter isPlain: without TLS there is nothing to wait for; only tests connect so.
  init(channel: any Channel, isPlain: Bool) {
    secured = channel.eventLoop.makePromise(of: Certificate?.self)
    deadline = NIOLoopBoundBox(nil, eventLoop: channel.eventLoop)
    if isPlain { secured.succeed(nil) }
  }

  /// The first error of the connection, or nil when it was orderly so far.
  var failure: (any Error)? { firstFailure.withLock { $0 } }

  /// The device's certificate, once the handshake is complete; fails with what broke it.
  var handshake: EventLoopFuture<Certificate?> { secured.futureResult }

  /// Closes `channel` when nothing disarms it within `limit_s` seconds; a caller then finds `error`.
  func arm(_ channel: any Channel, limit_s: Int64, _ error: OperatorError) {
    channel.eventLoop.execute {
      self.deadline.value?.cancel()
      self.deadline.value = channel.eventLoop.scheduleTask(in: .seconds(limit_s)) {
        self.record(error)
        channel.close(promise: nil)
      }
    }
  }

  func disarm(_ channel: any Channel) {
    channel.eventLoop.execute {
      self.deadline.value?.cancel()
      self.deadline.value = nil
    }
  }

  private func record(_ error: any Error) {
    firstFailure.withLock { if $0 == nil { $0 = error } }
    secured.fail(error)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let done = event as? TLSHandshakeCompleted { secured.succeed(done.peer) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    record(error)
    context.fireErrorCaught(error)
  }

  /// A connection that never came up never becomes inactive; the promise ends here then.
  func handlerRemoved(context: ChannelHandlerContext) {
    deadline.value?.cancel()
    secured.fail(failure ?? ChannelError.eof)
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline.value?.cancel()
    // A promise may be fulfilled once; after the handshake this one is, and the failure changes nothing.
    secured.fail(failure ?? ChannelError.eof)
    context.fireChannelInactive()
  }
}
