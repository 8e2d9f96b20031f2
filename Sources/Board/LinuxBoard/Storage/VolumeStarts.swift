internal import BoardAPI
internal import Foundations
internal import Glibc

/// The number of the last start of the machine, as the data volume has it: a file of root's beside the runtime's folder. The ident store has it too, and the
/// root of trust counts that store's generations, so that a volume from an earlier start shows.
///
/// The file has its room from the volume's first start on, so that a full volume keeps no start from being counted. Two copies are written in turn:
///
///     0   16  "HAECHI-STARTS-01"
///     16   8  the number
///     24  32  SHA-256 of all before
struct VolumeStarts {
  static let first: UInt64 = 1
  private static let magic = Array("HAECHI-STARTS-01".utf8)
  private static let copy_bytes = 56
  /// A block of the file system, which is also the unit of its encryption: a cut in the midst of one costs that one.
  private static let block_bytes: UInt64 = 4_096
  private static let copies: UInt64 = 2
  /// A start that is cut off again and again counts in the volume alone; not for ever.
  private static let aheadMaximum: UInt64 = 1 << 32

  private let path: String

  init(folders: VolumeFolders) { path = folders.mount + "/starts" }

  /// The number of this start.
  ///
  /// - Parameter told: what the ident store has; 0 where the volume is from before starts were counted.
  /// - Throws: `storage-damaged` where the volume is behind.
  func next(told: UInt64) throws(BoardError) -> UInt64 {
    guard let found = try read() else {
      guard told == 0 else { throw IdentStore.damage("the partition data does not say how often it was started: it was changed, or is an older copy") }
      return Self.first
    }
    guard found >= told else {
      throw IdentStore.damage("the partition data is an older copy: it was started \(found) times, and the device \(told) times")
    }
    guard found - told < Self.aheadMaximum else { throw IdentStore.damage("the partition data was changed: it says \(found) starts, and the device \(told)") }
    return found + 1
  }

  /// Durable when it returns. The copy of the number before stays whole.
  func write(_ number: UInt64) throws(BoardError) {
    guard access(path, F_OK) == 0 else { return try make(number) }
    let file = try BlockPartition(name: "starts", path: path)
    try file.write(Self.copy(number), at: number % Self.copies * Self.block_bytes)
    try file.flush()
  }

  private func make(_ number: UInt64) throws(BoardError) {
    let copy = Self.copy(number)
    let block = copy + [UInt8](repeating: 0, count: Int(Self.block_bytes) - copy.count)
    do throws(SystemCallError) {
      try AtomicFile.replace(path, with: block + block)
    } catch {
      throw BoardError(code: "storage-failed", reason: "the number of starts cannot be written", cause: error)
    }
  }

  /// The newest of the copies that are whole; nil where there is none.
  private func read() throws(BoardError) -> UInt64? {
    guard access(path, F_OK) == 0 else { return nil }
    let file = try BlockPartition(name: "starts", path: path)
    guard file.size_bytes == Self.copies * Self.block_bytes else { return nil }
    var newest: UInt64?
    for index in 0..<Self.copies {
      guard let number = Self.number(in: try file.read(at: index * Self.block_bytes, count: Self.copy_bytes)) else { continue }
      newest = max(newest ?? 0, number)
    }
    return newest
  }

  private static func copy(_ number: UInt64) -> [UInt8] {
    var writer = FieldWriter()
    writer.put(magic)
    writer.put(number)
    return writer.bytes + RecordCipher.digest(writer.bytes)
  }

  private static func number(in copy: [UInt8]) -> UInt64? {
    let head = Array(copy.prefix(magic.count + 8))
    guard RecordCipher.digest(head) == Array(copy.dropFirst(head.count)) else { return nil }
    var reader = FieldReader(head)
    guard reader.take(magic.count) == magic else { return nil }
    return reader.number(UInt64.self)
  }
}
