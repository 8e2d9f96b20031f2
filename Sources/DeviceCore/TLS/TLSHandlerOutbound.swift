public import NIOCore

/// How much ciphertext is handed to the channel in one piece. Large enough that system calls do not count, small enough that a
/// large answer is never held twice.
private let maximumChunkBytes = 65_536
/// Writes shorter than this share a record with their neighbours: an HTTP head and its body cost one seal instead of two.
private let shortWriteBytes = 4096
/// The most plaintext of one record (RFC 8446 section 5.1).
private let recordBytes = 16_384
/// How long a peer may take to read our last bytes before the connection is cut.
private let closeDeadline = TimeAmount.seconds(2)

extension TLSHandler {
  public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard state != .closing, state != .failing, state != .closed, !closesOutput else {
      promise?.fail(failure ?? endedError())
      return
    }
    pendingWrites.append(PendingWrite(data: unwrapOutboundIn(data), promise: promise))
  }

  public func flush(context: ChannelHandlerContext) {
    pendingWrites.mark()
    encryptPending(context)
    context.flush()
  }

  public func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { encryptPending(context) }
    // While plaintext still waits here the application is not to add more.
    if !context.channel.isWritable || !pendingWrites.hasMark { context.fireChannelWritabilityChanged() }
  }

  /// Encrypts what was flushed, while the channel takes it.
  func encryptPending(_ context: ChannelHandlerContext) {
    guard state == .established, !isEncrypting else { return }
    isEncrypting = true
    defer { isEncrypting = false }
    while state == .established, pendingWrites.hasMark, context.channel.isWritable {
      var promises: [EventLoopPromise<Void>] = []
      if let error = encryptChunk(context, &promises) {
        for promise in promises { promise.fail(error) }
        return fail(context, error)
      }
      let first = promises.first
      for promise in promises.dropFirst() { first?.futureResult.cascade(to: promise) }
      send(context, promise: first)
    }
    if closesOutput, !pendingWrites.hasMark { finishOutput(context) }
  }

  /// Encrypts up to one chunk; `promises` receives those of the writes that are whole in it.
  private func encryptChunk(_ context: ChannelHandlerContext, _ promises: inout [EventLoopPromise<Void>]) -> TLSError? {
    var gathered: ByteBuffer?
    func encrypt(_ bytes: UnsafeRawBufferPointer) -> TLSError? {
      switch connection.encrypt(bytes) {
      case .complete: nil
      case .failed(let error): error
      case .incomplete, .ended: endedError()
      }
    }
    func sealGathered() -> TLSError? {
      guard let buffer = gathered else { return nil }
      gathered = nil
      return buffer.withUnsafeReadableBytes { encrypt($0) }
    }
    while pendingWrites.hasMark, connection.outboundBytes + (gathered?.readableBytes ?? 0) < maximumChunkBytes {
      let index = pendingWrites.startIndex
      let count = pendingWrites[index].data.readableBytes
      if count < shortWriteBytes, gathered != nil || pendingWrites.count > 1 {
        if (gathered?.readableBytes ?? 0) + count > recordBytes, let error = sealGathered() { return error }
        if gathered == nil { gathered = context.channel.allocator.buffer(capacity: recordBytes) }
        gathered?.writeImmutableBuffer(pendingWrites[index].data)
        pendingWrites[index].data.moveReaderIndex(forwardBy: count)
      } else {
        if let error = sealGathered() { return error }
        let piece = min(count, maximumChunkBytes)
        let error = pendingWrites[index].data.readWithUnsafeReadableBytes { bytes in
          (piece, encrypt(UnsafeRawBufferPointer(rebasing: bytes[..<piece])))
        }
        if let error { return error }
      }
      if pendingWrites[index].data.readableBytes == 0, let done = pendingWrites.popFirst(), let promise = done.promise { promises.append(promise) }
    }
    return sealGathered()
  }

  /// Hands the ciphertext that waits to the channel. `promise` succeeds once it and all before it is written.
  func send(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
    guard let ciphertext = connection.takeOutbound() ?? promise.map({ _ in ByteBuffer() }) else { return }
    context.writeAndFlush(wrapOutboundOut(ciphertext), promise: promise)
  }

  // MARK: the end

  public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    switch mode {
    case .output: closeOutput(context, promise)
    case .input: context.close(mode: .input, promise: promise)
    case .all: closeOrderly(context, promise: promise)
    }
  }

  /// Ends our side once what was flushed is written: close_notify, then the transport's own end.
  private func closeOutput(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
    guard state == .established || state == .handshaking, !closesOutput else {
      promise?.fail(failure ?? endedError())
      return
    }
    closesOutput = true
    outputClosePromise = promise
    if state == .established, !pendingWrites.hasMark { finishOutput(context) }
  }

  private func finishOutput(_ context: ChannelHandlerContext) {
    guard !ownEnded else { return }
    ownEnded = true
    let promise = outputClosePromise
    outputClosePromise = nil
    failPendingWrites(endedError())
    connection.sendCloseNotify()
    send(context, promise: nil)
    if peerEnded {
      closeOrderly(context, promise: promise)
    } else {
      context.close(mode: .output, promise: promise)
    }
  }

  /// Sends close_notify and closes, as soon as the peer has ended its side too or a moment has passed; at once where the channel
  /// takes no more.
  func closeOrderly(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
    switch state {
    case .handshaking, .established: break
    case .idle, .closed:
      state = .closed
      context.close(mode: .all, promise: promise)
      return
    case .closing, .failing:
      // It is closing already: whoever asks is told when it is done.
      tellWhenClosed(promise)
      return
    }
    // Writes that were flushed before the peer ended still go out; a close by the application ends them, as in any channel.
    if peerEnded, !ownEnded { encryptPending(context) }
    guard state == .handshaking || state == .established else {
      tellWhenClosed(promise)
      return
    }
    state = .closing
    deadlineTask?.cancel()
    failPendingWrites(endedError())
    tellWhenClosed(promise)
    // Before the handshake is complete there is nothing to end.
    guard away == nil else { return close(context) }
    connection.discardInbound()
    if !ownEnded { connection.sendCloseNotify() }
    ownEnded = true
    guard connection.isEstablished, context.channel.isActive, context.channel.isWritable else { return close(context) }
    guard peerEnded else {
      send(context, promise: nil)
      return linger(context)
    }
    let written = context.eventLoop.makePromise(of: Void.self)
    send(context, promise: written)
    scheduleClose(context)
    written.futureResult.assumeIsolated().whenComplete { [weak self] _ in
      guard let self, let context = self.context else { return }
      self.close(context)
    }
  }

  /// Ends our side of the transport and waits a moment for the peer to end its own. Closing at once with unread bytes would reset
  /// the connection, and the reset would overtake our last bytes: an alert, or an answer that says what was wrong.
  func linger(_ context: ChannelHandlerContext) {
    guard context.channel.isActive, !connection.inboundEnded else { return close(context) }
    scheduleClose(context)
    let ended = context.eventLoop.makePromise(of: Void.self)
    ended.futureResult.assumeIsolated().whenFailure { [weak self] _ in
      guard let self, let context = self.context else { return }
      self.close(context)
    }
    context.close(mode: .output, promise: ended)
    if state == .failing { context.read() }
  }

  private func scheduleClose(_ context: ChannelHandlerContext) {
    guard state == .closing || state == .failing else { return }
    deadlineTask = context.eventLoop.assumeIsolated().scheduleTask(in: closeDeadline) { [weak self] in
      guard let self, let context = self.context else { return }
      self.close(context)
    }
  }

  /// Closes the channel, once.
  func close(_ context: ChannelHandlerContext) {
    guard state != .closed else { return }
    state = .closed
    deadlineTask?.cancel()
    let promise = closePromise
    closePromise = nil
    context.close(mode: .all, promise: promise)
  }

  /// Keeps a promise until the channel is closed.
  private func tellWhenClosed(_ promise: EventLoopPromise<Void>?) {
    guard let promise else { return }
    if let closePromise {
      closePromise.futureResult.cascade(to: promise)
    } else {
      closePromise = promise
    }
  }
}
