public import Foundations
public import NIOCore

/// TLS 1.3 in a channel's pipeline, for a server or a client: ciphertext on the network's side, plaintext on the application's.
///
/// - Fires `TLSHandshakeCompleted` as a user inbound event, once, before the first plaintext.
/// - Writes before that wait. A write's promise succeeds when its ciphertext was written and fails with the error that ended the connection.
/// - Reads only when the application asked for it (or for the handshake's own sake), and encrypts only while the channel is writable.
/// - Fires `TLSError` through `errorCaught`, once, and then closes the channel by itself: the alert is sent first.
/// - The peer's close_notify closes the channel, or with `allowsHalfClosure` fires `ChannelEvent.inputClosed`. An end of the
///   connection without it is the error `truncated`.
public final class TLSHandler: ChannelDuplexHandler {
  public typealias InboundIn = ByteBuffer
  public typealias InboundOut = ByteBuffer
  public typealias OutboundIn = ByteBuffer
  public typealias OutboundOut = ByteBuffer

  enum State {
    case idle
    case handshaking
    case established
    /// Our close_notify is on its way; nothing more is delivered.
    case closing
    /// An error was reported; the alert is on its way and what arrives is thrown away.
    case failing
    case closed
  }

  let connection: TLSConnection
  let handshakeDeadline: TimeAmount
  let allowsHalfClosure: Bool
  var state = State.idle
  var context: ChannelHandlerContext?

  /// Plaintext that waits, marked up to the last flush.
  var pendingWrites = MarkedCircularBuffer<PendingWrite>(initialCapacity: 8)
  struct PendingWrite {
    var data: ByteBuffer
    let promise: EventLoopPromise<Void>?
  }

  var deadlineTask: Scheduled<Void>?
  /// The application asked for a read and has not been given any since.
  var readRequested = false
  var isDelivering = false
  var isEncrypting = false
  /// The peer has said that it writes no more.
  var peerEnded = false
  /// We have said that we write no more.
  var ownEnded = false
  var discardedBytes = 0
  var failure: TLSError?
  /// What waits for the output to be closed once all is encrypted.
  var outputClosePromise: EventLoopPromise<Void>?
  var closesOutput = false
  /// Who asked for the channel's end and is to be told.
  var closePromise: EventLoopPromise<Void>?
  /// Set while another thread has `connection`.
  var away: AwayStep?

  /// What was agreed in the handshake; nil before it is complete. Use on the event loop only.
  public private(set) var handshake: TLSHandshakeCompleted?

  /// A server's side of one connection.
  ///
  /// - Parameters:
  ///   - server: certificate, key and rules.
  ///   - handshakeDeadline: a handshake that is not complete after this time, from the channel's activation, fails.
  ///   - allowsHalfClosure: whether the application still writes after the peer has ended its side.
  /// - Throws: `context-invalid` where memory is short.
  public init(server: TLSServerContext, handshakeDeadline: TimeAmount, allowsHalfClosure: Bool = false) throws(TLSError) {
    connection = try TLSConnection(server: server)
    self.handshakeDeadline = handshakeDeadline
    self.allowsHalfClosure = allowsHalfClosure
  }

  /// A client's side of one connection. Parameters as for a server.
  ///
  /// - Throws: `context-invalid` where memory is short.
  public init(client: TLSClientContext, handshakeDeadline: TimeAmount, allowsHalfClosure: Bool = false) throws(TLSError) {
    connection = try TLSConnection(client: client)
    self.handshakeDeadline = handshakeDeadline
    self.allowsHalfClosure = allowsHalfClosure
  }

  /// Keying material of this connection (RFC 8446 section 7.5). Use on the event loop, after the handshake.
  ///
  /// - Parameters:
  ///   - label: says what it is for; for a channel binding `EXPORTER-Channel-Binding` with an empty context and 32 bytes (RFC 9266).
  ///   - context: binds it to a value, nil for none.
  ///   - count: how many bytes.
  /// - Throws: `context-invalid` before the handshake is complete.
  public func exportKeyingMaterial(label: String, context: [UInt8]?, count: Int) throws(TLSError) -> SecretBytes {
    try connection.exportKeyingMaterial(label: label, context: context, count: count)
  }

