import Crypto
import Foundations
import Guard
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TLS

/// The device's one port: accepts, hands each connection to TLS and then to the API, and closes them when the device's state changes.
final class APIListener: Sendable {
  private let group: any EventLoopGroup
  private let device: Device
  private let api: APIServer
  private let log: DeviceLog
  private let limits: ConnectionLimits
  private let grades: GradeHolder
  private let watch: Guard
  private let turns: HandshakeTurns
  private let ledger: ConnectionLedger
  private let refusals: RefusalLog
  private let context: NIOLockedValueBox<Device.Credentials>
  private let server = NIOLockedValueBox<(any Channel)?>(nil)
  private let arrivals = NIOLockedValueBox<(@Sendable (DeviceIdentifier) -> Void)?>(nil)

  /// - Parameter watch: is told of each refused handshake, and says whose connections are not worth one.
  init(
    group: any EventLoopGroup, device: Device, api: APIServer, log: DeviceLog, limits: ConnectionLimits, grades: GradeHolder, watch: Guard
  ) throws {
    self.group = group
    self.device = device
    self.api = api
    self.log = log
    self.limits = limits
    self.grades = grades
    self.watch = watch
    turns = HandshakeTurns(most: limits.maximumHandshakesOfSuspects)
    ledger = ConnectionLedger(limits: limits)
    refusals = RefusalLog(log: log)
    context = NIOLockedValueBox(try device.credentials())
  }

  /// Binds. Returns the address that it serves.
  ///
  /// - Parameter host: an address; nil for every address of both families.
  func start(host: String?, port: Int) async throws -> SocketAddress {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { [self] channel in admit(channel) }
    let channel: any Channel
    do {
      if let host {
        channel = try await bootstrap.bind(to: SocketAddress(ipAddress: host, port: port)).get()
      } else {
        channel = try await bindBothFamilies(bootstrap, port: port)
      }
    } catch {
      throw RuntimeError(
        code: "listen-failed", reason: "port \(port) on \(host ?? "every address") cannot be served: is another process using it?", cause: error)
    }
    server.withLockedValue { $0 = channel }
    guard let address = channel.localAddress else {
      throw RuntimeError(code: "listen-failed", reason: "the listener on port \(port) has no address")
    }
    return address
  }

  /// One socket for both families (RFC 3493 section 5.3), or IPv4 alone where the kernel has no IPv6.
  private func bindBothFamilies(_ bootstrap: ServerBootstrap, port: Int) async throws -> any Channel {
    do {
      return try await bootstrap.bind(to: SocketAddress(ipAddress: "::", port: port)).get()
    } catch let error as IOError where error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL {
      return try await bootstrap.bind(to: SocketAddress(ipAddress: "0.0.0.0", port: port)).get()
    }
  }

  /// Refusing comes first: a connection too many costs no TLS object.
  private func admit(_ channel: any Channel) -> EventLoopFuture<Void> {
    let peer = ConnectionLedger.peerKey(channel.remoteAddress)
    guard let number = ledger.admit(channel) else {
      refusals.note("a connection of \(peer) was closed: too many are open")
      return channel.close()
    }
    let turns = turns
    channel.closeFuture.whenComplete { _ in turns.done(number) }
    // Under load handshakes are what costs.
    guard grades.grade >= .restricted, watch.isOver(peer, at_ms: BootClock.now_ms()) else { return start(channel, number, peer) }
    return turns.turn(number, on: channel.eventLoop).flatMap { [self] in start(channel, number, peer) }
  }

  /// TLS, and the API once the handshake is complete.
  private func start(_ channel: any Channel, _ number: UInt64, _ peer: String) -> EventLoopFuture<Void> {
    let credentials = context.withLockedValue { $0 }
    return channel.eventLoop.makeCompletedFuture {
      let tls = try TLSHandler(server: credentials.context, handshakeDeadline: .milliseconds(limits.handshakeDeadline_ms))
      let gate = HandshakeGate(
        completed: { [self] channel, handshake in
          turns.done(number)
          guard let certificate = handshake.peer else { throw RuntimeError(code: "no-certificate", reason: "the client has no certificate") }
          let judge = device.judge(of: certificate, generation: credentials.generation)
          arrived(judge(true), handshake, credentials, number)
          // Both are handlers of this channel and used on its event loop. A connection that cannot be named is one over which nothing can be proved.
          let binding = { (try? tls.channelBinding(label: LabelProof.exporterLabel)) ?? [] }
          try api.configure(channel, connection: number, binding: binding) { judge(false) }
        },
        refused: { [refusals, watch] error in
          refusals.note("a connection of \(peer) was refused: \(error)")
          guard let error = error as? TLSError, !Self.noFaultOfPeers.contains(error.code) else { return }
          watch.take(.authenticationRefused(peer: peer, reason: error.code, at_ms: BootClock.now_ms()))
        })
      try channel.pipeline.syncOperations.addHandlers([tls, gate])
    }
  }

