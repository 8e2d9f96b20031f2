import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite struct HandshakeTests {
  @Test(arguments: [KeyAlgorithm.p256, .ed25519], [KeyAlgorithm.p256, .ed25519])
  func completesAndCarriesBothWays(_ own: KeyAlgorithm, _ theirs: KeyAlgorithm) throws {
    let world = try World()
    let client = try world.credential(algorithm: theirs)
    let wire = try Wire(server: world.server(credential: world.serverCredential(own)), client: world.client(client), seed: 7)
    defer { wire.end() }
    // Written before the handshake: must wait for it.
    let written = wire.write(Array("first".utf8), from: wire.client.channel)
    try wire.pump()
    try written.wait()
    let done = try #require(wire.server.recorder.completed)
    #expect(done.peer == client.certificate)
    #expect(done.protocolVersion == "TLSv1.3" && !done.resumed)
    #expect(wire.client.recorder.completed?.peer?.subjectCommonName == "server")
    #expect(wire.server.recorder.received == Array("first".utf8) && wire.server.recorder.early == 0)
    try wire.write(Array("second".utf8), from: wire.server.channel).also { try wire.pump() }.wait()
    #expect(wire.client.recorder.received == Array("second".utf8))
    #expect(wire.server.recorder.errors.isEmpty && wire.client.recorder.errors.isEmpty)
  }

  /// However the ciphertext is cut, down to one byte at a time, the plaintext is the same.
  @Test(arguments: [1, 2, 5, 17, 300, 16_384]) func survivesAnyFragmentation(_ largest: Int) throws {
    let world = try World()
    var random = SeededRandom(UInt64(largest))
    let wire = try Wire(server: world.server(), client: world.client(world.credential()), seed: UInt64(largest) + 1, largestFragment: largest)
    defer { wire.end() }
    var sent: [UInt8] = []
    for count in [0, 1, 100, 4095, 4096, 16_384, 20_000] {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      sent += bytes
      _ = wire.client.channel.write(ByteBuffer(bytes: bytes))
    }
    wire.client.channel.flush()
    #expect(try wire.pump(rounds: 2_000_000))
    let intact = wire.server.recorder.received == sent
    #expect(intact)
  }

  @Test func usesTheBestGroupThatTheLibraryHas() throws {
    let world = try World()
    let server = try world.server()
    let wire = try Wire(server: server, client: world.client(world.credential()))
    defer { wire.end() }
    try wire.pump()
    let expected = server.groups.contains("X25519MLKEM768") ? "X25519MLKEM768" : "x25519"
    #expect(wire.server.recorder.completed?.group == expected)
    #expect(server.groups.suffix(2) == ["X25519", "P-256"])
  }

  @Test func exportsTheSameKeyingMaterialOnBothSidesAndNoneBefore() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    #expect(throws: TLSError.self) { try wire.server.handler.exportKeyingMaterial(label: "EXPORTER-Channel-Binding", context: [], count: 32) }
    try wire.pump()
    let ours = try wire.server.handler.exportKeyingMaterial(label: "EXPORTER-Channel-Binding", context: [], count: 32)
    let theirs = try wire.client.handler.exportKeyingMaterial(label: "EXPORTER-Channel-Binding", context: [], count: 32)
    let other = try wire.client.handler.exportKeyingMaterial(label: "EXPORTER-Channel-Binding", context: [1], count: 32)
    #expect(ours.count == 32 && ours.isEqual(to: theirs) && !ours.isEqual(to: other))
  }

  @Test func closesInOrder() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    try wire.pump()
    wire.client.channel.close(promise: nil)
    try wire.pump()
    #expect(wire.server.recorder.inactive && wire.client.recorder.inactive)
    #expect(wire.server.recorder.errors.isEmpty && wire.client.recorder.errors.isEmpty)
    let late = wire.write([1], from: wire.client.channel)
    #expect(throws: (any Error).self) { try late.wait() }
  }

  @Test func anEndWithoutCloseNotifyIsTruncation() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    try wire.pump()
    wire.server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(wire.server.recorder.tlsErrors.map(\.code) == ["truncated"])
  }

  @Test func halfClosureLetsTheAnswerThrough() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()), allowsHalfClosure: true)
    defer { wire.end() }
    try wire.pump()
    // The peer's close_notify alone: an embedded channel cannot close half of itself.
    wire.server.readsByItself = true
    _ = wire.write(Array("question".utf8), from: wire.client.channel)
    wire.client.channel.close(mode: .output, promise: nil)
    try wire.pump()
    #expect(wire.server.recorder.received == Array("question".utf8))
    #expect(wire.server.recorder.inputClosed && wire.server.recorder.errors.isEmpty)
    let answered = wire.write(Array("answer".utf8), from: wire.server.channel)
    try answered.wait()
  }

  @Test func aSilentPeerIsDroppedAtTheDeadline() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    wire.loop.advanceTime(by: .seconds(11))
    #expect(wire.server.recorder.tlsErrors.map(\.code) == ["handshake-timeout"])
    #expect(wire.server.recorder.inactive)
  }

  @Test func aContextIsRefusedWhereKeyAndCertificateDiffer() throws {
    let world = try World()
    let one = try world.serverCredential()
    let other = try PrivateKey.generateP256()
    let error = #expect(throws: TLSError.self) {
      _ = try TLSServerContext(
        chain: [one.certificate], key: other, trust: .selfSigned, clock: world.clock, tickets: SessionTicketKeys())
    }
    #expect(error?.code == "context-invalid")
    #expect(throws: TLSError.self) { _ = try world.server(trust: .authority([], requiredUsage: World.usage)) }
  }
}

extension EventLoopFuture {
  /// Runs `body` in between, so that what the future waits for can happen.
  func also(_ body: () throws -> Void) rethrows -> EventLoopFuture {
    try body()
    return self
  }
}
