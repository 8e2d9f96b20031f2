public import Foundations
internal import Glibc
public import NIOCore
internal import NIOPosix

/// Announces a device on its link by multicast DNS, and looks for others there: a `Responder` with a socket and a clock. Any thread may call; nothing waits.
///
/// While nothing is announced there is no socket, and no packet is sent or received.
public final class Neighbourhood: Sendable {
  public enum State: Sendable, Equatable {
    case off, probing, announced
    /// Somebody else has the name; silent until something else is announced.
    case conflict
    /// The socket could not be made, or failed; it is tried again.
    case failed
  }
  /// What is announced, and how many leading bits of its address all neighbours share.
  public struct Link: Sendable, Equatable {
    public let announcement: Announcement
    public let prefixLength: UInt8

    public init(_ announcement: Announcement, prefixLength: UInt8) {
      self.announcement = announcement
      self.prefixLength = prefixLength
    }

    /// Whether `address` is a neighbour's: IPv4, and of the same network.
    func isNeighbour(_ address: NetworkAddress) -> Bool {
      let own = announcement.address
      guard address.isIPv4, own.isIPv4 else { return false }
      let mask: UInt32 = prefixLength == 0 ? 0 : .max << (32 - UInt32(min(prefixLength, 32)))
      let number = { (bytes: [UInt8]) in bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }
      return number(address.bytes) & mask == number(own.bytes) & mask
    }
  }

  private let eventLoop: any EventLoop
  private let engine: NIOLoopBound<NeighbourhoodEngine>

  /// - Parameters:
  ///   - eventLoop: a loop of NIOPosix.
  ///   - loops: whether programs on this very machine are neighbours too: on a development host.
  ///   - log: called on the event loop.
  public static func make(
    eventLoop: any EventLoop, loops: Bool, log: @escaping @Sendable (LogLevel, String) -> Void
  ) -> EventLoopFuture<Neighbourhood> {
    eventLoop.submit { Neighbourhood(eventLoop, NeighbourhoodEngine(eventLoop: eventLoop, loops: loops, log: log)) }
  }

  /// On the event loop.
  private init(_ eventLoop: any EventLoop, _ engine: NeighbourhoodEngine) {
    self.eventLoop = eventLoop
    self.engine = NIOLoopBound(engine, eventLoop: eventLoop)
  }

  /// Calls `handler` on the event loop with each change of state; it must not wait.
  public func onChange(_ handler: @escaping @Sendable (State) -> Void) { eventLoop.execute { self.engine.value.changed = handler } }

  /// Calls `handler` on the event loop with what is said of devices that are looked for; it must not wait.
  public func onSighting(_ handler: @escaping @Sendable ([Sighting]) -> Void) { eventLoop.execute { self.engine.value.sighted = handler } }

  /// This is announced from now on, in place of whatever was; nil for nothing.
  ///
  /// - Parameter saysGoodbye: whether the neighbours are told that what was announced is no more; false where nothing may be sent.
  public func announce(_ link: Link?, saysGoodbye: Bool) { eventLoop.execute { self.engine.value.follow(link, saysGoodbye: saysGoodbye) } }

  /// These devices are looked for from now on, while anything is announced: questions begin anew.
  public func seek(_ devices: Set<DeviceIdentifier>) { eventLoop.execute { self.engine.value.seek(devices) } }

  /// Says good-bye, where something was announced, and ends.
  public func stop() -> EventLoopFuture<Void> { eventLoop.submit { self.engine.value.follow(nil, saysGoodbye: true) } }
}

/// What it does, all of it on its event loop.
private final class NeighbourhoodEngine {
  /// A socket that fails is opened again after this: an interface that is going down gives ENETDOWN, and its address may go a moment later.
  static let reopen_ms: Int64 = 5_000
  /// NIODeadline does not count while the machine sleeps and the clock does, so no timer is longer than a minute.
  static let longestTimer_ms: UInt64 = 60_000
  /// Between two questions: each pause is twice the one before (RFC 6762 section 5.2). Who comes back announces itself, and is not waited for.
  static let firstQuestion_ms: UInt64 = 1_000
  static let longestQuestion_ms: UInt64 = 3_600_000

  var changed: (@Sendable (Neighbourhood.State) -> Void)?
  var sighted: (@Sendable ([Sighting]) -> Void)?
  private let eventLoop: any EventLoop
  private let loops: Bool
  private let log: @Sendable (LogLevel, String) -> Void
  private var link: Neighbourhood.Link?
  private var responder: Responder?
  private var channel: (any Channel)?
  /// Counts what was announced: what comes of a former channel is not this one's.
  private var generation: UInt64 = 0
  private var timer: Scheduled<Void>?
  private var state = Neighbourhood.State.off
  private var sought: Set<DeviceIdentifier> = []
  private var sightings = Sightings()
  private var question_ms: UInt64 = 0
  private var pause_ms = NeighbourhoodEngine.firstQuestion_ms

  init(eventLoop: any EventLoop, loops: Bool, log: @escaping @Sendable (LogLevel, String) -> Void) {
    self.eventLoop = eventLoop
    self.loops = loops
    self.log = log
  }

  private func become(_ state: Neighbourhood.State) {
    guard state != self.state else { return }
    self.state = state
    changed?(state)
  }

  // MARK: What is announced

  func follow(_ link: Neighbourhood.Link?, saysGoodbye: Bool) {
    guard link != self.link else { return }
    end(saysGoodbye: saysGoodbye)
    self.link = link
    guard link != nil else { return become(.off) }
    open()
  }

  private func end(saysGoodbye: Bool) {
    generation += 1
    timer?.cancel()
    timer = nil
    let farewell = responder?.goodbye()
    responder = nil
    sightings = Sightings()
    guard let channel else { return }
    self.channel = nil
    guard saysGoodbye, let farewell else { return channel.close(promise: nil) }
    send(farewell, on: channel).whenComplete { _ in channel.close(promise: nil) }
  }

