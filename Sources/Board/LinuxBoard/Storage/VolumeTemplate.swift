internal import BoardAPI
internal import Foundations
internal import Glibc

/// An empty ext4 of a few MiB, made when the image was (`Images/assembly/volume.py`): the device has no program that makes one.
///
///     0   8  "HAECHIFS"
///     8   4  bytes of a block
///     12  4  blocks of the file system
///     16  4  how many blocks follow; all others are zero
///     20     so many times: the block's number (4), its content
struct VolumeTemplate {
  /// Where an image keeps it.
  static let path = "/etc/haechi/volume"
  private static let magic = Array("HAECHIFS".utf8)
  static let maximum_bytes = 1 << 20

  let block_bytes: Int
  let blockCount: Int
  private let blocks: [Int: [UInt8]]

  /// Bytes of the file system as it is written first.
  var size_bytes: UInt64 { UInt64(block_bytes) * UInt64(blockCount) }

  /// nil where the bytes are no template.
  init?(decoding bytes: [UInt8]) {
    var reader = FieldReader(bytes)
    guard reader.take(8) == Self.magic, let size = reader.number(UInt32.self), size == 4_096, let count = reader.number(UInt32.self), count > 0,
      count <= 65_536, let given = reader.number(UInt32.self), given <= count
    else { return nil }
    var blocks: [Int: [UInt8]] = [:]
    for _ in 0..<given {
      guard let number = reader.number(UInt32.self), number < count, let content = reader.take(Int(size)) else { return nil }
      blocks[Int(number)] = content
    }
    guard reader.isAtEnd else { return nil }
    block_bytes = Int(size)
    blockCount = Int(count)
    self.blocks = blocks
  }

  static func ofThisImage() throws(BoardError) -> VolumeTemplate {
    let bytes: [UInt8]
    do throws(SystemCallError) {
      bytes = try AtomicFile.readSmall(path, maximum_bytes: maximum_bytes)
    } catch {
      throw BoardError(code: "storage-failed", reason: "the image has no template of a file system", cause: error)
    }
    guard let template = VolumeTemplate(decoding: bytes) else {
      throw BoardError(code: "storage-failed", reason: "\(path) is no template of a file system: make the image anew")
    }
    return template
  }

  /// Writes all of it: on an encrypted volume that is new, nothing reads as zero by itself.
  func write(to device: BlockPartition) throws(BoardError) {
    guard device.size_bytes >= size_bytes else {
      throw BoardError(code: "storage-failed", reason: "\(device.path) has \(device.size_bytes) bytes, of which the file system needs \(size_bytes)")
    }
    let run = 64
    let zeros = [UInt8](repeating: 0, count: block_bytes)
    for first in stride(from: 0, to: blockCount, by: run) {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(run * block_bytes)
      for number in first..<min(first + run, blockCount) { bytes += blocks[number] ?? zeros }
      try device.write(bytes, at: UInt64(first) * UInt64(block_bytes))
    }
    try device.flush()
  }
}
