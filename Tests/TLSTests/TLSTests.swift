import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import TLS

@Suite struct LoopbackTests {
  @Test func mutualHandshakeAndEcho() async throws {
    let world = try World()
    let group = MultiThreadedEventLoopGroup.singleton
    let server = try world.server()
    let listener = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(server: server, handshakeDeadline: .seconds(10)), Echo()])
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let client = try world.client()
    let result = listener.eventLoop.makePromise(of: String.self)
    let channel = try await ClientBootstrap(group: group)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([TLSHandler(client: client, handshakeDeadline: .seconds(10)), Asker(result)])
        }
      }
      .connect(to: listener.localAddress!).get()
    #expect(try await result.futureResult.get() == "hello TLSv1.3")
    try await channel.close()
    try await listener.close()
  }
}

final class Echo: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { print("server:", error) }
}

final class Asker: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  let result: EventLoopPromise<String>
  var version = ""
  init(_ result: EventLoopPromise<String>) { self.result = result }
  func channelActive(context: ChannelHandlerContext) { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "hello")), promise: nil) }
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let done = event as? TLSHandshakeCompleted { version = done.protocolVersion; print(done) }
  }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) { result.succeed(String(buffer: unwrapInboundIn(data)) + " " + version) }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { print("client:", error); result.fail(error) }
  func channelInactive(context: ChannelHandlerContext) { result.fail(ChannelError.eof) }
}

struct World {
  let authority: CertificateIssuer
  let now = WallClock(floor_s: 1_700_000_000)
  let usage = ASN1ObjectIdentifier("2.25.86869528671686314334224178961834048173.1.2")!
  init() throws {
    let key = try PrivateKey.generateP256()
    let t = CertificateTemplate(kind: .authority(pathLength: 0), subject: .init(commonName: "test authority"), notBefore_s: now.now_s() - 3600, notAfter_s: now.now_s() + 86400)
    authority = try CertificateIssuer(certificate: CertificateIssuer.selfSigned(t, key: key), key: key)
  }
  func leaf(_ name: String, usages: [ASN1ObjectIdentifier]) throws -> (Certificate, PrivateKey) {
    let key = try PrivateKey.generateP256()
    let t = CertificateTemplate(kind: .leaf, subject: .init(commonName: name), notBefore_s: now.now_s() - 3600, notAfter_s: now.now_s() + 86400, extendedKeyUsages: usages, names: [.dns("haechi-test")])
    return (try authority.issue(t, publicKey: key.publicKey), key)
  }
  func server() throws -> TLSServerContext {
    let (c, k) = try leaf("server", usages: [.serverAuthentication])
    return try TLSServerContext(chain: [c], key: k, trust: .authority([authority.certificate], requiredUsage: usage), clock: now, tickets: SessionTicketKeys())
  }
  func client() throws -> TLSClientContext {
    let (c, k) = try leaf("client", usages: [.clientAuthentication, usage])
    return try TLSClientContext(chain: [c], key: k, trust: .authority([authority.certificate], name: .dns("haechi-test")), clock: now)
  }
}
