import Crypto
import Foundations
import Glibc
import Identity
import Testing

@testable import Audit

/// What somebody did to the files, or to an export: found and named, and never the end of the process.
@Suite("A log that was tampered with") struct AuditTamperTests {
  @Test("each byte of each segment that is changed is found, with the owner's key and without", arguments: [true, false])
  func everyByte(withOwner: Bool) throws {
    let world = try AuditWorld()
    var limits = AuditLog.Limits()
    limits.segment_bytes = 400
    try world.append([], limits: limits)
    for number in 1...7 { try world.append(UInt64(number), limits: limits) }
    try world.append(8, limits: limits, isSigned: true)
    #expect(world.segments.count >= 2)
    #expect(try world.verify(withOwner: withOwner).isClean)
    for name in world.segments {
      let content = try world.content(name)
      // A code itself says nothing to whoever has no key for it: those bytes are the only ones that may differ unseen.
      var codes: Set<Int> = []
      var position = AuditSegment.head_bytes
      for entry in AuditSegment.entries(content[AuditSegment.head_bytes...]).entries {
        position += AuditSegment.encode(entry).count
        codes.formUnion(position - AuditRecord.mac_bytes..<position)
      }
      for index in content.indices where withOwner || !codes.contains(index) {
        var changed = content
        changed[index] ^= 1
        try world.write(name, changed)
        #expect(try !world.verify(withOwner: withOwner).isClean, "byte \(index)")
      }
      try world.write(name, content)
    }
  }

  @Test("each length to which a segment is cut is found, but for an end that nobody remembers") func everyLength() throws {
    let world = try AuditWorld()
    try world.append([])
    for number in 1...4 { try world.append(UInt64(number)) }
    try world.append(5, isSigned: true)
    let memory = try world.verify().memory
    let name = try #require(world.segments.first)
    let content = try world.content(name)
    for length in content.indices {
      try world.write(name, Array(content.prefix(length)))
      #expect(try !world.verify(remembered: memory).isClean, "cut at \(length)")
    }
  }

  @Test("with the owner's key the very entry is named") func namesTheEntry() throws {
    let world = try AuditWorld()
    try world.append([])
    for number in 1...6 { try world.append(UInt64(number)) }
    try world.append([], isSigned: true)
    let name = try #require(world.segments.first)
    let content = try world.content(name)
    var entries = AuditSegment.entries(content[AuditSegment.head_bytes...]).entries
    let head = Array(content.prefix(AuditSegment.head_bytes))
    func with(_ entries: [AuditSegment.Entry]) throws -> AuditVerification {
      try world.write(name, head + entries.flatMap { AuditSegment.encode($0) })
      return try world.verify()
    }
    let third = entries[2]
    let forged = AuditRecord(sequence: 3, time_s: 1_760_000_000, uptime_ms: 1, content: .event(AuditWorld.event(99)))
    entries[2] = AuditSegment.Entry(record: forged, mac: third.mac)
    let changed = try with(entries).findings.first
    #expect(changed?.kind == .changed && changed?.first == 3 && changed?.last == 3)
    entries.remove(at: 2)
    let removed = try with(entries).findings.first
    #expect(removed?.kind == .removed && removed?.first == 3)
    entries.insert(third, at: 4)
    let moved = try with(entries).findings
    #expect(moved.first?.kind == .removed && moved.first?.first == 3)
    entries.remove(at: 4)
    entries.insert(third, at: 2)
    entries.swapAt(3, 3)
    entries.insert(entries[1], at: 3)
    let twice = try with(entries).findings.first
    #expect(twice?.kind == .reordered && twice?.first == 4)
  }

  @Test("what was changed before there was an owner is told by the first entry that the owner can check") func beforeTheOwner() throws {
    let world = try AuditWorld()
    for number in 1...3 { try world.append(UInt64(number), hasOwner: false) }
    try world.append(4)
    try world.append(5, isSigned: true)
    #expect(try world.verify().coded == 4...6)
    let name = try #require(world.segments.first)
    var content = try world.content(name)
    let place = try #require(content.firstRange(of: "release".utf8)?.lowerBound)
    content[place] ^= 0x20
    try world.write(name, content)
    let found = try world.verify().findings.first
    #expect(found?.kind == .changed && found?.first == 1 && found?.last == 4)
  }

