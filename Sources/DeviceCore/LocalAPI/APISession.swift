import Foundations
import NIOConcurrencyHelpers
import NIOCore

/// Ends a connection in order: an answer under way is finished, a stream is ended. Sent down the pipeline as a user event.
public struct APIShutdown: Sendable {
  public init() {}
}

/// What a caller may do has changed: a connection whose caller is nobody any more ends now. Sent down the pipeline as a user event.
public struct APIReview: Sendable {
  public init() {}
}

/// One connection's requests, one after the other: routes each, carries it out, answers.
final class APISession: ChannelInboundHandler {
  typealias InboundIn = RequestDecoder.RequestPart
  typealias OutboundOut = AnswerPart

  private enum State {
    case idle
    /// The head is judged and the body is on its way.
    case receiving(RequestHead, Result<Route, RouteRefusal>)
    case answering
    case streaming(EventStreamWriter, Route)
    /// The last answer is written; what still comes is thrown away.
    case closing
  }

  private let router: Router
  private let limits: APILimits
  private let connection: UInt64
  private let binding: () -> [UInt8]
  private let caller: @Sendable () -> CallerDecision
  private var state = State.idle
  /// Set when the answer under way is the last.
  private var closesAfterAnswer = false
  private var subscription: FeedSubscription?
  private var keepAlive: RepeatedTask?
  private var stall: Scheduled<Void>?
  /// Answers that the peer has not taken yet.
  private var untaken = 0

  init(router: Router, connection: UInt64, binding: @escaping () -> [UInt8], caller: @escaping @Sendable () -> CallerDecision) {
    self.router = router
    self.limits = router.limits
    self.connection = connection
    self.binding = binding
    self.caller = caller
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (unwrapInboundIn(data), state) {
    case (.head(let head), .idle): receive(head, context)
    case (.complete(let body), .receiving(let head, let verdict)): complete(head, verdict, body, context)
    default: return
    }
  }

