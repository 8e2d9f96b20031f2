import Crypto
import Foundations
import Glibc
import Identity
import Testing

@testable import Audit

/// Root's right, which a container may not have.
private let mayMount = {
  guard let world = try? AuditWorld(), mount("none", world.folder, "tmpfs", UInt(MS_NODEV), "size=4k") == 0 else { return false }
  return umount2(world.folder, CInt(MNT_DETACH)) == 0
}()

@Suite("The audit log") struct AuditLogTests {
  @Test("what was appended is exported, in order, signed and with its codes") func roundTrip() throws {
    let world = try AuditWorld()
    for number in 1...5 { try world.append(UInt64(number)) }
    #expect(try world.append([], isSigned: true) == 6)
    let seen = try world.verify()
    #expect(seen.isClean, "\(seen.findings)")
    #expect(seen.records.map(\.sequence) == Array(1...6) && seen.signedTo == 6 && seen.device == world.device)
    // The key is sealed by the append that sees the owner first.
    #expect(seen.coded == 1...6)
    #expect(seen.records[2].content == .event(AuditWorld.event(3)))
    // Each boot begins without an owner: what was sealed before stays.
    try world.append(6, hasOwner: false, isSigned: true)
    #expect(try world.verify().coded == 1...8)
  }

  @Test("entries behind the last signature are said to be unsigned, unless their own codes tell") func unsignedTail() throws {
    let world = try AuditWorld()
    try world.append(1, isSigned: true)
    try world.append(2)
    let seen = try world.verify(withOwner: false)
    #expect(seen.findings.map(\.kind) == [.unsigned] && seen.findings.first?.first == 3 && seen.signedTo == 2)
    #expect(try world.verify().isClean)
  }

  @Test("a log needs to be told its device once") func nameless() throws {
    let world = try AuditWorld()
    let log = AuditLog(folder: world.folder)
    #expect(throws: AuditError.self) { try log.append([world.arrival(AuditWorld.event(1))], device: nil, owner: nil) }
    #expect(try world.append(1) == 1)
    #expect(try log.append([world.arrival(AuditWorld.event(2))], device: nil, owner: nil) == 2)
    // Another name is not believed later.
    let other = try #require(DeviceIdentifier("99999999999999999999"))
    try log.append([world.arrival(AuditWorld.event(3))], device: other, owner: nil, isSigned: true)
    #expect(try world.verify().device == world.device)
  }

  @Test("a boot says what went before it") func boots() throws {
    let world = try AuditWorld()
    try world.append([AuditEvent(.boot), AuditWorld.event(1)])
    try world.append([AuditEvent(.boot), AuditEvent(.shutdown, .word(AuditWord("power-off")))], isSigned: true)
    try world.append([AuditEvent(.boot)], isSigned: true)
    #expect(try world.verify().events(.boot).flatMap(\.words) == ["first", "unannounced", "after-shutdown"])
  }

  @Test("an entry that is past its life is gone, and the log says which; a clock that was set back takes none away") func life() throws {
    let world = try AuditWorld()
    let day_s: Int64 = 86_400
    let begin_s = world.now_s
    // One a day; after each, the whole log.
    for day in 1...Int64(500) {
      world.now_s += day_s
      try world.append(UInt64(day), isSigned: day % 50 == 0)
      guard day % 50 == 0 else { continue }
      let seen = try world.verify()
      #expect(seen.isClean, "\(seen.findings)")
      let oldest_s = try #require(seen.records.first?.time_s)
      // No older than a life and two segments, as they are looked at when one is closed, and no younger than a life.
      #expect(oldest_s == begin_s + day_s || (world.now_s - oldest_s >= 365 * day_s && world.now_s - oldest_s <= 427 * day_s), "day \(day)")
      #expect(day < 450 || oldest_s > begin_s + day_s)
    }
    let dropped = try #require(try world.verify().events(.dropped).last)
    #expect(try world.verify().records.first?.sequence == dropped.numbers.last.map { $0 + 1 })

    let before = try world.verify().records.first
    world.now_s = begin_s
    for number in 501...560 { try world.append(UInt64(number), isSigned: number == 560) }
    #expect(try world.verify().isClean && world.verify().records.first == before)
  }

  @Test("the oldest segments go for room, and the log says which") func bounded() throws {
    let world = try AuditWorld()
    var limits = AuditLog.Limits()
    (limits.segment_bytes, limits.segments) = (1_000, 3)
    for number in 1...200 { try world.append(UInt64(number), limits: limits) }
    try world.append([], limits: limits, isSigned: true)
    #expect(world.segments.count <= 3)
    let seen = try world.verify()
    #expect(seen.isClean, "\(seen.findings)")
    let first = try #require(seen.records.first?.sequence)
    #expect(first > 100)
    // Without the oldest that is left, no entry says so.
    let whole = try AuditExport(encoded: try world.export())
    let less = try world.verify(AuditExport(anchor: whole.anchor, segments: Array(whole.segments.dropFirst())).encoded)
    #expect(less.findings.first?.kind == .removed && less.findings.first?.first == 1)
    #expect(seen.events(.dropped).last?.numbers.last == first - 1)
  }

