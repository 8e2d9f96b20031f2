import Foundations
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import SupervisorLink

/// Why the supervisor was not reached.
///
/// Codes: `link-failed`, `link-busy`, `link-full`, `no-answer`, `link-closed`, `not-signed`.
struct SupervisorError: HaechiError {
  let code: String
  let reason: String
  let cause: (any Error)?

  init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}

/// The runtime's end of the link to the supervisor: a `SOCK_SEQPACKET` socket, one packet a message.
///
/// Packets come in by an event loop. They go out by send(2) and not by the channel, whose writev(2) would merge several into one packet.
/// No call waits: a packet that does not fit is not sent, and the caller hears so.
final class SupervisorClient: Sendable {
  /// A worker of the supervisor's checks three signatures, and another one makes durable what the owner said: at most 5 s each, and one that runs
  /// already is waited for.
  static let statementDeadline_ms: Int64 = 16_000
  /// Keeping the identity is a worker's job of at most 15 s, and one that runs already is waited for.
  static let commitDeadline_ms: Int64 = 35_000
  /// Making the storage anew is a worker's job of at most 60 s.
  static let remakeDeadline_ms: Int64 = 65_000
  /// Requests without answer at one time.
  static let maximumRequests = 64

  private struct State {
    var next: UInt32 = 0
    var waiting: [UInt32: EventLoopPromise<RequestOutcome>] = [:]
    /// Threads that wait for a signature.
    var signing: [UInt32: SignatureSlot] = [:]
    var isClosed = false
    var budget = PacketBudget(now_ms: BootClock.now_ms())
  }

  private let state = NIOLockedValueBox(State())
  private let sending: SendingDescriptor
  private let eventLoop: any EventLoop
  private let channel: any Channel
  private let answerDeadline_ms: Int64

  private init(sending: SendingDescriptor, eventLoop: any EventLoop, channel: any Channel, answerDeadline_ms: Int64) {
    self.sending = sending
    self.eventLoop = eventLoop
    self.channel = channel
    self.answerDeadline_ms = answerDeadline_ms
  }

  /// Takes over `descriptor` and starts to listen.
  ///
  /// - Parameters:
  ///   - answerDeadline_ms: how long a request waits that names no deadline of its own.
  ///   - receive: called on the event loop for each message but answers, in order. It must not wait.
  ///   - closed: called once when the supervisor is gone.
  static func start(
    descriptor: CInt, on eventLoop: any EventLoop, log: DeviceLog, answerDeadline_ms: Int64, receive: @escaping @Sendable (SupervisorMessage) -> Void,
    closed: @escaping @Sendable () -> Void
  ) async throws -> SupervisorClient {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else {
      throw SupervisorError(
        code: "link-failed", reason: "the descriptor \(descriptor) of the supervisor's link cannot be used",
        cause: SystemCallError("fcntl", number: errno, subject: "descriptor \(descriptor)"))
    }
    let sending = SendingDescriptor(adopting: copy)
    let handler = PacketHandler(log: log)
    let channel: any Channel
    do {
      channel = try await NIOPipeBootstrap(group: eventLoop)
        // Each read(2) gives one packet, cut to the buffer: one byte more than a packet of the supervisor's shows an oversized one.
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: SupervisorPacket.size + 1))
        .channelOption(.autoRead, value: false)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler) }
        }
        .takingOwnershipOfDescriptor(inputOutput: descriptor).get()
    } catch {
      throw SupervisorError(code: "link-failed", reason: "the link to the supervisor cannot be listened to", cause: error)
    }
    let client = SupervisorClient(sending: sending, eventLoop: eventLoop, channel: channel, answerDeadline_ms: answerDeadline_ms)
    handler.connect(
      receive: { message in
        switch message {
        case .answer(let request, let outcome): client.settle(request, outcome)
        case .signature(let request, let signature): client.settle(request, signature: signature)
        default: receive(message)
        }
      },
      closed: {
        client.fail()
        closed()
      })
    try await channel.setOption(.autoRead, value: true).get()
    return client
  }

  /// Sends a log line for the console, if there is room for it.
  func sendLog(_ level: LogLevel, source: ShortName, _ text: String) {
    let fits = state.withLockedValue { $0.budget.take(leaving: PacketBudget.reserve, now_ms: BootClock.now_ms()) }
    if fits { send(.log(level: level, source: source, text: SupervisorPacket.cut(text, to: SupervisorPacket.maximumLogBytes))) }
  }

  /// Sends without waiting. Returns false where the link is full or closed.
  @discardableResult
  func send(_ message: RuntimeMessage) -> Bool { sending.send(SupervisorPacket.encode(message)) }

  /// Asks and waits for the answer, at most `deadline_ms`; nil: as long as any.
  func request(
    deadline_ms: Int64? = nil, _ make: @Sendable (_ request: UInt32) -> RuntimeMessage
  ) async throws(SupervisorError) -> RequestOutcome {
    guard state.withLockedValue({ $0.budget.take(now_ms: BootClock.now_ms()) }) else {
      throw SupervisorError(code: "link-busy", reason: "more than \(Int(PacketBudget.perSecond)) requests a second are not passed on; try again")
    }
    let deadline_ms = deadline_ms ?? answerDeadline_ms
    let promise = eventLoop.makePromise(of: RequestOutcome.self)
    let number: UInt32? = state.withLockedValue { state in
      guard !state.isClosed, state.waiting.count < Self.maximumRequests else { return nil }
      state.next &+= 1
      state.waiting[state.next] = promise
      return state.next
    }
    guard let number else {
      promise.fail(SupervisorError(code: "link-full", reason: "too many requests wait"))
      throw SupervisorError(code: "link-full", reason: "the supervisor is gone or has \(Self.maximumRequests) requests to answer")
    }
    guard send(make(number)) else {
      settle(number, nil)
      throw SupervisorError(code: "link-full", reason: "the supervisor does not take requests now")
    }
    let deadline = eventLoop.scheduleTask(in: .milliseconds(deadline_ms)) { self.settle(number, nil) }
    defer { deadline.cancel() }
    do {
      return try await promise.futureResult.get()
    } catch {
      throw SupervisorError(code: "no-answer", reason: "the supervisor gave no answer within \(deadline_ms) ms", cause: error)
    }
  }

  /// The supervisor has a worker make a signature, of at most 5 s, and one that was started before is waited for.
  static let signatureDeadline_ms: Int64 = 11_000

  /// A signature of the device's own key over a SHA-256 digest, as the supervisor has it made. Waits on the calling thread, which is not to be an event
  /// loop's; on the link's own, which brings the answer, it is refused.
  func sign(_ digest: [UInt8]) throws(SupervisorError) -> [UInt8] {
    guard !eventLoop.inEventLoop else {
      throw SupervisorError(code: "link-failed", reason: "a signature was asked for on the thread that would have to bring it")
    }
    let slot = SignatureSlot()
    let number: UInt32? = state.withLockedValue { state in
      guard !state.isClosed, state.signing.count < Self.maximumRequests, state.budget.take(now_ms: BootClock.now_ms()) else { return nil }
      state.next &+= 1
      state.signing[state.next] = slot
      return state.next
    }
    guard let number else { throw SupervisorError(code: "link-busy", reason: "the supervisor is gone, or too much is asked of it") }
    defer { _ = state.withLockedValue { $0.signing.removeValue(forKey: number) } }
    guard send(.sign(request: number, digest: digest)) else {
      throw SupervisorError(code: "link-full", reason: "the supervisor does not take requests now")
    }
    switch slot.wait(deadline_ms: Self.signatureDeadline_ms) {
    case .signature(let signature): return signature
    case .refused(.busy): throw SupervisorError(code: "not-signed", reason: "too many signatures of the device's own key are asked for")
    case .refused(let outcome): throw SupervisorError(code: "not-signed", reason: "the supervisor did not have it signed: \(outcome); its log tells why")
    case .closed: throw SupervisorError(code: "link-closed", reason: "the supervisor is gone")
    case nil: throw SupervisorError(code: "no-answer", reason: "the supervisor gave no signature within \(Self.signatureDeadline_ms) ms")
    }
  }

  /// Hangs up: the supervisor sees the end at once, whoever still holds this.
  func close() async {
    try? await channel.close().get()
    sending.hangUp()
  }

  private func settle(_ number: UInt32, signature: [UInt8]) {
    state.withLockedValue { $0.signing[number] }?.put(.signature(signature))
  }

  private func settle(_ number: UInt32, _ outcome: RequestOutcome?) {
    if let outcome, let slot = state.withLockedValue({ $0.signing[number] }) { return slot.put(.refused(outcome)) }
    guard let promise = state.withLockedValue({ $0.waiting.removeValue(forKey: number) }) else { return }
    if let outcome {
      promise.succeed(outcome)
    } else {
      promise.fail(SupervisorError(code: "no-answer", reason: "request \(number) was given up"))
    }
  }

  private func fail() {
    let (waiting, signing) = state.withLockedValue { state in
      state.isClosed = true
      defer { state.waiting = [:] }
      return (state.waiting, state.signing)
    }
    for slot in signing.values { slot.put(.closed) }
    for promise in waiting.values { promise.fail(SupervisorError(code: "link-closed", reason: "the supervisor is gone")) }
  }
}

