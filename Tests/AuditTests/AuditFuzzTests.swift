import Crypto
import Foundations
import Identity
import TestDisk
import Testing

@testable import Audit

/// Bytes from anywhere, and valid ones that were changed: each parser answers, and none ends the process. HAECHI_SEED=N repeats a run.
@Suite("The audit log's parsers") struct AuditFuzzTests {
  private let seed = environmentNumber("HAECHI_SEED") ?? UInt64.random(in: 0...UInt64.max)

  /// Random bytes, or `valid` with some of them changed, cut out or put in.
  private static func bytes(like valid: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    if Int.random(in: 0..<6, using: &random) == 0 {
      return (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    return random.mutation(of: valid)
  }

  @Test("what a parser takes is what would be written again") func parsers() throws {
    print("audit fuzz: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    let device = try #require(DeviceIdentifier("00112233445566778899"))
    let event = AuditEvent(.runtimeEnded, .word(AuditWord("killed")), .number(11))
    let records = [AuditRecord.Content.event(event), .checkpoint(signature: [UInt8](repeating: 5, count: 71))].map {
      AuditRecord(sequence: 7, time_s: -1, uptime_ms: 9, content: $0).body
    }
    let anchor = AuditAnchor(device: device, key: try PrivateKey.generateP256().publicKey, sealedFrom: 3, sealedKey: [1, 2, 3]).encoded
    // The bit string of the key says that a bit of it is unused, which OpenSSL overlooks.
    var lax = anchor
    let unused = try #require(anchor.indices.first { anchor[$0...].starts(with: [0x03, 0x42, 0x00, 0x04]) })
    lax[unused + 2] = 1
    #expect(AuditAnchor(encoded: anchor[...]) != nil && AuditAnchor(encoded: lax[...]) == nil)
    let segment = AuditSegment(device: device, firstSequence: 8, previous: [UInt8](repeating: 3, count: 32)).head
    let state = try AuditState(device: device, firstSequence: 8, oldest: 2).encoded().withUnsafeBytes { Array($0) }
    for _ in 0..<3_000 {
      let some = Self.bytes(like: event.encoded, &random)
      if let parsed = AuditEvent(encoded: some) { #expect(parsed.encoded == some) }
      let body = Self.bytes(like: records[Int.random(in: 0...1, using: &random)], &random)
      if let parsed = AuditRecord(body: body[...]) { #expect(parsed.body == body) }
      let head = Self.bytes(like: segment, &random)
      if let parsed = AuditSegment(head: head[...]) { #expect(parsed.head == head) }
    }
    for _ in 0..<300 {
      let some = Self.bytes(like: anchor, &random)
      if let parsed = AuditAnchor(encoded: some[...]) { #expect(parsed.encoded == some) }
      let stored = Self.bytes(like: state, &random)
      if let parsed = AuditState(SecretBytes(copying: stored)) { #expect(parsed.sequence > 0 && parsed.segment <= parsed.sequence) }
    }
  }

  @Test("a changed export is refused or found, and changed files end no writer") func files() throws {
    print("audit fuzz: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    let world = try AuditWorld()
    try world.append([])
    for number in 1...5 { try world.append(UInt64(number), isSigned: true) }
    let good = try world.export()
    let honest = try world.verify()
    for _ in 0..<400 {
      let bad = Self.bytes(like: good, &random)
      // The envelope of the code key may be written in more than one way (CMS names its receiver, which nobody asks for): whatever is clean has the same entries.
      if let seen = try? world.verify(bad, remembered: honest.memory), seen.isClean {
        #expect(seen.records == honest.records && seen.memory == honest.memory, "HAECHI_SEED=\(seed)")
      }
      if let seen = try? world.verify(bad, withOwner: false) { #expect(seen.records.count < 200) }
    }
    let files = try world.names.map { ($0, try world.content($0)) }
    for _ in 0..<120 {
      let (name, content) = files[Int.random(in: 0..<files.count, using: &random)]
      try world.write(name, Self.bytes(like: content, &random))
      #expect(throws: Never.self) { try world.append(9) }
      _ = try? world.verify()
      for file in world.names where !files.contains(where: { $0.0 == file }) { try AuditFolder(path: world.folder).remove(file) }
      for (name, content) in files { try world.write(name, content) }
    }
  }
}
