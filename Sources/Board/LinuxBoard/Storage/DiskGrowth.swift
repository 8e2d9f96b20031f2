internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// Lets the last partition have the rest of a disk that is larger than its image. On a first boot only, before anything lies in the partition.
struct DiskGrowth {
  /// As the kernel names it: `vda4`.
  private let partition: String

  /// - Parameter path: the partition's device, `/dev/vda4`.
  init(path: String) { partition = String(path.dropFirst("/dev/".count)) }

  /// Grows it on the disk and in the kernel's mind; true where it did, and the partition must be opened anew.
  ///
  /// The second copy of the table is written first, so that there is a whole one at any instant; UEFI restores the first from it.
  func run() throws(BoardError) -> Bool {
    // A folder in the disk's own: /sys/devices/…/vda/vda4.
    guard let real = realpath("\(BlockPartition.devices)/\(partition)", nil) else { return false }
    defer { free(real) }
    let folders = String(cString: real).split(separator: "/")
    guard let disk = folders.dropLast().last.map(String.init), let number = fact("\(partition)/partition"), let first = fact("\(partition)/start"),
      let sectors = fact("\(disk)/size"), fact("\(disk)/queue/logical_block_size") == UInt64(GuidPartitionTable.sector_bytes)
    else { return false }
    let device = try BlockPartition(name: disk, path: "/dev/" + disk)
    let sector = UInt64(GuidPartitionTable.sector_bytes)
    let found = try device.read(at: sector, count: GuidPartitionTable.primarySectors * GuidPartitionTable.sector_bytes)
    guard let table = GuidPartitionTable(primary: found), let entry = table.partitions.first(where: { $0.number == Int(number) }), entry.first == first,
      let grown = table.growing(entry.name, toDisk: sectors), let after = grown.partitions.first(where: { $0.number == entry.number })
    else { return false }
    let backup = grown.backup
    try device.write(backup, at: sectors * sector - UInt64(backup.count))
    try device.flush()
    try device.write(grown.primary, at: sector)
    // The protective record says how large the disk is (chapter 5.2.3).
    try device.write(withUnsafeBytes(of: UInt32(clamping: sectors - 1).littleEndian) { Array($0) }, at: 446 + 12)
    try device.flush()
    try resize(disk, Int32(clamping: number), first_byte: first * sector, size_bytes: (after.last - after.first + 1) * sector)
    return true
  }

  private func resize(_ disk: String, _ number: CInt, first_byte: UInt64, size_bytes: UInt64) throws(BoardError) {
    let path = "/dev/" + disk
    let opened = open(path, O_RDWR | O_CLOEXEC)
    guard opened >= 0 else { throw .system(code: "storage-failed", call: "open", subject: path, number: errno) }
    let file = OwnedDescriptor(adopting: opened)
    guard haechi_partition_resize(file.number, number, first_byte, size_bytes) == 0 else {
      throw .system(code: "storage-failed", call: "BLKPG_RESIZE_PARTITION", subject: path, number: errno)
    }
  }

  private func fact(_ name: String) -> UInt64? {
    guard let bytes = try? AtomicFile.readSmall("\(BlockPartition.devices)/\(name)", maximum_bytes: 64) else { return nil }
    return UInt64(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
  }
}
