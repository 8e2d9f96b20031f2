/// A GUID partition table (UEFI specification, chapter 5.3), read and grown: an image is made for the smallest disk, and its last partition takes the
/// rest of a larger one. Sectors of 512 bytes. Pure: bytes in, bytes out.
struct GuidPartitionTable {
  static let sector_bytes = 512
  /// Header and entries: sectors 1 to 33 of the disk.
  static let primarySectors = 33
  private static let entries_bytes = 32 * sector_bytes
  private static let entry_bytes = 128
  private static let header_bytes = 92
  /// Partitions end at whole MiB.
  private static let alignment_sectors: UInt64 = 2_048

  private var header: [UInt8]
  private var entries: [UInt8]

  /// One partition of it.
  struct Entry: Equatable {
    /// Counted from 1, as the kernel does.
    let number: Int
    let first: UInt64
    let last: UInt64
    let name: String
  }

  /// - Parameter primary: sectors 1 to 33 of the disk.
  /// nil where a checksum is wrong, or it is of a form that no image of ours has.
  init?(primary: [UInt8]) {
    guard primary.count == Self.primarySectors * Self.sector_bytes else { return nil }
    header = Array(primary.prefix(Self.sector_bytes))
    entries = Array(primary.dropFirst(Self.sector_bytes))
    guard Array(header.prefix(8)) == Array("EFI PART".utf8), number(at: 12, of: header, 4) == UInt64(Self.header_bytes), number(at: 72, of: header, 8) == 2,
      number(at: 80, of: header, 4) == 128, number(at: 84, of: header, 4) == UInt64(Self.entry_bytes)
    else { return nil }
    guard number(at: 16, of: header, 4) == UInt64(headerChecksum), number(at: 88, of: header, 4) == UInt64(Self.checksum(entries[...])) else { return nil }
  }

  var partitions: [Entry] {
    (0..<128).compactMap { index in
      let at = index * Self.entry_bytes
      guard entries[at..<at + 16].contains(where: { $0 != 0 }) else { return nil }
      let units = stride(from: at + 56, to: at + 128, by: 2).map { UInt16(entries[$0]) | UInt16(entries[$0 + 1]) << 8 }
      return Entry(
        number: index + 1, first: number(at: at + 32, of: entries, 8), last: number(at: at + 40, of: entries, 8),
        name: String(decoding: units.prefix { $0 != 0 }, as: UTF16.self))
    }
  }

  /// The table of a disk of so many sectors, in which the partition of that name reaches to the end; nil where it does already, to a MiB, or where
  /// another partition is behind it.
  func growing(_ name: String, toDisk sectors: UInt64) -> GuidPartitionTable? {
    guard let grown = partitions.first(where: { $0.name == name }), partitions.allSatisfy({ $0.number == grown.number || $0.last < grown.first }),
      sectors > UInt64(2 * Self.primarySectors) + Self.alignment_sectors
    else { return nil }
    // The second copy takes the last 33 sectors.
    let lastUsable = sectors - UInt64(Self.primarySectors) - 1
    let end = (lastUsable + 1) / Self.alignment_sectors * Self.alignment_sectors
    guard end > grown.last + Self.alignment_sectors else { return nil }
    var table = self
    table.put(end - 1, at: (grown.number - 1) * Self.entry_bytes + 40, of: &table.entries, 8)
    table.put(sectors - 1, at: 32, of: &table.header, 8)
    table.put(lastUsable, at: 48, of: &table.header, 8)
    table.seal()
    return table
  }

  /// Sectors 1 to 33.
  var primary: [UInt8] { header + entries }

  /// The second copy: the entries, then their header, which is the disk's last sector.
  var backup: [UInt8] {
    var copy = self
    let (own, other) = (number(at: 24, of: header, 8), number(at: 32, of: header, 8))
    copy.put(other, at: 24, of: &copy.header, 8)
    copy.put(own, at: 32, of: &copy.header, 8)
    copy.put(other - UInt64(Self.primarySectors - 1), at: 72, of: &copy.header, 8)
    copy.seal()
    return copy.entries + copy.header
  }

  private mutating func seal() {
    put(UInt64(Self.checksum(entries[...])), at: 88, of: &header, 4)
    put(UInt64(headerChecksum), at: 16, of: &header, 4)
  }

  /// Over the header with its own checksum taken as zero.
  private var headerChecksum: UInt32 {
    var bytes = Array(header.prefix(Self.header_bytes))
    bytes.replaceSubrange(16..<20, with: [0, 0, 0, 0])
    return Self.checksum(bytes[...])
  }

  /// CRC-32 of ISO 3309, as the specification wants it.
  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var value: UInt32 = .max
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }
    return ~value
  }

  /// Little-endian, as everything in it.
  private func number(at offset: Int, of bytes: [UInt8], _ count: Int) -> UInt64 {
    bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private func put(_ value: UInt64, at offset: Int, of bytes: inout [UInt8], _ count: Int) {
    for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
  }
}
