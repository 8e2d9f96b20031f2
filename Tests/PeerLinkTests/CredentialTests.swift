import Crypto
import Foundations
import Identity
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import PeerLink

@Suite("What two peers show each other") struct CredentialTests {
  private static let now_s: Int64 = 1_700_000_000
  private let issuer: CertificateIssuer
  private let owner: OwnerIdentifier

  init() throws {
    let key = try PrivateKey.generateP256()
    issuer = try CertificateIssuer(certificate: try OwnerAuthorityProfile.make(key: key, now_s: Self.now_s), key: key)
    owner = OwnerIdentifier(publicKey: key.publicKey)
  }

  private func device(_ number: Int) throws -> DeviceIdentifier {
    try #require(DeviceIdentifier("aabbccddeeff001122" + (number < 10 ? "0" : "") + String(number)))
  }
  private func certificate(_ number: Int) throws -> (Certificate, PrivateKey) {
    let key = try PrivateKey.generateP256()
    let template = OperationalDeviceProfile.template(owner: owner, device: try device(number), now_s: Self.now_s)
    return (try issuer.issue(template, publicKey: key.publicKey), key)
  }
  private func credential(withdrawing withdrawn: Certificate? = nil) throws -> PeerCredential {
    let (certificate, key) = try certificate(1)
    return PeerCredential(chain: [certificate], key: key, owner: issuer.certificate) {
      $0 == withdrawn ? CertificateRefusal(.revoked, "it was withdrawn") : nil
    }
  }

  @Test("a peer's certificate is judged by its name, the owner's word and its dates")
  func judgement() throws {
    let (certificate, _) = try certificate(2)
    let plain = try credential()
    #expect(try plain.refusal(of: certificate, as: device(2), at: Self.now_s) == nil)
    #expect(try plain.refusal(of: certificate, as: device(3), at: Self.now_s)?.kind == .profile)
    #expect(try plain.refusal(of: certificate, as: device(2), at: certificate.notAfter_s + 1)?.kind == .expired)
    #expect(try credential(withdrawing: certificate).refusal(of: certificate, as: device(2), at: Self.now_s)?.kind == .revoked)
    let stranger = try CredentialTests()
    #expect(try stranger.credential().refusal(of: certificate, as: device(2), at: Self.now_s)?.kind == .profile)
  }

  /// Counts connections, and says nothing.
  private final class Counter: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    let opened: NIOLockedValueBox<Int>
    init(opened: NIOLockedValueBox<Int>) { self.opened = opened }
    func channelActive(context: ChannelHandlerContext) { opened.withLockedValue { $0 += 1 } }
  }

  private func eventually(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<24_000 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("never came true: \(what)")
  }

  @Test("a connection that was made with another credential is left, and is no failure")
  func change() async throws {
    let opened = NIOLockedValueBox(0)
    let group = MultiThreadedEventLoopGroup.singleton
    let server = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Counter(opened: opened)) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let shown = try credential()
    let asked = NIOLockedValueBox(0)
    let link = PeerLink(device: try device(1), group: group, clock: WallClock(floor_s: Self.now_s)) {
      asked.withLockedValue { $0 += 1 }
      return shown
    }
    let address = try #require(NetworkAddress("127.0.0.1"))
    let port = try #require(server.localAddress?.port)
    let place = try #require(PeerDestinations.Destination(address: address, port: UInt16(port)))
    link.follow([try device(2): place])
    try await eventually("it connects") { opened.withLockedValue { $0 } == 1 }
    link.credentialChanged()
    try await eventually("it connects anew") { opened.withLockedValue { $0 } == 2 }
    // A try that had come to its own end would have left its failure.
    #expect(asked.withLockedValue { $0 } == 2)
    #expect(try link.status(of: device(2))?.failure == nil)
    link.follow([:])
    try await server.close()
  }
}