  private func open() {
    guard let link else { return }
    let now = generation
    let descriptor: CInt
    do throws(SystemCallError) {
      descriptor = try MulticastSocket.open(interface: link.announcement.address, loops: loops)
    } catch {
      return fail("\(error)")
    }
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    DatagramBootstrap(group: eventLoop)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: MulticastMessage.maximum_bytes))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(MulticastHandler(engine: bound.value, generation: now)) }
      }
      .withBoundSocket(descriptor)
      .hop(to: eventLoop)
      .whenComplete { result in bound.value.opened(result, now) }
  }

  private func opened(_ result: Result<any Channel, any Error>, _ generation: UInt64) {
    switch result {
    case .failure(let error):
      if generation == self.generation { fail("the socket cannot be used: \(error)") }
    case .success(let channel):
      guard generation == self.generation, let link else { return channel.close(promise: nil) }
      self.channel = channel
      let bound = NIOLoopBound(self, eventLoop: eventLoop)
      channel.closeFuture.hop(to: eventLoop).whenComplete { _ in bound.value.closed(generation) }
      become(.probing)
      responder = Responder(link.announcement, now_ms: BootClock.now_ms())
      askAnew()
      setTimer()
    }
  }

  private func closed(_ generation: UInt64) {
    guard generation == self.generation, channel != nil else { return }
    fail("the socket was closed")
  }

  private func fail(_ why: String) {
    end(saysGoodbye: false)
    if state != .failed { log(.warning, "announcing failed, and is tried again each \(Self.reopen_ms / 1_000) s: \(why)") }
    become(.failed)
    let now = generation
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    timer = eventLoop.scheduleTask(in: .milliseconds(Self.reopen_ms)) { if bound.value.generation == now { bound.value.open() } }
  }

  // MARK: Packets and time

  func receive(_ bytes: [UInt8], from source: SocketAddress, _ generation: UInt64) {
    // Whoever asks from another port wants an answer for itself alone (RFC 6762 section 6.7), which nobody gets here.
    guard generation == self.generation, let link, source.port == Int(MulticastSocket.port),
      let address = source.ipAddress.flatMap({ NetworkAddress($0) }), link.isNeighbour(address),
      // There is much on a network that is none; it is no news.
      let message = try? MulticastMessage(encoded: bytes)
    else { return }
    let outputs = responder?.receive(message, now_ms: BootClock.now_ms()) ?? []
    carryOut(outputs)
    look(at: message)
  }

  private func tick() {
    let now_ms = BootClock.now_ms()
    let outputs = responder?.timer(now_ms: now_ms) ?? []
    carryOut(outputs)
    askIfDue(now_ms)
    setTimer()
  }

  private func carryOut(_ outputs: [Responder.Output]) {
    for output in outputs {
      switch output {
      case .send(let message):
        if let channel { send(message, on: channel) }
      case .announced: become(.announced)
      case .conflict(let name):
        log(.error, "a neighbour claims the name \(name): nothing is announced any more")
        become(.conflict)
      }
    }
    setTimer()
  }

  @discardableResult
  private func send(_ message: MulticastMessage, on channel: any Channel) -> EventLoopFuture<Void> {
    do {
      let address = try SocketAddress(ipAddress: MulticastSocket.group.description, port: Int(MulticastSocket.port))
      let log = self.log
      let sent = channel.writeAndFlush(AddressedEnvelope(remoteAddress: address, data: channel.allocator.buffer(bytes: message.encoded)))
      sent.whenFailure { error in log(.notice, "a packet could not be sent: \(error)") }
      return sent
    } catch {
      return eventLoop.makeFailedFuture(error)
    }
  }

  private func setTimer() {
    timer?.cancel()
    timer = nil
    guard channel != nil else { return }
    let asks_ms = sought.isEmpty ? nil : question_ms
    guard let due_ms = [responder?.due_ms, asks_ms].compactMap({ $0 }).min() else { return }
    let now_ms = BootClock.now_ms()
    let wait_ms = due_ms > now_ms ? min(due_ms - now_ms, Self.longestTimer_ms) : 0
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    timer = eventLoop.scheduleTask(in: .milliseconds(Int64(wait_ms))) { bound.value.tick() }
  }

  // MARK: Looking for others

  func seek(_ devices: Set<DeviceIdentifier>) {
    sought = devices
    askAnew()
    setTimer()
  }

  private func askAnew() {
    pause_ms = Self.firstQuestion_ms
    question_ms = BootClock.now_ms() + UInt64.random(in: Responder.sharedDelay_ms)
  }

  private func askIfDue(_ now_ms: UInt64) {
    guard !sought.isEmpty, now_ms >= question_ms, let channel else { return }
    for device in sought { send(Sightings.question(about: device), on: channel) }
    question_ms = now_ms + pause_ms
    pause_ms = min(2 * pause_ms, Self.longestQuestion_ms)
  }

  private func look(at message: MulticastMessage) {
    guard !sought.isEmpty, message.isResponse else { return }
    sightings.take(message)
    let found = sightings.all.filter { sought.contains($0.device) }
    if !found.isEmpty { sighted?(found) }
  }
}

/// Hands datagrams to the engine.
private final class MulticastHandler: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  private let engine: NeighbourhoodEngine
  private let generation: UInt64

  init(engine: NeighbourhoodEngine, generation: UInt64) {
    self.engine = engine
    self.generation = generation
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    engine.receive(Array(envelope.data.readableBytesView), from: envelope.remoteAddress, generation)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A failed read or write: the socket is made anew when it has closed.
    context.close(promise: nil)
  }
}