  /// 32 bytes that name this connection and no other, the same at both of its ends (RFC 8446 section 7.5, without a context). They may be shown;
  /// what is signed or proved over them holds for this connection alone. Use on the event loop, after the handshake.
  ///
  /// - Parameter label: `EXPORTER-…`, one for each use.
  /// - Throws: `context-invalid` before the handshake is complete.
  public func channelBinding(label: String) throws(TLSError) -> [UInt8] {
    try exportKeyingMaterial(label: label, context: nil, count: 32).withUnsafeBytes { Array($0) }
  }

  // MARK: life in the pipeline

  public func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { start(context) }
  }

  public func handlerRemoved(context: ChannelHandlerContext) {
    deadlineTask?.cancel()
    failPendingWrites(failure ?? endedError())
    state = .closed
    tellClosed()
    self.context = nil
  }

  public func channelActive(context: ChannelHandlerContext) {
    start(context)
    context.fireChannelActive()
  }

  public func channelInactive(context: ChannelHandlerContext) {
    deadlineTask?.cancel()
    if away == nil { connection.inboundEnded = true }
    switch state {
    case .handshaking: report(context, away == nil ? connection.truncation() : TLSConnection.truncation())
    case .established:
      // Nothing more will come: what is left is handed out unasked, and tells whether the peer had ended.
      readRequested = true
      deliver(context)
      if state == .established, !peerEnded { report(context, connection.truncation()) }
    default: break
    }
    state = .closed
    failPendingWrites(failure ?? endedError())
    tellClosed()
    context.fireChannelInactive()
  }

  /// The channel ended in another way than by our closing it: that is what was asked for.
  private func tellClosed() {
    closePromise?.succeed(())
    closePromise = nil
  }

  private func start(_ context: ChannelHandlerContext) {
    guard state == .idle else { return }
    state = .handshaking
    deadlineTask = context.eventLoop.assumeIsolated().scheduleTask(in: handshakeDeadline) { [weak self] in
      guard let self, self.state == .handshaking, let context = self.context else { return }
      self.fail(
        context,
        TLSError(
          code: "handshake-timeout", reason: "the handshake was not complete after \(self.handshakeDeadline.nanoseconds / 1_000_000) ms",
          side: .local))
    }
    proceed(context)
    // Nobody else asks for the handshake's bytes where the application reads by itself.
    if state == .handshaking { context.read() }
  }

  // MARK: inbound

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    switch state {
    case .handshaking where away != nil: away?.arrived.append(buffer)
    case .idle, .handshaking, .established: connection.receive(buffer)
    case .closing, .failing:
      discardedBytes += buffer.readableBytes
      // Enough for what was under way when the alert went out; more is a peer that does not listen.
      if discardedBytes > 1 << 20 { close(context) }
    case .closed: break
    }
  }

  public func channelReadComplete(context: ChannelHandlerContext) {
    switch state {
    case .handshaking: proceed(context)
    case .established: deliver(context)
    default: break
    }
    switch state {
    // What is away asks for more when it is back.
    case .handshaking where away != nil: break
    case .handshaking, .closing, .failing: context.read()
    case .established:
      // Nothing came out of what arrived, and the application still waits: go on reading for it.
      if readRequested, !peerEnded { context.read() }
    case .idle, .closed: break
    }
  }

  /// The handshake's next step.
  func proceed(_ context: ChannelHandlerContext) {
    if let thread = connection.server?.patientThread, away != nil || !connection.hasSigned {
      sendAway(context, to: thread)
    } else {
      stepped(context, connection.handshake())
    }
  }

  /// The outcome of a step.
  func stepped(_ context: ChannelHandlerContext, _ outcome: TLSConnection.Outcome) {
    send(context, promise: nil)
    switch outcome {
    case .incomplete: break
    case .complete: established(context)
    case .ended: fail(context, connection.truncation())
    case .failed(let error): fail(context, error)
    }
  }

  private func established(_ context: ChannelHandlerContext) {
    guard state == .handshaking else { return }
    state = .established
    deadlineTask?.cancel()
    deadlineTask = nil
    let completed = TLSHandshakeCompleted(
      peer: connection.peerCertificate(), protocolVersion: connection.protocolVersion, cipher: connection.cipher, group: connection.group,
      resumed: connection.isResumed, showedAlternative: connection.showsAlternative)
    handshake = completed
    context.fireUserInboundEventTriggered(completed)
    encryptPending(context)
    if state == .established { deliver(context) }
  }

  /// Answers the application's request to read with all that has arrived: at most what one read of the socket brings, because
  /// nobody reads from it while nobody asks. Without a request the ciphertext stays where it is.
  func deliver(_ context: ChannelHandlerContext) {
    guard !isDelivering, readRequested, !peerEnded else { return }
    isDelivering = true
    var outcome = TLSConnection.Outcome.complete
    var delivered = false
    while state == .established, case .complete = outcome {
      // Plaintext is never longer than its ciphertext; the lower bound spares a record that arrived in pieces a second buffer.
      let room = min(max(connection.inboundBytes, connection.decryptedBytes, 4096), 65_536)
      var plaintext = context.channel.allocator.buffer(capacity: room)
      outcome = connection.decrypt(into: &plaintext)
      send(context, promise: nil)
      if plaintext.readableBytes > 0 {
        delivered = true
        readRequested = false
        context.fireChannelRead(wrapInboundOut(plaintext))
      }
    }
    if delivered { context.fireChannelReadComplete() }
    isDelivering = false
    guard state == .established else { return }
    switch outcome {
    case .complete, .incomplete: break
    case .ended: endOfInput(context)
    case .failed(let error): fail(context, error)
    }
  }

  private func endOfInput(_ context: ChannelHandlerContext) {
    guard !peerEnded else { return }
    peerEnded = true
    if allowsHalfClosure, !ownEnded {
      context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    } else {
      closeOrderly(context, promise: nil)
    }
  }

  public func read(context: ChannelHandlerContext) {
    readRequested = true
    // Nothing that arrives could be used before that.
    guard away == nil else { return }
    guard !isDelivering else { return }
    if state == .established, connection.inboundBytes > 0 || connection.decryptedBytes > 0 || connection.inboundEnded {
      deliver(context)
      guard state == .established else { return }
      // A channel that reads by itself asks only after it has read from its socket: what was answered from here must not be the last
      // that it hears. At most one more read of the socket waits here then.
    }
    context.read()
  }

  public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
    guard away == nil || state != .handshaking else {
      away?.inputEnded = true
      return
    }
    connection.inboundEnded = true
    switch state {
    case .handshaking: proceed(context)
    case .established:
      // The transport's end is not the application's: that is what close_notify says, which may be still unread.
      if readRequested { deliver(context) }
    case .closing, .failing: close(context)
    case .idle, .closed: break
    }
  }

  // MARK: errors

  /// Reports `error`, sends the alert that OpenSSL has written, and closes once the peer had a chance to read it.
  func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
    guard state != .failing, state != .closed else { return }
    state = .failing
    deadlineTask?.cancel()
    if away == nil {
      connection.discardInbound()
      send(context, promise: nil)
    }
    report(context, error)
    guard state == .failing else { return }
    failPendingWrites(error)
    // The alert would be its to write, whose connection is away.
    if away == nil { linger(context) } else { close(context) }
  }

  private func report(_ context: ChannelHandlerContext, _ error: TLSError) {
    guard failure == nil else { return }
    failure = error
    context.fireErrorCaught(error)
  }

  func endedError() -> TLSError {
    TLSError(code: "connection-closed", reason: "the TLS connection is closed", side: .local)
  }

  func failPendingWrites(_ error: TLSError) {
    outputClosePromise?.fail(error)
    outputClosePromise = nil
    while let write = pendingWrites.popFirst() { write.promise?.fail(error) }
  }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