  @Test("a segment that is missing, comes twice or in another's place is named; another key is no proof") func segments() throws {
    let world = try AuditWorld()
    var limits = AuditLog.Limits()
    limits.segment_bytes = 1_000
    for number in 1...40 { try world.append(UInt64(number), limits: limits) }
    try world.append([], limits: limits, isSigned: true)
    #expect(world.segments.count >= 3)
    let whole = try AuditExport(encoded: try world.export())
    let seen = try world.verify()
    #expect(seen.isClean)
    func with(_ segments: [[UInt8]], remembered: AuditMemory? = nil) throws -> AuditVerification {
      try world.verify(AuditExport(anchor: whole.anchor, segments: segments).encoded, remembered: remembered)
    }
    let second = try #require(AuditSegment(head: whole.segments[1].prefix(AuditSegment.head_bytes)))
    let removed = try with([whole.segments[0]] + whole.segments.dropFirst(2)).findings.first
    #expect(removed?.kind == .removed && removed?.first == second.firstSequence)
    let twice = try with([whole.segments[0], whole.segments[0]] + whole.segments.dropFirst()).findings.first
    #expect(twice?.kind == .reordered && twice?.first == 1 && twice?.last == second.firstSequence - 1)
    #expect(try with([whole.segments[1], whole.segments[0]] + whole.segments.dropFirst(2)).findings.contains { $0.kind == .reordered })
    #expect(try with(Array(whole.segments.dropFirst())).findings.first?.kind == .removed)
    // The end alone may be cut off unseen, unless it was exported before.
    let shorter = Array(whole.segments.dropLast())
    let cut = try with(shorter, remembered: seen.memory)
    #expect(cut.findings.last?.kind == .removed && cut.findings.last?.last == seen.memory.sequence)
    #expect(throws: AuditError.self) { try world.verify(AuditExport(anchor: whole.anchor, segments: []).encoded, remembered: try AuditWorld.foreignMemory()) }
    // Two files that changed places.
    let names = world.segments
    let contents = try names.map { try world.content($0) }
    try world.write(names[0], contents[1])
    try world.write(names[1], contents[0])
    #expect(try world.verify().findings.contains { $0.kind == .reordered })
  }

