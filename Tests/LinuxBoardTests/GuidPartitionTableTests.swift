import Testing

@testable import LinuxBoard

/// A partition table that grows with its disk.
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct GuidPartitionTableTests {
  /// `count` bytes of a number, the least significant first.
  private func little(_ value: UInt64, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    return bytes
  }

  private func bytes(_ value: UInt8, _ count: Int) -> [UInt8] { [UInt8](repeating: value, count: count) }

  /// Sectors 1 to 33 of a disk with these partitions: name, first and last sector.
  private func primary(_ partitions: [(String, UInt64, UInt64)], sectors: UInt64) -> [UInt8] {
    var entries: [UInt8] = []
    for (name, first, last) in partitions {
      entries += bytes(0xaa, 16)
      entries += bytes(0xbb, 16)
      for value in [first, last, 0] { entries += little(value, 8) }
      for unit in name.utf16 { entries += little(UInt64(unit), 2) }
      entries += bytes(0, 72 - 2 * name.utf16.count)
    }
    entries += bytes(0, 32 * 512 - entries.count)
    var header = Array("EFI PART".utf8)
    // Revision 1.0, the header's size, its checksum to come, reserved.
    for value: UInt64 in [0x10000, 92, 0, 0] { header += little(value, 4) }
    for value in [1, sectors - 1, 34, sectors - 34] { header += little(value, 8) }
    header += bytes(0xcc, 16)
    header += little(2, 8)
    for value: UInt64 in [128, 128, UInt64(GuidPartitionTable.checksum(entries[...]))] { header += little(value, 4) }
    header.replaceSubrange(16..<20, with: little(UInt64(GuidPartitionTable.checksum(header[...])), 4))
    header += bytes(0, 512 - 92)
    return header + entries
  }

  private let small: UInt64 = 16_384
  private let partitions: [(String, UInt64, UInt64)] = [("ident", 2_048, 4_095), ("data", 4_096, 14_335)]

  @Test func checksums() {
    // The check value of CRC-32 (ISO 3309).
    #expect(GuidPartitionTable.checksum(Array("123456789".utf8)[...]) == 0xcbf4_3926)
  }

  @Test func theLastPartitionTakesTheRest() throws {
    let table = try #require(GuidPartitionTable(primary: primary(partitions, sectors: small)))
    #expect(table.partitions.map(\.name) == ["ident", "data"])
    #expect(table.growing("data", toDisk: small) == nil)
    let grown = try #require(table.growing("data", toDisk: 65_536))
    // Up to the last whole MiB before the second copy.
    #expect(grown.partitions.map(\.last) == [4_095, 63_487])
    // It is a table of its own form, and so is the copy at the end, which names itself and the first.
    let again = try #require(GuidPartitionTable(primary: grown.primary))
    #expect(again.partitions == grown.partitions)
    #expect(again.growing("data", toDisk: 65_536) == nil)
    let backup = grown.backup
    #expect(backup.count == 33 * 512)
    #expect(Array(backup.prefix(32 * 512)) == Array(grown.primary.suffix(32 * 512)))
    let header = Array(backup.suffix(512))
    #expect(Array(header[24..<40]) == [0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(header[72..<80]) == [0xdf, 0xff, 0, 0, 0, 0, 0, 0])
  }

  @Test func whatCannotGrowStays() throws {
    let table = try #require(GuidPartitionTable(primary: primary(partitions, sectors: small)))
    #expect(table.growing("ident", toDisk: 65_536) == nil)
    #expect(table.growing("none", toDisk: 65_536) == nil)
    #expect(table.growing("data", toDisk: 100) == nil)
    #expect(table.growing("data", toDisk: 0) == nil)
  }

  @Test func whatIsNoTableIsRefused() {
    let whole = primary(partitions, sectors: small)
    #expect(GuidPartitionTable(primary: []) == nil)
    #expect(GuidPartitionTable(primary: [UInt8](repeating: 0, count: whole.count)) == nil)
    // Any changed byte of the header or the entries; the rest of the header's sector is not covered.
    for place in Array(0..<92) + Array(512..<900) {
      var bytes = whole
      bytes[place] ^= 1
      #expect(GuidPartitionTable(primary: bytes) == nil, "byte \(place)")
    }
  }
}
