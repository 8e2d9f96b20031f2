import NIOCore

/// Bytes in, requests out: the only reader of what a peer sends.
///
/// It holds at most one head or one body, takes the next request only after the answer to the last one was written, and after anything that
/// it refuses it reads nothing more. It keeps the deadlines of a request and of an idle connection.
/// Refusals go up the pipeline as `RequestRefusal`.
final class RequestDecoder: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = RequestPart
  typealias OutboundIn = AnswerPart
  typealias OutboundOut = ByteBuffer

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
  /// When what is waited for must have come; nil while nothing is.
  private var due: NIODeadline?
  /// Looks at `due` at this time at the latest. Most deadlines move on before they are due, so they are not scheduled one by one.
  private var alarm: (time: NIODeadline, task: Scheduled<Void>)?

  init(limits: APILimits) { self.limits = limits }

  func handlerAdded(context: ChannelHandlerContext) { becomeIdle(context) }

  func handlerRemoved(context: ChannelHandlerContext) { alarm?.task.cancel() }

  func channelInactive(context: ChannelHandlerContext) {
    alarm?.task.cancel()
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
      held.writeBuffer(&bytes)
      readHead(context)
      // A head that came in one piece, as nearly all do, needs no deadline.
      if case .head = state { wait(context, limits.headDeadline_ms) }
    case .head:
      held.writeBuffer(&bytes)
      readHead(context)
    case .body:
      held.writeBuffer(&bytes)
      readBody(context)
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .part(let text): context.write(wrapOutboundOut(text), promise: promise)
    case .end(let text):
      context.write(wrapOutboundOut(text), promise: promise)
      if case .answering = state { becomeIdle(context) }
    }
  }

  private func becomeIdle(_ context: ChannelHandlerContext) {
    state = .idle
    held.clear()
    scanned_bytes = 0
    wait(context, limits.idleDeadline_ms)
  }

  /// From now on what is waited for has this long.
  private func wait(_ context: ChannelHandlerContext, _ milliseconds: Int64) {
    let due = context.eventLoop.now + .milliseconds(milliseconds)
    self.due = due
    if let alarm, alarm.time <= due { return }
    setAlarm(context, due)
  }

  private func setAlarm(_ context: ChannelHandlerContext, _ time: NIODeadline) {
    alarm?.task.cancel()
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    alarm = (
      time,
      context.eventLoop.scheduleTask(deadline: time) {
        let (handler, context) = bound.value
        handler.alarm = nil
        handler.lookAtDeadline(context)
      }
    )
  }

  private func lookAtDeadline(_ context: ChannelHandlerContext) {
    guard let due else { return }
    if due > context.eventLoop.now { return setAlarm(context, due) }
    switch state {
    case .idle:
      state = .refused
      context.close(promise: nil)
    case .head: refuse(context, .timeout("request head", after_ms: limits.headDeadline_ms), duringAnswer: false)
    case .body: refuse(context, .timeout("request body", after_ms: limits.bodyDeadline_ms), duringAnswer: false)
    case .answering, .refused: return
    }
  }

  private func refuse(_ context: ChannelHandlerContext, _ problem: Problem, duringAnswer: Bool) {
    state = .refused
    due = nil
    held = ByteBuffer()
    context.fireUserInboundEventTriggered(RequestRefusal(problem: problem, duringAnswer: duringAnswer))
  }

  private func readHead(_ context: ChannelHandlerContext) {
    switch held.readableBytesView.endOfHead(from: scanned_bytes, limit: limits.headMaximum_bytes) {
    case .ended(let end):
      scanned_bytes = end
      headEnded(context)
    case .refused(let reason): refuse(context, .malformed(reason), duringAnswer: false)
    case .tooLarge:
      refuse(
        context, .headTooLarge("The request line and fields may have at most \(limits.headMaximum_bytes) bytes together."), duringAnswer: false)
    case .open(let scanned): scanned_bytes = scanned
    }
  }

  private func headEnded(_ context: ChannelHandlerContext) {
    guard let bytes = held.readBytes(length: scanned_bytes) else { return }
    switch parseRequestHead(bytes, limits: limits) {
    case .failure(let problem): refuse(context, problem, duringAnswer: false)
    case .success(let head):
      state = .body(length_bytes: head.bodyLength_bytes)
      context.fireChannelRead(wrapInboundOut(.head(head)))
      readBody(context)
      if case .body = state { wait(context, limits.bodyDeadline_ms) }
    }
  }

  private func readBody(_ context: ChannelHandlerContext) {
    // The session may have answered the head already (a refusal): then nothing more is read for it.
    guard case .body(let length_bytes) = state else { return }
    guard held.readableBytes <= length_bytes else {
      return refuse(context, .malformed("More bytes came than the request has; send one request at a time."), duringAnswer: false)
    }
    guard held.readableBytes == length_bytes else { return }
    due = nil
    let body = held
    held = ByteBuffer()
    state = .answering
    context.fireChannelRead(wrapInboundOut(.complete(body: body)))
  }
}

/// What the search for the end of a head has found.
private enum HeadSearch {
  /// The head has this many bytes, its empty line included.
  case ended(Int)
  /// So many bytes can be part of one, and its end has not come.
  case open(scanned: Int)
  case refused(String)
  case tooLarge
}

extension ByteBufferView {
  /// What can be no head is refused at once, and not when its end comes: control bytes, and lines without CR.
  ///
  /// - Parameters:
  ///   - scanned: how many bytes were looked at before.
  ///   - limit: how many bytes a head may have.
  fileprivate func endOfHead(from scanned: Int, limit: Int) -> HeadSearch {
    withUnsafeBytes { bytes in
      for index in scanned..<Swift.min(bytes.count, limit) {
        let byte = bytes[index]
        if byte == 0 || byte >= 0x7f { return .refused("The head holds a byte that is not ASCII text.") }
        guard byte == 0x0a else { continue }
        guard index > 0, bytes[index - 1] == 0x0d else { return .refused("A line ends in a bare LF.") }
        if index >= 3, bytes[index - 2] == 0x0a { return .ended(index + 1) }
      }
      return bytes.count >= limit ? .tooLarge : .open(scanned: bytes.count)
    }
  }
}
