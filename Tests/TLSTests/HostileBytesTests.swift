import Crypto
import Foundations
import NIOCore
import NIOEmbedded
import TLS
import Testing

/// Bytes that no honest peer sends: every one ends in an error and no application ever sees a byte of them.
@Suite struct HostileBytesTests {
  /// One handshake or first data byte changed on its way, seeded: both sides end, and neither delivers anything that was not sent.
  @Test(arguments: [true, false]) func aChangedByteEndsTheConnection(_ toServer: Bool) throws {
    let world = try World()
    let server = try world.server()
    let credential = try world.credential()
    for seed in 0..<120 as Range<UInt64> {
      var random = SeededRandom(seed)
      let client = try world.client(credential)
      let wire = try Wire(server: server, client: client, seed: seed, largestFragment: 900)
      let target = Int.random(in: 0..<(toServer ? 1_100 : 1_000), using: &random)
      let bit = UInt8(1) << UInt8.random(in: 0...7, using: &random)
      var passed = 0
      var changed = false
      wire.change = { fragment, there in
        guard there == toServer else { return }
        if !changed, target < passed + fragment.count {
          fragment[target - passed] ^= bit
          changed = true
        }
        passed += fragment.count
      }
      _ = wire.write(Array("question".utf8), from: wire.client.channel)
      _ = wire.write(Array("answer".utf8), from: wire.server.channel)
      let quiet = try wire.pump()
      #expect(quiet)
      let honest = "question".utf8.starts(with: wire.server.recorder.received) && "answer".utf8.starts(with: wire.client.recorder.received)
      #expect(honest && wire.server.recorder.early == 0 && wire.client.recorder.early == 0, "seed \(seed)")
      if changed {
        // A length that grew makes one side wait for bytes that never come: the deadline is for that.
        wire.loop.advanceTime(by: .seconds(11))
        try wire.pump()
        let ended = !wire.server.recorder.errors.isEmpty || !wire.client.recorder.errors.isEmpty
        let incomplete = wire.server.recorder.received.count < 8 || wire.client.recorder.received.count < 6
        // A changed bit of a legacy field that TLS 1.3 ignores before encryption starts changes nothing but the transcript, which fails.
        #expect(ended || incomplete, "seed \(seed), byte \(target)")
      }
      wire.end()
    }
  }

  @Test func garbageEndsInAnError() throws {
    let world = try World()
    let server = try world.server()
    for seed in 0..<200 as Range<UInt64> {
      var random = SeededRandom(seed &+ 1000)
      let wire = try Wire(server: server, client: world.client(nil), seed: seed)
      var bytes = (0..<Int.random(in: 1...400, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      // Half of them look like a handshake record at first.
      if seed % 2 == 0 { bytes = [22, 3, 1, UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes }
      wire.server.channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
      wire.server.channel.pipeline.fireChannelReadComplete()
      wire.loop.advanceTime(by: .seconds(11))
      #expect(wire.server.recorder.tlsErrors.count == 1, "seed \(seed)")
      #expect(wire.server.recorder.received.isEmpty && wire.server.recorder.inactive)
      wire.end()
    }
  }

  /// After the handshake: bytes between the records, or a record changed.
  @Test func aForgedRecordEndsTheConnection() throws {
    let world = try World()
    let wire = try Wire(server: world.server(), client: world.client(world.credential()))
    defer { wire.end() }
    try wire.pump()
    let record: [UInt8] = [23, 3, 3, 0, 32] + [UInt8](repeating: 9, count: 32)
    wire.server.channel.pipeline.fireChannelRead(ByteBuffer(bytes: record))
    wire.server.channel.pipeline.fireChannelReadComplete()
    let error = try #require(wire.server.recorder.tlsErrors.first)
    #expect(error.code == "protocol-error" && error.alert == .badRecordMAC)
    try wire.pump()
    #expect(wire.client.recorder.tlsErrors.first?.alert == .badRecordMAC && wire.server.recorder.received.isEmpty)
  }
}
