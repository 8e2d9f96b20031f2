import NIOCore
import NIOHTTP1

/// Bytes in, requests out: the only reader of what a peer sends.
///
/// It holds at most one head or one body, takes the next request only after the answer to the last one was written, and after anything that
/// it refuses it reads nothing more. It keeps the deadlines of a request and of an idle connection.
/// Refusals go up the pipeline as `RequestRefusal`.
final class RequestDecoder: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = RequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// What goes up the pipeline.
  enum RequestPart {
    case head(RequestHead)
    case complete(body: ByteBuffer)
  }

  /// A request that was refused, as a user event; the connection reads nothing more.
  struct RequestRefusal {
    let problem: Problem
    /// Bytes came while a request was being answered: that answer still goes out.
    let duringAnswer: Bool
  }

  private enum State {
    case idle
    case head
    case body(length_bytes: Int)
    case answering
    case refused
  }

  private let limits: APILimits
  private var state = State.idle
  private var held = ByteBuffer()
  /// Where the search for the end of the head goes on.
  private var scanned_bytes = 0
  private var deadline: Scheduled<Void>?

  init(limits: APILimits) { self.limits = limits }

  func handlerAdded(context: ChannelHandlerContext) { becomeIdle(context) }

  func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    state = .refused
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    guard bytes.readableBytes > 0 else { return }
    switch state {
    case .refused: return
    case .answering:
      refuse(context, .malformed("A further request came before the answer to the one before; send one request at a time."), duringAnswer: true)
      return
    case .idle:
      state = .head
      setDeadline(context, limits.headDeadline_ms) { [limits] in .timeout("request head", after_ms: limits.headDeadline_ms) }
      held.writeBuffer(&bytes)
      readHead(context)
    case .head:
      held.writeBuffer(&bytes)
      readHead(context)
    case .body:
      held.writeBuffer(&bytes)
      readBody(context)
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    context.write(data, promise: promise)
    if case .end = unwrapOutboundIn(data), case .answering = state { becomeIdle(context) }
  }

  private func becomeIdle(_ context: ChannelHandlerContext) {
    state = .idle
    held.clear()
    scanned_bytes = 0
    deadline?.cancel()
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: .milliseconds(limits.idleDeadline_ms)) {
      let (handler, context) = bound.value
      guard case .idle = handler.state else { return }
      handler.state = .refused
      context.close(promise: nil)
    }
  }

  private func setDeadline(_ context: ChannelHandlerContext, _ milliseconds: Int64, _ problem: @escaping @Sendable () -> Problem) {
    deadline?.cancel()
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) {
      let (handler, context) = bound.value
      handler.refuse(context, problem(), duringAnswer: false)
    }
  }

  private func refuse(_ context: ChannelHandlerContext, _ problem: Problem, duringAnswer: Bool) {
    state = .refused
    deadline?.cancel()
    held = ByteBuffer()
    context.fireUserInboundEventTriggered(RequestRefusal(problem: problem, duringAnswer: duringAnswer))
  }

  private func readHead(_ context: ChannelHandlerContext) {
    let view = held.readableBytesView
    let end = min(view.count, limits.headMaximum_bytes)
    // What can be no head is refused at once, and not when its end comes: control bytes, and lines without CR.
    while scanned_bytes < end {
      let byte = view[view.startIndex + scanned_bytes]
      let previous = scanned_bytes > 0 ? view[view.startIndex + scanned_bytes - 1] : 0
      if byte == 0x0a && previous != 0x0d { return refuse(context, .malformed("A line ends in a bare LF."), duringAnswer: false) }
      if byte == 0 || byte >= 0x7f { return refuse(context, .malformed("The head holds a byte that is not ASCII text."), duringAnswer: false) }
      scanned_bytes += 1
      guard byte == 0x0a, scanned_bytes >= 4, view[view.startIndex + scanned_bytes - 3] == 0x0a else { continue }
      return headEnded(context)
    }
    if view.count >= limits.headMaximum_bytes {
      refuse(
        context, .headTooLarge("The request line and fields may have at most \(limits.headMaximum_bytes) bytes together."), duringAnswer: false)
    }
  }

  private func headEnded(_ context: ChannelHandlerContext) {
    guard let bytes = held.readBytes(length: scanned_bytes) else { return }
    switch parseRequestHead(bytes, limits: limits) {
    case .failure(let problem): refuse(context, problem, duringAnswer: false)
    case .success(let head):
      state = .body(length_bytes: head.bodyLength_bytes)
      setDeadline(context, limits.bodyDeadline_ms) { [limits] in .timeout("request body", after_ms: limits.bodyDeadline_ms) }
      context.fireChannelRead(wrapInboundOut(.head(head)))
      readBody(context)
    }
  }

  private func readBody(_ context: ChannelHandlerContext) {
    // The session may have answered the head already (a refusal): then nothing more is read for it.
    guard case .body(let length_bytes) = state else { return }
    guard held.readableBytes <= length_bytes else {
      return refuse(context, .malformed("More bytes came than the request has; send one request at a time."), duringAnswer: false)
    }
    guard held.readableBytes == length_bytes else { return }
    deadline?.cancel()
    let body = held
    held = ByteBuffer()
    state = .answering
    context.fireChannelRead(wrapInboundOut(.complete(body: body)))
  }
}
