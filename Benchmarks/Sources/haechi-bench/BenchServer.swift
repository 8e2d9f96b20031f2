import Crypto
import DeviceCore
import Foundations
import Guard
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TLS

/// Serves until the process is ended. One event loop, as a device has. It waits on the main thread, without Swift concurrency there: callgrind
/// cannot follow a main thread that has become Dispatch's.
func serve(_ options: ServeOptions) throws {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  let server = try BenchServer(options)
  let api = try server.listen(group) { channel, number in try server.configureAPI(channel, number) }
  let answer = BodyHandler.answer(count: options.body_bytes)
  let bodies = try server.listen(group) { channel, _ in try channel.pipeline.syncOperations.addHandler(BodyHandler(answer: answer)) }
  say("listening \(api.localAddress?.port ?? 0) \(bodies.localAddress?.port ?? 0)")
  try api.closeFuture.wait()
}

/// The device's TLS and API behind a listener without its limits, with parts that can be left out.
final class BenchServer: Sendable {
  private let context: TLSServerContext
  private let api: APIServer
  private let owner: OwnerIdentifier
  private let clock: WallClock
  private let log: DeviceLog?
  private let watch: Guard?
  private let connections = NIOLockedValueBox<UInt64>(0)

  init(_ options: ServeOptions) throws {
    let clock = WallClock(floor_s: 0)
    let owner = try OwnerAuthorityProfile.check(options.owner)
    self.clock = clock
    self.owner = owner
    log = options.hasLog ? DeviceLog() : nil
    watch = options.hasGuard ? Guard { _ in } : nil
    context = try TLSServerContext(
      chain: [options.certificate], key: options.key, trust: .authority([options.owner], requiredUsage: HaechiObjectIdentifier.personUsage),
      policy: { certificate in
        do throws(CertificateRefusal) {
          _ = try PersonProfile.check(certificate, owner: owner)
          return nil
        } catch {
          return error
        }
      }, clock: clock, tickets: SessionTicketKeys())
    var limits = APILimits()
    // Connections stand idle for as long as a measurement of them lasts.
    limits.idleDeadline_ms = 600_000
    api = APIServer(service: BenchDevice(log: log, burst: options.burst), limits: limits)
  }

  /// Listens on a port that the kernel chooses; `configure` completes a connection's pipeline after its handshake.
  func listen(_ group: any EventLoopGroup, configure: @escaping @Sendable (any Channel, UInt64) throws -> Void) throws -> any Channel {
    try ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          let number = connections.withLockedValue { count in
            count += 1
            return count
          }
          let tls = try TLSHandler(server: context, handshakeDeadline: .seconds(60))
          let gate = Gate(completed: { channel in try configure(channel, number) }, refused: { [self] error in refused(error, channel.remoteAddress) })
          try channel.pipeline.syncOperations.addHandlers([tls, gate])
        }
      }
      .bind(host: "127.0.0.1", port: 0).wait()
  }

  /// The API, with the caller judged as the device judges it: names and role once, dates on each request.
  func configureAPI(_ channel: any Channel, _ number: UInt64) throws {
    let tls = try channel.pipeline.syncOperations.handler(type: TLSHandler.self)
    guard let certificate = tls.handshake?.peer else { throw ServeOptions.Problem(description: "a client without a certificate came through TLS") }
    let binding = { (try? tls.channelBinding(label: LabelProof.exporterLabel)) ?? [] }
    let identity = try PersonProfile.check(certificate, owner: owner)
    guard case .person(_, _, let role) = identity, let caller = CallerRole(rawValue: role.rawValue) else {
      throw ServeOptions.Problem(description: "\(identity) is no person")
    }
    let decision = CallerDecision.allowed(caller, name: identity.description, serial: certificate.serial?.description)
    try api.configure(channel, connection: number, binding: binding) { [clock] in
      if let refusal = certificate.refusal(at: clock.now_s()) { return .refused(reason: refusal.reason) }
      return decision
    }
  }

  private func refused(_ error: any Error, _ address: SocketAddress?) {
    let peer = address?.ipAddress ?? "unknown"
    log?.append(.notice, source: "tls", "a connection of \(peer) was refused: \(error)")
    guard let error = error as? TLSError, error.code != "truncated", error.code != "connection-closed" else { return }
    watch?.take(.authenticationRefused(peer: peer, reason: error.code, at_ms: BootClock.now_ms()))
  }
}

/// Completes the pipeline when, and only when, the handshake is complete.
private final class Gate: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let completed: (any Channel) throws -> Void
  private let refused: (any Error) -> Void
  private var isOpen = false

  init(completed: @escaping (any Channel) throws -> Void, refused: @escaping (any Error) -> Void) {
    self.completed = completed
    self.refused = refused
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard event is TLSHandshakeCompleted, !isOpen else { return context.fireUserInboundEventTriggered(event) }
    do {
      try completed(context.channel)
      isOpen = true
    } catch {
      refused(error)
      context.close(promise: nil)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if isOpen { return context.fireErrorCaught(error) }
    refused(error)
    context.close(promise: nil)
  }
}

/// Answers each request with the same large body: what TLS alone does with it. The API has no such end point.
private final class BodyHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let answer: ByteBuffer
  private let end = Array("\r\n\r\n".utf8)

  init(answer: ByteBuffer) { self.answer = answer }

  /// Made once: a device would not make its file anew for each reader.
  static func answer(count: Int) -> ByteBuffer {
    var answer = ByteBufferAllocator().buffer(capacity: count + 128)
    answer.writeString("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: \(count)\r\n\r\n")
    answer.writeRepeatingByte(0, count: count)
    return answer
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // The benchmark's client sends one whole head at a time.
    guard unwrapInboundIn(data).readableBytesView.suffix(4).elementsEqual(end) else { return context.close(promise: nil) }
    context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
  }
}
