internal import NIOCore

// Steps of a handshake that wait for a key which lies outside go on on another thread: an event loop that waits would keep every other connection waiting.
// While it is away the connection belongs to that thread, and nothing here touches it; what happens meanwhile is made good when it is back.

/// What happened while the connection was away.
struct AwayStep {
  /// At most what one read of the socket brings: nobody asks for more.
  var arrived: [ByteBuffer] = []
  /// The peer ended its side of the transport.
  var inputEnded = false
}

/// A connection on its way to another thread and back. Only one of them has it at a time.
private struct Traveller: @unchecked Sendable {
  let connection: TLSConnection
}

extension TLSHandler {
  /// Has the handshake's next step done on `thread`.
  func sendAway(_ context: ChannelHandlerContext, to thread: TLSServerContext.PatientThread) {
    // One that is away takes what has arrived meanwhile when it is back.
    guard away == nil else { return }
    // Where nothing has arrived there is nothing to do, and the thread is others' to use.
    guard connection.inboundBytes > 0 || connection.inboundEnded else { return }
    away = AwayStep()
    let traveller = Traveller(connection: connection)
    let home = NIOLoopBound(self, eventLoop: context.eventLoop)
    let eventLoop = context.eventLoop
    let isTaken = thread {
      let outcome = Returned(outcome: traveller.connection.handshake())
      eventLoop.execute { home.value.isBack(outcome.outcome) }
    }
    guard !isTaken else { return }
    away = nil
    fail(context, TLSError(code: "signature-busy", reason: "too many handshakes wait for the key of our certificate; this one is refused", side: .local))
  }

  private func isBack(_ outcome: TLSConnection.Outcome) {
    guard let meanwhile = away else { return }
    away = nil
    // It was ended meanwhile, and nobody waits for the outcome.
    guard let context, state == .handshaking else { return }
    for buffer in meanwhile.arrived { connection.receive(buffer) }
    if meanwhile.inputEnded { connection.inboundEnded = true }
    stepped(context, outcome)
    guard state == .handshaking else {
      // The application asked while it could not be heard.
      if state == .established, readRequested { context.read() }
      return
    }
    if !meanwhile.arrived.isEmpty || meanwhile.inputEnded { proceed(context) }
    if state == .handshaking, away == nil { context.read() }
  }
}

/// An outcome on its way back: an error of it is a value.
private struct Returned: @unchecked Sendable {
  let outcome: TLSConnection.Outcome
}
