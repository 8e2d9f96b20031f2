internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// One partition of the disk, open for reading and writing. A plain file serves as well, in tests.
final class BlockPartition {
  /// As the partition table names it: `data`.
  let name: String
  /// `/dev/vda4`
  let path: String
  let size_bytes: UInt64
  private let device: OwnedDescriptor

  /// Where the kernel lists block devices.
  static let devices = "/sys/class/block"

  init(name: String, path: String) throws(BoardError) {
    let number = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard number >= 0 else { throw .system(code: "storage-failed", call: "open", subject: path, number: errno) }
    device = OwnedDescriptor(adopting: number)
    // The kernel opens one that cannot be written all the same, and refuses each write.
    guard haechi_block_is_read_only(number) == 0 else {
      throw BoardError(
        code: "storage-failed",
        reason: "the disk is write-protected (\(path)), so it is not opened: make it writable, or exchange it, and switch the device off and on")
    }
    let end = lseek(number, 0, SEEK_END)
    guard end >= 0 else { throw .system(code: "storage-failed", call: "lseek", subject: path, number: errno) }
    self.name = name
    self.path = path
    size_bytes = UInt64(end)
  }

  /// The partition of that name in a GUID partition table, nil where there is none.
  ///
  /// - Throws: `storage-ambiguous` where several have the name: none is better than the others.
  static func find(_ name: String) throws(BoardError) -> BlockPartition? {
    guard let folder = opendir(devices) else { return nil }
    defer { closedir(folder) }
    var found: [String] = []
    while let entry = readdir(folder) {
      let device = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard !device.hasPrefix("."), let bytes = try? AtomicFile.readSmall("\(devices)/\(device)/uevent", maximum_bytes: 4_096) else { continue }
      if String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains(Substring("PARTNAME=" + name)) { found.append(device) }
    }
    guard found.count <= 1 else {
      throw BoardError(
        code: "storage-ambiguous", reason: "the partitions \(found.sorted().joined(separator: ", ")) are all named \(name): take away what is not this device's"
      )
    }
    guard let device = found.first else { return nil }
    return try BlockPartition(name: name, path: "/dev/" + device)
  }

  /// Exactly `count` bytes.
  func read(at offset_bytes: UInt64, count: Int) throws(BoardError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let taken = bytes.withUnsafeMutableBytes { pread(device.number, $0.baseAddress.map { $0 + filled }, count - filled, off_t(offset_bytes) + off_t(filled)) }
      if taken < 0, errno == EINTR { continue }
      guard taken > 0 else { throw .system(code: "storage-failed", call: "read", subject: path, number: taken == 0 ? ENXIO : errno) }
      filled += taken
    }
    return bytes
  }

  /// Durable only after `flush`.
  func write(_ bytes: [UInt8], at offset_bytes: UInt64) throws(BoardError) {
    var written = 0
    while written < bytes.count {
      let taken = bytes.withUnsafeBytes {
        pwrite(device.number, $0.baseAddress.map { $0 + written }, bytes.count - written, off_t(offset_bytes) + off_t(written))
      }
      if taken < 0, errno == EINTR { continue }
      guard taken > 0 else { throw .system(code: "storage-failed", call: "write", subject: path, number: taken == 0 ? ENOSPC : errno) }
      written += taken
    }
  }

  /// Waits until what was written is on the medium.
  func flush() throws(BoardError) {
    guard fdatasync(device.number) == 0 else { throw .system(code: "storage-failed", call: "fdatasync", subject: path, number: errno) }
  }

  /// Tells the medium that the whole content is of no use. A medium that cannot take the hint keeps it.
  func discard() throws(BoardError) {
    guard haechi_block_discard(device.number, size_bytes) == 0 || errno == EOPNOTSUPP || errno == ENOTTY else {
      throw .system(code: "storage-failed", call: "BLKDISCARD", subject: path, number: errno)
    }
  }
}