  @Test("an older copy of a segment, or of the whole folder, is found") func olderCopy() throws {
    let world = try AuditWorld()
    try world.append([])
    for number in 1...3 { try world.append(UInt64(number), isSigned: true) }
    let old = try world.names.map { ($0, try world.content($0)) }
    for number in 4...6 { try world.append(UInt64(number), isSigned: true) }
    let memory = try world.verify().memory
    // The segment alone: the log itself misses what it had acknowledged.
    let name = try #require(world.segments.first)
    let newest = try world.content(name)
    try world.write(name, try #require(old.first { $0.0 == name }?.1))
    #expect(try world.verify(remembered: memory).findings.contains { $0.kind == .removed })
    try world.append(7, isSigned: true)
    let seen = try world.verify()
    #expect(seen.events(.missing).map(\.numbers) == [[7, 12]] && !seen.isClean)
    // The whole folder: only who remembers can tell.
    for segment in world.segments { unlink(world.folder + "/" + segment) }
    for (file, content) in old { try world.write(file, content) }
    #expect(try world.verify(remembered: memory).findings.last?.kind == .removed)
    // It grows again, to the same numbers, with other entries.
    for number in 20...30 { try world.append(UInt64(number), isSigned: true) }
    let grown = try world.verify(remembered: memory).findings
    #expect(grown.first?.kind == .changed && grown.first?.first == memory.sequence, "\(grown)")
    #expect(!newest.isEmpty)
  }

  @Test("who takes over everything now can append, and cannot rewrite what was") func forwardSecurity() throws {
    let world = try AuditWorld()
    try world.append([])
    for number in 1...6 { try world.append(UInt64(number), isSigned: true) }
    let memory = try world.verify().memory
    // All that the device knows now: the present key of the codes, and the key that signs.
    let state = try #require(try AtomicFile.readSecret(world.folder + "/state", maximum_bytes: AuditState.maximum_bytes).flatMap(AuditState.init))
    let name = try #require(world.segments.first)
    let content = try world.content(name)
    let head = try #require(AuditSegment(head: content.prefix(AuditSegment.head_bytes)))
    // Entry 3 is another one now, and all that follows is made anew as well as can be: chain, signatures and codes.
    var digest = head.previous
    var forged = Array(content.prefix(AuditSegment.head_bytes))
    for entry in AuditSegment.entries(content[AuditSegment.head_bytes...]).entries {
      var record = entry.record
      if record.sequence == 3 {
        record = AuditRecord(sequence: 3, time_s: record.time_s, uptime_ms: record.uptime_ms, content: .event(AuditWorld.event(99)))
      } else if record.sequence > 3, case .checkpoint = record.content {
        let covered = record.signed(device: world.device, previous: digest)
        record = AuditRecord(
          sequence: record.sequence, time_s: record.time_s, uptime_ms: record.uptime_ms,
          content: .checkpoint(signature: try state.signer.signature(of: covered)))
      }
      digest = record.digest(after: digest)
      forged += AuditSegment.encode(AuditSegment.Entry(record: record, mac: record.sequence < 3 ? entry.mac : try state.key.mac(digest)))
    }
    try world.write(name, forged)
    // The signatures are good: they were made with the device's key. The codes are not, and what was exported before is another log.
    #expect(try world.verify(withOwner: false).isClean)
    let found = try world.verify().findings.first
    #expect(found?.kind == .changed && found?.first == 3)
    #expect(try world.verify(remembered: memory, withOwner: false).findings.first?.kind == .changed)
    // Appending goes on as ever.
    try world.write(name, content)
    try world.append(7, isSigned: true)
    #expect(try world.verify(remembered: memory).isClean)
  }

  @Test("the highest numbers, signed by whoever holds the device, end no verifier") func lastNumbers() throws {
    let world = try AuditWorld()
    let signer = try PrivateKey.generateP256()
    for first: UInt64 in [.max, .max - 1] {
      let head = AuditSegment(device: world.device, firstSequence: first, previous: [UInt8](repeating: 0, count: 32))
      var (digest, content) = (head.previous, head.head)
      for sequence in first...UInt64.max {
        let unsigned = AuditRecord(sequence: sequence, time_s: 0, uptime_ms: 0, content: .checkpoint(signature: []))
        let signature = try signer.signature(of: unsigned.signed(device: world.device, previous: digest))
        let record = AuditRecord(sequence: sequence, time_s: 0, uptime_ms: 0, content: .checkpoint(signature: signature))
        digest = record.digest(after: digest)
        content += AuditSegment.encode(AuditSegment.Entry(record: record, mac: [UInt8](repeating: 0, count: 32)))
      }
      let sealed = try SecretEnvelope.seal(SecretBytes(copying: [UInt8](repeating: 7, count: 32)), for: world.owner.certificate)
      for from: UInt64 in [0, first, .max] {
        let anchor = AuditAnchor(device: world.device, key: signer.publicKey, sealedFrom: from, sealedKey: sealed)
        let export = AuditExport(anchor: anchor.encoded, segments: [content, content]).encoded
        #expect(try !world.verify(export).isClean && !world.verify(export, withOwner: false).isClean)
      }
    }
  }

  @Test("codes under a key of the attacker's own are not believed by who remembers the first") func otherAnchor() throws {
    let world = try AuditWorld()
    try world.append([], isSigned: true)
    let memory = try world.verify().memory
    let anchor = try #require(AuditAnchor(encoded: try world.content("anchor")[...]))
    let sealed = try SecretEnvelope.seal(SecretBytes(copying: [UInt8](repeating: 7, count: 32)), for: world.owner.certificate)
    try world.write("anchor", AuditAnchor(device: anchor.device, key: anchor.key, sealedFrom: 1, sealedKey: sealed).encoded)
    #expect(try world.verify(remembered: memory).findings.first?.kind == .changed)
  }
}

extension AuditWorld {
  /// Of a log of the same device's, under another key.
  static func foreignMemory() throws -> AuditMemory {
    let other = try AuditWorld()
    try other.append(1, isSigned: true)
    return try other.verify().memory
  }
}