/// A copy of the link's descriptor for sending alone, so that it stays ours whatever the channel does with the other.
private final class SendingDescriptor: Sendable {
  private let number: CInt

  init(adopting number: CInt) { self.number = number }
  deinit { Glibc.close(number) }

  func hangUp() { shutdown(number, flag(SHUT_RDWR)) }

  func send(_ packet: [UInt8]) -> Bool {
    while true {
      let count = Glibc.send(number, packet, packet.count, flag(MSG_DONTWAIT) | flag(MSG_NOSIGNAL))
      if count == packet.count { return true }
      guard count < 0, errno == EINTR else { return false }
    }
  }
}

/// One inbound packet, one message; what is none is logged and dropped.
private final class PacketHandler: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer

  private struct Ends {
    var receive: @Sendable (SupervisorMessage) -> Void = { _ in }
    var closed: @Sendable () -> Void = {}
  }
  private let log: DeviceLog
  private let ends = NIOLockedValueBox(Ends())

  init(log: DeviceLog) { self.log = log }

  func connect(receive: @escaping @Sendable (SupervisorMessage) -> Void, closed: @escaping @Sendable () -> Void) {
    ends.withLockedValue { $0 = Ends(receive: receive, closed: closed) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    do {
      let message = try SupervisorPacket.decodeSupervisorMessage(Array(unwrapInboundIn(data).readableBytesView))
      ends.withLockedValue { $0.receive }(message)
    } catch {
      log.append(.error, source: "link", "a packet of the supervisor was dropped: \(error)")
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    ends.withLockedValue { $0.closed }()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    log.append(.error, source: "link", "the link to the supervisor failed: \(error)")
    context.close(promise: nil)
  }
}

// The same constants of <sys/socket.h> come as numbers or as an enumeration, depending on which module read the header first.
private func flag(_ value: Int) -> CInt { CInt(value) }
private func flag(_ value: Int32) -> CInt { value }
private func flag<Flag: RawRepresentable>(_ value: Flag) -> CInt where Flag.RawValue: BinaryInteger { CInt(value.rawValue) }
