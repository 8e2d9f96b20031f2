public import Foundations
internal import Glibc
public import NIOCore
internal import NIOPosix

/// Who sets the lease on the interface: the runtime may not, so it asks somebody who may.
public protocol DHCPLeaseHolder: Sendable {
  /// Sets address, route and resolvers in place of whatever was there; returns when they are set.
  func apply(_ lease: DHCPLease) async throws
  /// Removes what was set.
  func drop() async throws
}

/// Runs a `DHCPClient` on one event loop, on a socket that it is handed.
///
/// The socket is a UDP one, bound to port 68 and to the interface (SO_BINDTODEVICE), with SO_BROADCAST: making it needs a privilege,
/// using it does not. The interface's reverse path filter must be off (the kernel's default): before there is an address, a
/// server's answer comes from an address that no route leads to.
///
/// It calls the lease holder's methods one after the other and never two at a time. When several changes come while one is
/// at work, only the newest is done afterwards: each replaces the ones before.
public final class DHCPDriver: Sendable {
  private let eventLoop: any EventLoop
  private let engine: NIOLoopBound<DHCPEngine>

  /// - Parameters:
  ///   - socket: owned from here on; closed by `stop()`.
  ///   - eventLoop: a loop of NIOPosix.
  ///   - log: called on the event loop.
  /// - Returns: a driver that believes that the link is down.
  public static func make(
    socket: CInt, configuration: DHCPClientConfiguration, eventLoop: any EventLoop, holder: any DHCPLeaseHolder,
    log: @escaping @Sendable (LogLevel, String) -> Void
  ) -> EventLoopFuture<DHCPDriver> {
    eventLoop.submit {
      let client = DHCPClient(configuration: configuration, random: SystemRandomNumberGenerator())
      return DHCPDriver(
        eventLoop: eventLoop, engine: DHCPEngine(socket: socket, client: client, eventLoop: eventLoop, holder: holder, log: log))
    }
  }

  /// On the event loop.
  private init(eventLoop: any EventLoop, engine: DHCPEngine) {
    self.eventLoop = eventLoop
    self.engine = NIOLoopBound(engine, eventLoop: eventLoop)
  }

  /// The interface's carrier came or went; from any thread.
  public func linkChanged(up: Bool) {
    eventLoop.execute { self.engine.value.run(up ? .linkUp : .linkDown) }
  }

  /// The state of the client and what is set on the interface.
  public func status() -> EventLoopFuture<(state: DHCPClient.State, lease: DHCPLease?)> {
    eventLoop.submit { (self.engine.value.client.state, self.engine.value.client.lease) }
  }

  /// Ends: closes the socket and says nothing more. What is set on the interface stays until its time is over.
  public func stop() -> EventLoopFuture<Void> {
    eventLoop.flatSubmit { self.engine.value.stop() }
  }
}

/// What the driver does, all of it on its event loop.
private final class DHCPEngine {
  enum Change {
    case apply(DHCPLease)
    case drop
  }

  /// A socket that fails is opened again after this time: an interface that is going down gives ENETDOWN, and the link message that
  /// says so may come later.
  static let reopen_ms: Int64 = 1_000
  /// NIODeadline does not count while the machine sleeps and the client's clock does, so no timer is longer than a minute.
  static let longestTimer_ms: UInt64 = 60_000

  var client: DHCPClient
  private let socket: CInt
  private let eventLoop: any EventLoop
  private let holder: any DHCPLeaseHolder
  private let log: @Sendable (LogLevel, String) -> Void
  private var channel: (any Channel)?
  private var isOpening = false
  private var isStopped = false
  private var timer: Scheduled<Void>?
  private var isChanging = false
  private var nextChange: Change?
  /// Sent while the channel was not open yet; the newest only.
  private var unsent: (DHCPMessage, to: IPv4Address)?

  init(
    socket: CInt, client: DHCPClient, eventLoop: any EventLoop, holder: any DHCPLeaseHolder,
    log: @escaping @Sendable (LogLevel, String) -> Void
  ) {
    self.socket = socket
    self.client = client
    self.eventLoop = eventLoop
    self.holder = holder
    self.log = log
    open()
  }

  deinit { if !isStopped { close(socket) } }

  func run(_ input: DHCPClient.Input) {
    guard !isStopped else { return }
    for output in client.handle(input, now_ms: BootClock.now_ms()) {
      switch output {
      case .send(let message, let destination): send(message, to: destination)
      case .apply(let lease): change(.apply(lease))
      case .drop: change(.drop)
      case .setTimer(let at_ms): setTimer(at_ms: at_ms)
      case .clearTimer:
        timer?.cancel()
        timer = nil
      case .log(let level, let text): log(level, text)
      }
    }
  }