  private func receive(_ head: RequestHead, _ context: ChannelHandlerContext) {
    let verdict = router.route(head, caller: caller(), connection: connection)
    state = .receiving(head, verdict)
    closesAfterAnswer = head.closes
    switch verdict {
    case .failure(let refusal) where head.expectsContinue && head.bodyLength_bytes > 0:
      // The client waits to hear whether its body is wanted. It may send it nevertheless, so the connection ends here. A client that
      // does not wait is answered when its body, which is small, has come and was thrown away.
      refuse(head, refusal, closes: true, context)
    case .success where head.expectsContinue && head.bodyLength_bytes > 0:
      context.writeAndFlush(wrapOutboundOut(.part(context.channel.allocator.buffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n"))), promise: nil)
    default: return
    }
  }

  private func complete(_ head: RequestHead, _ verdict: Result<Route, RouteRefusal>, _ body: ByteBuffer, _ context: ChannelHandlerContext) {
    switch verdict {
    case .failure(let refusal): refuse(head, refusal, closes: refusal.closes, context)
    case .success(let route):
      // A body took its time: judge the caller again before anything happens. A request without one is complete at once.
      if head.bodyLength_bytes > 0, case .failure(let refusal) = router.route(head, caller: caller(), connection: connection) {
        return refuse(head, refusal, closes: refusal.closes, context)
      }
      state = .answering
      switch router.answer(route, body: body, binding: route.endpoint.isBound ? binding() : []) {
      case .ready(let response): finish(response, head, context)
      case .stream(let feed): startStream(feed, route, context)
      case .later(let operation):
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        Task {
          let response = await operation()
          eventLoop.execute {
            let (session, context) = bound.value
            session.finish(response, head, context)
          }
        }
      }
    }
  }

  private func refuse(_ head: RequestHead, _ refusal: RouteRefusal, closes: Bool, _ context: ChannelHandlerContext) {
    let path = head.target.prefix { $0 != "?" }
    state = .answering
    finish(Response(refusal.problem, instance: String(path), fields: refusal.fields, closes: closes), head, context)
  }

  private func finish(_ response: Response, _ head: RequestHead, _ context: ChannelHandlerContext) {
    guard case .answering = state, context.channel.isActive else { return }
    if response.status >= 400 {
      router.service.log(.notice, "\(head.method) \(head.target.prefix(100)) refused: \(response.status), connection \(connection)")
    }
    answer(response, lingers: response.status >= 400, omitsBody: head.method == "HEAD", context)
  }

  // MARK: Answers

  private func answer(_ response: Response, lingers: Bool, omitsBody: Bool = false, _ context: ChannelHandlerContext) {
    let closes = closesAfterAnswer || response.closes
    state = closes ? .closing : .idle
    let taken = context.eventLoop.makePromise(of: Void.self)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    untaken += 1
    let linger = lingers ? limits.linger_ms : 0
    taken.futureResult.whenComplete { _ in
      let (session, context) = bound.value
      session.untaken -= 1
      session.watchStall(context)
      guard closes else { return }
      if linger == 0 { return context.close(promise: nil) }
      context.eventLoop.scheduleTask(in: .milliseconds(linger)) { bound.value.1.close(promise: nil) }
    }
    let text = response.text(closes: closes, omitsBody: omitsBody, context.channel.allocator)
    context.writeAndFlush(wrapOutboundOut(.end(text)), promise: taken)
    // Most answers are taken at once, and cost no timer.
    if untaken > 0 { watchStall(context) }
  }

  /// A peer that does not take its answer is given up; each answer that it takes gives it the time anew.
  private func watchStall(_ context: ChannelHandlerContext) {
    stall?.cancel()
    stall = nil
    guard untaken > 0 else { return }
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    stall = context.eventLoop.scheduleTask(in: .milliseconds(limits.stallDeadline_ms)) { bound.value.close(promise: nil) }
  }

  // MARK: Streams

  private func startStream(_ feed: Feed, _ route: Route, _ context: ChannelHandlerContext) {
    let writer = EventStreamWriter(limits: limits)
    state = .streaming(writer, route)
    var head = context.channel.allocator.buffer(capacity: 256)
    head.writeStreamHead(.eventStream)
    context.writeAndFlush(wrapOutboundOut(.part(head)), promise: nil)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    let eventLoop = context.eventLoop
    // Events that come faster than the loop turns are written together.
    let arrived = NIOLockedValueBox<[StreamEvent]>([])
    subscription = router.service.subscribe(feed) { event in
      let isFirst = arrived.withLockedValue { events in
        events.append(event)
        return events.count == 1
      }
      guard isFirst else { return }
      eventLoop.execute {
        let (session, context) = bound.value
        let events = arrived.withLockedValue { events in
          defer { events = [] }
          return events
        }
        session.pass(context) { $0.offer(events, context: context) }
      }
    }
    keepAlive = context.eventLoop.scheduleRepeatedTask(
      initialDelay: .milliseconds(limits.streamKeepAlive_ms), delay: .milliseconds(limits.streamKeepAlive_ms)
    ) { _ in
      let (session, context) = bound.value
      session.pass(context) { $0.keepAlive(context: context) }
    }
  }

  /// Passes something on to the stream's reader, if it still may read.
  private func pass(_ context: ChannelHandlerContext, _ send: (EventStreamWriter) -> Bool) {
    guard case .streaming(let writer, let route) = state else { return }
    if let reason = route.refusal(of: caller()) {
      router.service.log(.notice, "stream ended, connection \(connection): \(reason)")
      return endStream(context)
    }
    if !send(writer) {
      router.service.log(.notice, "stream closed, connection \(connection): its reader is too slow")
      release()
      context.close(promise: nil)
    }
  }

  private func endStream(_ context: ChannelHandlerContext) {
    release()
    state = .closing
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    let taken = context.eventLoop.makePromise(of: Void.self)
    stall = context.eventLoop.scheduleTask(in: .milliseconds(limits.linger_ms)) { bound.value.1.close(promise: nil) }
    taken.futureResult.whenComplete { _ in
      bound.value.0.stall?.cancel()
      bound.value.1.close(promise: nil)
    }
    var end = context.channel.allocator.buffer(capacity: 8)
    end.writeLastChunk()
    context.writeAndFlush(wrapOutboundOut(.end(end)), promise: taken)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if case .streaming(let writer, _) = state { writer.writabilityChanged(context: context) }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Ends

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case let refusal as RequestDecoder.RequestRefusal: refused(refusal, context)
    case is APIShutdown: shutDown(context)
    case is APIReview:
      if case .refused(let reason) = caller() {
        router.service.log(.notice, "connection \(connection) ended: \(reason)")
        shutDown(context)
      }
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  private func refused(_ refusal: RequestDecoder.RequestRefusal, _ context: ChannelHandlerContext) {
    router.service.log(.notice, "request refused, connection \(connection): \(refusal.problem.code): \(refusal.problem.detail)")
    switch state {
    case .idle, .receiving:
      state = .answering
      answer(Response(refusal.problem, instance: nil, closes: true), lingers: true, context)
    case .answering: closesAfterAnswer = true
    case .streaming: endStream(context)
    case .closing: return
    }
  }

  private func shutDown(_ context: ChannelHandlerContext) {
    switch state {
    case .idle, .receiving:
      state = .closing
      context.close(promise: nil)
    case .answering: closesAfterAnswer = true
    case .streaming: endStream(context)
    case .closing: return
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    release()
    stall?.cancel()
    state = .closing
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { release() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    router.service.log(.info, "connection \(connection) ended: \(error)")
    release()
    state = .closing
    context.close(promise: nil)
  }

  private func release() {
    subscription?.cancel()
    subscription = nil
    keepAlive?.cancel()
    keepAlive = nil
  }
}