  @Test("a wipe takes the entries before it, and the keys that were sealed for the owner before") func wipe() throws {
    let world = try AuditWorld()
    var limits = AuditLog.Limits()
    limits.segment_bytes = 1_000
    for number in 1...30 { try world.append(UInt64(number), limits: limits) }
    let before = try world.verify()
    try world.append([AuditWorld.event(31), AuditEvent(.wiped, .word(AuditWord("label")))], limits: limits, hasOwner: false, isSigned: true)
    let seen = try world.verify(withOwner: false)
    #expect(seen.isClean, "\(seen.findings)")
    #expect(seen.events(.statementAccepted).isEmpty && seen.events(.wiped).count == 1 && seen.events(.dropped).count == 1)
    #expect(seen.key.digest == before.key.digest && seen.memory.sealed.isEmpty)
    #expect(world.segments.count == 1)
    // The next owner's key tells from then on.
    try world.append(1)
    try world.append(2, isSigned: true)
    let next = try world.verify()
    #expect(next.isClean && next.coded?.upperBound == next.signedTo)
    // For the owner before it is another log.
    #expect(try world.verify(remembered: before.memory).findings.first?.kind == .changed)
  }

  @Test("an append that was cut is whole or absent, wherever the cut was") func cuts() throws {
    let world = try AuditWorld()
    var limits = AuditLog.Limits()
    limits.segment_bytes = 1_500
    for number in 1...3 { try world.append(UInt64(number), limits: limits) }
    let state = try world.content("state")
    let name = try #require(world.segments.last)
    let before = try world.content(name)
    // The append reached the segment, and the state not: every length of what was written.
    try world.append(4, 5, limits: limits)
    let after = try world.content(name)
    for length in before.count...after.count {
      try world.write(name, Array(after.prefix(length)))
      try world.write("state", state)
      let last = try world.append(6, limits: limits, isSigned: true)
      let seen = try world.verify()
      #expect(seen.isClean, "cut at \(length): \(seen.findings)")
      #expect(seen.records.last?.sequence == last && (5...7).contains(last))
    }
  }

  @Test("acknowledged entries that are gone are missed, and the log goes on") func lostTail() throws {
    let world = try AuditWorld()
    for number in 1...5 { try world.append(UInt64(number), isSigned: true) }
    let name = try #require(world.segments.first)
    let content = try world.content(name)
    try world.write(name, Array(content.prefix(content.count - 60)))
    try world.append(6, isSigned: true)
    let seen = try world.verify()
    #expect(!seen.isClean)
    #expect(seen.events(.missing).count == 1 && seen.records.last.map { $0.sequence > 11 } == true)
    // A log without its keys begins a new chain behind the old one.
    unlink(world.folder + "/state")
    try world.append(7, isSigned: true)
    let again = try world.verify()
    #expect(again.records.last?.sequence ?? 0 > seen.records.last?.sequence ?? 0 && !again.isClean)
  }

  @Test("an entry has no room for a secret or a text: only for literals and words of closed sets") func byType() throws {
    #expect(AuditWord("has space").text == "has_space")
    #expect(AuditWord("a-word-that-is-much-longer-than-any-word-of-a-log-may-be").text.utf8.count == AuditWord.maximum_bytes)
    #expect(AuditWord(Grade.quarantined).text == "quarantined")
    let values = [AuditEvent.Value](repeating: .word(AuditWord("a-word-that-is-much-longer-than-any-word-of-a-log-may-be")), count: 4)
    let event = AuditEvent(.boot, values[0], values[1], values[2], values[3])
    #expect(event.encoded.count == AuditEvent.maximum_bytes && AuditEvent(encoded: event.encoded) == event)
    for kind in AuditEvent.Kind.allCases { #expect(AuditEvent(encoded: AuditEvent(kind).encoded)?.kind == kind) }
    #expect(Set(AuditEvent.Kind.allCases.map(\.word)).count == AuditEvent.Kind.allCases.count)
  }

  @Test("once it runs the log makes no file: one that has no more of them to give stops nothing") func noFilesLeft() throws {
    let world = try AuditWorld()
    func files() throws -> Set<UInt> {
      Set(
        try world.names.map { name in
          var facts = stat()
          try #require(lstat(world.folder + "/" + name, &facts) == 0)
          return UInt(facts.st_ino)
        })
    }
    var limits = AuditLog.Limits()
    (limits.segment_bytes, limits.segments) = (1_000, 3)
    try world.append(1, limits: limits)
    let first = try files()
    for number in 2...200 { try world.append(UInt64(number), limits: limits) }
    try world.append([AuditEvent(.wiped, .word(AuditWord("label")))], limits: limits, hasOwner: false)
    for number in 1...50 { try world.append(UInt64(number), limits: limits, isSigned: true) }
    #expect(try files() == first && world.segments.count <= 3)
    #expect(try world.verify().isClean)
    // What went is in no file beside the log: no key and no entry.
    for name in world.names where name.hasSuffix(".new") || name.hasSuffix(".spare") { #expect(try world.content(name).isEmpty, "\(name)") }
    var facts = stat()
    #expect(lstat(world.folder + "/state", &facts) == 0 && facts.st_mode & 0o777 == 0o600)
  }

  @Test("what could not be written is not there, and the next append goes on", .enabled(if: mayMount, "it needs a small file system of its own"))
  func noRoom() throws {
    let world = try AuditWorld()
    try #require(mount("none", world.folder, "tmpfs", UInt(MS_NODEV), "size=64k,nr_inodes=32") == 0)
    defer { umount2(world.folder, CInt(MNT_DETACH)) }
    try world.append(1, isSigned: true)
    let filler = open(world.folder + "/filler", O_WRONLY | O_CREAT, 0o600)
    let page = [UInt8](repeating: 1, count: 4_096)
    while Glibc.write(filler, page, page.count) == page.count {}
    close(filler)
    var refused = 0
    for number in 2...200 { if (try? world.append(UInt64(number), isSigned: true)) == nil { refused += 1 } }
    #expect(refused > 0)
    unlink(world.folder + "/filler")
    try world.append(201, isSigned: true)
    #expect(try world.verify().isClean)
  }
}
