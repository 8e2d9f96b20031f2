internal import BoardAPI
internal import Foundations

/// The number of the last start of the machine, as the data volume has it: a file of root's beside the runtime's folder. The ident store has it too, and the
/// root of trust counts that store's generations, so that a copy of the volume from an earlier start shows: a disk can only be copied or exchanged by
/// somebody else while the machine is off, and each start counts.
struct VolumeStarts {
  static let first: UInt64 = 1
  private static let maximum_bytes = 64
  /// A start that is cut off again and again counts in the volume alone; not for ever.
  private static let aheadMaximum: UInt64 = 1 << 32

  private let path: String

  init(folders: VolumeFolders) { path = folders.mount + "/starts" }

  /// The number of this start.
  ///
  /// - Parameter told: what the ident store has; 0 where the volume is from before starts were counted.
  /// - Throws: `storage-damaged` where the volume is behind.
  func next(told: UInt64) throws(BoardError) -> UInt64 {
    let read: [UInt8]?
    do throws(SystemCallError) {
      read = try AtomicFile.read(path, maximum_bytes: Self.maximum_bytes)
    } catch {
      throw BoardError(code: "storage-failed", reason: "the number of starts cannot be read", cause: error)
    }
    guard let bytes = read else {
      guard told == 0 else { throw IdentStore.damage("the partition data does not say how often it was started: it was changed, or is an older copy") }
      return Self.first
    }
    guard let found = UInt64(String(decoding: bytes, as: UTF8.self)), found >= told else {
      let said = String(String(decoding: bytes, as: UTF8.self).prefix(20))
      throw IdentStore.damage("the partition data is an older copy: it was started \(said) times, and the device \(told) times")
    }
    guard found - told < Self.aheadMaximum else { throw IdentStore.damage("the partition data was changed: it says \(found) starts, and the device \(told)") }
    return found + 1
  }

  /// Durable when it returns.
  func write(_ number: UInt64) throws(BoardError) {
    do throws(SystemCallError) {
      try AtomicFile.replace(path, with: Array("\(number)".utf8))
    } catch {
      throw BoardError(code: "storage-failed", reason: "the number of starts cannot be written", cause: error)
    }
  }
}