  /// Ends of a handshake in which nobody tried to be somebody, or which this device is to blame for.
  private static let noFaultOfPeers: Set<String> = ["truncated", "connection-closed", "signature-busy", "signature-failed"]

  /// What a handshake that is complete tells beside who may now ask.
  private func arrived(_ decision: CallerDecision, _ handshake: TLSHandshakeCompleted, _ credentials: Device.Credentials, _ number: UInt64) {
    switch decision {
    case .allowed(.admin, _, _):
      guard handshake.showedAlternative, let candidate = credentials.candidate else { return }
      let device = device
      // It writes, which is not for an event loop.
      Task.detached { device.renewalProved(candidate) }
    case .peer(let peer):
      for channel in ledger.isOf(peer, number) { channel.close(promise: nil) }
      arrivals.withLockedValue { $0 }?(peer)
    case .allowed, .refused: return
    }
  }

  /// Calls `handler`, which must not wait, with each device of the owner's that has completed a handshake.
  func onPeer(_ handler: @escaping @Sendable (DeviceIdentifier) -> Void) { arrivals.withLockedValue { $0 = handler } }

  /// Shows the device's present certificates; whoever is connected stays so.
  func credentialsChanged() throws {
    let credentials = try device.credentials()
    context.withLockedValue { $0 = credentials }
  }

  /// Serves the device's new state, and closes every connection but the one that asked for it.
  func stateChanged(by connection: UInt64) throws {
    let credentials = try device.credentials()
    context.withLockedValue { $0 = credentials }
    for channel in ledger.channels(except: connection) { channel.close(promise: nil) }
  }

  /// Closes the connections of those who are not let in any more, by the grade or by the owner's revocation list; the others go on.
  func review() {
    for channel in ledger.channels() { channel.pipeline.fireUserInboundEventTriggered(APIReview()) }
  }

  /// Accepts nobody more, lets answers under way finish within `grace_ms`, then closes what is left.
  func shutDown(grace_ms: UInt64) async {
    ledger.close()
    try? await server.withLockedValue { $0 }?.close().get()
    for channel in ledger.channels() {
      channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(APIShutdown()) }
    }
    let end_ms = BootClock.now_ms() + grace_ms
    while ledger.count > 0, BootClock.now_ms() < end_ms {
      do { try await Task.sleep(for: .milliseconds(10)) } catch { break }
    }
    for channel in ledger.channels() { channel.close(promise: nil) }
  }
}

/// Adds the API when, and only when, the handshake is complete.
private final class HandshakeGate: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let completed: (any Channel, TLSHandshakeCompleted) throws -> Void
  private let refused: (any Error) -> Void
  private var isOpen = false

  init(completed: @escaping (any Channel, TLSHandshakeCompleted) throws -> Void, refused: @escaping (any Error) -> Void) {
    self.completed = completed
    self.refused = refused
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let handshake = event as? TLSHandshakeCompleted, !isOpen {
      do {
        try completed(context.channel, handshake)
        isOpen = true
      } catch {
        refused(error)
        context.close(promise: nil)
      }
    } else if event is APIShutdown, !isOpen {
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if isOpen { return context.fireErrorCaught(error) }
    refused(error)
    context.close(promise: nil)
  }
}

/// Refusals in the log, at most 20 a minute: who can only knock must not be able to wash the log out.
private final class RefusalLog: Sendable {
  private static let window_ms: UInt64 = 60_000
  private static let maximum = 20

  private struct State {
    var windowStart_ms: UInt64 = 0
    var noted = 0
    var left = 0
  }
  private let log: DeviceLog
  private let state = NIOLockedValueBox(State())

  init(log: DeviceLog) { self.log = log }

  func note(_ text: String) {
    let now_ms = BootClock.now_ms()
    let (shows, left): (Bool, Int) = state.withLockedValue { state in
      var left = 0
      if now_ms - state.windowStart_ms >= Self.window_ms {
        left = state.left
        state = State(windowStart_ms: now_ms)
      }
      guard state.noted < Self.maximum else {
        state.left += 1
        return (false, left)
      }
      state.noted += 1
      return (true, left)
    }
    if left > 0 { log.append(.warning, source: "tls", "\(left) more connections were refused before") }
    if shows { log.append(.notice, source: "tls", text) }
  }
}
