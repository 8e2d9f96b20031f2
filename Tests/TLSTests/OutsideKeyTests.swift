import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import Synchronization
import TLS
import TestChip
import Testing

/// A thread that may wait, as a test moves it on.
private final class HeldSteps: Sendable {
  private let state = Mutex<(steps: [@Sendable () -> Void], room: Int, taken: Int)>(([], 8, 0))
  var taken: Int { state.withLock { $0.taken } }
  func setRoom(_ room: Int) { state.withLock { $0.room = room } }

  @Sendable func take(_ step: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { state in
      guard state.steps.count < state.room else { return false }
      state.steps.append(step)
      state.taken += 1
      return true
    }
  }

  /// Does what waits; false where nothing does.
  @discardableResult func run() -> Bool {
    let steps = state.withLock { state in
      defer { state.steps = [] }
      return state.steps
    }
    for step in steps { step() }
    return !steps.isEmpty
  }
}

/// Handshakes of a server whose key lies outside.
@Suite struct OutsideKeyTests {
  private struct Scene {
    let world: World
    let chip: TestChip
    let steps = HeldSteps()
    let server: TLSServerContext
    let client: World.Credential

    init(answer: TestChip.Answer? = nil) throws {
      world = try World()
      chip = try answer.map { try TestChip(answer: $0) } ?? TestChip()
      let now_s = world.clock.now_s()
      let template = CertificateTemplate(
        kind: .leaf, subject: .init(commonName: "server"), notBefore_s: now_s - 60, notAfter_s: now_s + 86_400,
        extendedKeyUsages: [.serverAuthentication], names: [.dns("haechi-test")])
      let certificate = try world.authority.issue(template, publicKey: chip.publicKey)
      server = try TLSServerContext(
        chain: [certificate], key: chip.outside(), trust: .authority([world.authority.certificate], requiredUsage: World.usage), clock: world.clock,
        tickets: SessionTicketKeys(), patientThread: steps.take)
      client = try world.credential()
    }

    func wire(largestFragment: Int = 20_000, seed: UInt64 = 3) throws -> Wire {
      try Wire(server: server, client: world.client(client), seed: seed, largestFragment: largestFragment)
    }

    /// Carries bytes and moves the thread on until both rest.
    func finish(_ wire: Wire) throws {
      try wire.pump()
      while steps.run() { try wire.pump() }
    }
  }

  /// However the ciphertext is cut: what arrives while the step is away is not lost. Only what has to wait for the key is done there.
  @Test(arguments: [1, 3, 40, 20_000]) func completesAndCarriesBothWays(_ largest: Int) throws {
    let scene = try Scene()
    let wire = try scene.wire(largestFragment: largest, seed: UInt64(largest))
    defer { wire.end() }
    let written = wire.write(Array("first".utf8), from: wire.client.channel)
    try wire.pump()
    #expect(wire.bytesToClient == 0 && scene.chip.count == 0 && scene.steps.taken == 1)
    while scene.chip.count == 0 {
      #expect(scene.steps.run())
      try wire.pump()
    }
    // The client's answer needs no key, and no other thread.
    let taken = scene.steps.taken
    try scene.finish(wire)
    try written.wait()
    #expect(
      scene.steps.taken == taken && wire.server.recorder.completed?.peer == scene.client.certificate && wire.server.recorder.received == Array("first".utf8))
    try wire.write(Array("second".utf8), from: wire.server.channel).also { try wire.pump() }.wait()
    #expect(wire.client.recorder.received == Array("second".utf8))
    #expect(wire.server.recorder.errors.isEmpty && wire.client.recorder.errors.isEmpty && wire.server.recorder.early == 0)
    #expect(scene.chip.count == 1)
  }

  @Test func oneTooManyIsRefusedAtOnce() throws {
    let scene = try Scene()
    scene.steps.setRoom(1)
    let first = try scene.wire()
    let second = try scene.wire()
    defer {
      first.end()
      second.end()
    }
    try first.pump()
    try second.pump()
    #expect(second.server.recorder.tlsErrors.map(\.code) == ["signature-busy"])
    #expect(first.server.recorder.errors.isEmpty)
    try scene.finish(first)
    #expect(first.server.recorder.completed != nil && scene.chip.count == 1)
  }

  @Test func aKeyThatDoesNotSignEndsTheHandshakeAndSaysWhy() throws {
    let scene = try Scene { (_, _) throws(CryptoError) in throw CryptoError(code: "no-answer", reason: "the chip sleeps") }
    let wire = try scene.wire()
    defer { wire.end() }
    try scene.finish(wire)
    let error = try #require(wire.server.recorder.tlsErrors.first)
    #expect(error.code == "signature-failed" && error.side == .local && "\(error)".contains("the chip sleeps"))
    #expect(wire.server.recorder.errors.count == 1 && wire.client.recorder.tlsErrors.map(\.code) == ["peer-alert"])
  }

  /// Ended in every way while its connection is on the other thread: nothing is done twice, and what comes back is nobody's.
  @Test(arguments: ["deadline", "close", "peer", "inactive"]) func endsWhileItIsAway(_ how: String) throws {
    let scene = try Scene()
    let wire = try scene.wire()
    defer { wire.end() }
    try wire.pump()
    #expect(scene.steps.taken == 1)
    switch how {
    case "deadline": wire.loop.advanceTime(by: .seconds(11))
    case "close": wire.server.channel.close(promise: nil)
    case "peer": wire.server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    default: wire.server.channel.pipeline.fireChannelInactive()
    }
    wire.loop.run()
    let before = wire.server.recorder.errors.count
    // What had arrived in pieces may take several.
    while scene.steps.run() { wire.loop.run() }
    #expect(wire.server.recorder.completed == nil)
    switch how {
    case "deadline": #expect(wire.server.recorder.tlsErrors.map(\.code) == ["handshake-timeout"])
    case "close": #expect(wire.server.recorder.errors.isEmpty)
    // The step that was away ends first; what had arrived before the end still counts.
    case "peer":
      #expect(before == 0)
      #expect(wire.server.recorder.tlsErrors.map(\.code) == ["truncated"])
    default: #expect(wire.server.recorder.tlsErrors.map(\.code) == ["truncated"])
    }
    if how != "peer" { #expect(wire.server.recorder.errors.count == before) }
  }

  @Test func aSessionIsResumedWithoutTheKey() throws {
    let scene = try Scene()
    let client = try scene.world.client(scene.client)
    for resumes in [false, true] {
      let wire = try Wire(server: scene.server, client: client)
      defer { wire.end() }
      try scene.finish(wire)
      #expect(wire.server.recorder.completed?.resumed == resumes)
    }
    #expect(scene.chip.count == 1)
  }

  @Test func anEventLoopIsNeverKeptWaiting() throws {
    let world = try World()
    let chip = try TestChip()
    let certificate = try CertificateIssuer.selfSigned(
      CertificateTemplate(kind: .leaf, subject: .init(commonName: "server"), notBefore_s: 1_700_000_000, notAfter_s: 1_900_000_000), key: chip.outside())
    let error = #expect(throws: TLSError.self) {
      try world.server(credential: World.Credential(certificate: certificate, key: chip.outside()))
    }
    #expect(error?.code == "context-invalid")
  }
}