  func stop() -> EventLoopFuture<Void> {
    guard !isStopped else { return eventLoop.makeSucceededVoidFuture() }
    isStopped = true
    timer?.cancel()
    nextChange = nil
    close(socket)
    guard let channel else { return eventLoop.makeSucceededVoidFuture() }
    channel.close(promise: nil)
    return channel.closeFuture
  }

  private func setTimer(at_ms: UInt64) {
    timer?.cancel()
    let wait_ms = min(at_ms.since(BootClock.now_ms()), Self.longestTimer_ms)
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    // An early call makes the client set the timer again.
    timer = eventLoop.scheduleTask(in: .milliseconds(Int64(wait_ms))) { bound.value.run(.timer) }
  }

  // MARK: The socket

  /// Each channel has a duplicate: NIO closes a channel on the first failed write, and only the supervisor could make the socket again.
  private func open() {
    guard !isStopped, channel == nil, !isOpening else { return }
    isOpening = true
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    let copy = fcntl(socket, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else {
      log(.error, SystemCallError("fcntl", number: errno, subject: "DHCP socket").description)
      return reopenLater()
    }
    DatagramBootstrap(group: eventLoop)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2_048))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DHCPDatagramHandler(engine: bound.value)) }
      }
      .withBoundSocket(copy)
      .hop(to: eventLoop)
      .whenComplete { result in bound.value.opened(result) }
  }

  private func opened(_ result: Result<any Channel, any Error>) {
    switch result {
    case .failure(let error):
      log(.error, "the DHCP socket cannot be used: \(error)")
      reopenLater()
    case .success(let channel):
      isOpening = false
      if isStopped { return channel.close(promise: nil) }
      self.channel = channel
      let bound = NIOLoopBound(self, eventLoop: eventLoop)
      channel.closeFuture.hop(to: eventLoop).whenComplete { _ in bound.value.closed() }
      if let (message, destination) = unsent {
        unsent = nil
        send(message, to: destination)
      }
    }
  }

  private func closed() {
    channel = nil
    isOpening = true
    reopenLater()
  }

  private func reopenLater() {
    guard !isStopped else { return }
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    eventLoop.scheduleTask(in: .milliseconds(Self.reopen_ms)) {
      bound.value.isOpening = false
      bound.value.open()
    }
  }

  private func send(_ message: DHCPMessage, to destination: IPv4Address) {
    guard let channel else {
      unsent = (message, to: destination)
      return
    }
    do {
      let bytes = try message.serialized()
      let address = try SocketAddress(ipAddress: destination.description, port: 67)
      let log = self.log
      channel.writeAndFlush(AddressedEnvelope(remoteAddress: address, data: channel.allocator.buffer(bytes: bytes)))
        .whenFailure { error in log(.notice, "a packet to \(destination) could not be sent: \(error)") }
    } catch {
      log(.error, "a message could not be made: \(error)")
    }
  }

  // MARK: The lease

  private func change(_ change: Change) {
    nextChange = change
    startChange()
  }

  private func startChange() {
    guard !isChanging, let change = nextChange else { return }
    nextChange = nil
    isChanging = true
    let holder = self.holder
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    eventLoop.makeFutureWithTask {
      switch change {
      case .apply(let lease): try await holder.apply(lease)
      case .drop: try await holder.drop()
      }
    }.whenComplete { result in bound.value.changed(change, result) }
  }

  private func changed(_ change: Change, _ result: Result<Void, any Error>) {
    isChanging = false
    if case .failure(let error) = result {
      switch change {
      // A lease that has been replaced meanwhile is no longer missed.
      case .apply where nextChange == nil: run(.applyFailed(reason: "\(error)"))
      case .apply: break
      case .drop: log(.error, "the address could not be removed from the interface: \(error)")
      }
    }
    startChange()
  }
}

/// Hands datagrams from port 67 to the engine.
private final class DHCPDatagramHandler: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  private let engine: DHCPEngine

  init(engine: DHCPEngine) { self.engine = engine }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    // Servers and relays answer from the server port (RFC 2131 section 4.1).
    guard envelope.remoteAddress.port == 67 else { return }
    engine.run(.datagram(Array(envelope.data.readableBytesView)))
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A failed read or write: the channel is made anew when it has closed.
    context.close(promise: nil)
  }
}
