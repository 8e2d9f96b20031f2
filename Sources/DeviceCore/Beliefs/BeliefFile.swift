internal import Crypto
public import Foundations
internal import Glibc
internal import Vault

/// What the supervisor believes, on the medium: one record that is replaced as a whole. To this type it is bytes.
///
/// The file holds two copies of the record and takes its room once, so that nobody who fills the medium can keep it from being replaced. One copy is
/// written and flushed, then the other: a cut leaves one that is whole, of the record before or of the new one, and where one is damaged the other counts.
///
/// A copy:
///
///     0   16  "HAECHI-BELIEFS-1"
///     16   8  generation; of two copies the higher one is the newer
///     24   4  bytes of the record
///     28  32  SHA-256 of the 28 bytes before and the record
///     60      the record, then zeros to 16 KiB
public struct BeliefFile: Sendable {
  /// What lies there.
  public enum Content: Sendable, Equatable {
    case record([UInt8])
    /// Nothing, and nobody owns the device.
    case nothing
    /// The device has an owner, and what was believed of it cannot be read: one sentence on why.
    case lost(String)
  }

  static let name = "beliefs"
  static let magic = Array("HAECHI-BELIEFS-1".utf8)
  static let head_bytes = 60
  /// A multiple of what media write at once, so that the damage of one copy spares the other.
  static let copy_bytes = 16 * 1024
  /// What a medium writes whole or not at all, at the least.
  private static let sector_bytes = 512
  /// The longest record.
  public static let recordMaximum_bytes = copy_bytes - head_bytes

  private let storage: any VaultStorage
  private let hasOwner: @Sendable () -> Bool

  /// - Parameters:
  ///   - folder: which nobody but this process's user may enter.
  ///   - ownerFile: what the runtime has where the device has an owner. A device without one has nothing that could be lost.
  public init(folder: String, ownerFile: String) {
    self.init(storage: PosixVaultFolder(path: folder)) {
      var facts = stat()
      // What cannot be looked at may be there.
      return lstat(ownerFile, &facts) == 0 || errno != ENOENT
    }
  }

  init(storage: any VaultStorage, hasOwner: @escaping @Sendable () -> Bool) {
    self.storage = storage
    self.hasOwner = hasOwner
  }

  public func read() -> Content {
    do throws(SystemCallError) {
      let file = try storage.open(Self.name, writable: false)
      if let newest = Self.copies(of: file).compactMap({ $0 }).max(by: { $0.generation < $1.generation }) { return .record(newest.record) }
      return lost("neither of its two copies is whole")
    } catch {
      return lost(error.number == ENOENT ? "it is missing" : error.reason)
    }
  }

  private func lost(_ why: String) -> Content { hasOwner() ? .lost("the file \(Self.name): \(why)") : .nothing }

  /// Returns when the new record is on the medium, twice.
  ///
  /// - Throws: a sentence that says why not: then either record may count at the next start.
  public func replace(with record: [UInt8]) throws(BeliefFileError) {
    do throws(SystemCallError) {
      try put(record)
    } catch {
      throw BeliefFileError(reason: error.reason)
    }
  }

  private func put(_ record: [UInt8]) throws(SystemCallError) {
    guard record.count <= Self.recordMaximum_bytes else { throw SystemCallError("write", number: EFBIG, subject: Self.name) }
    guard let file = try openToWrite() else { return try create(record) }
    let copies = Self.copies(of: file)
    let generations = copies.map { $0?.generation ?? 0 }
    let next = (generations.max() ?? 0).addingReportingOverflow(1).partialValue
    let copy = BeliefCopy(generation: next, record: record).bytes
    // The older one first: the newer one stays whole for as long as the other is not.
    let first = generations[0] <= generations[1] ? 0 : 1
    for index in [first, 1 - first] {
      if copies[index] == nil {
        // What a cut left of a record lacks some sectors. The new one may have the same there, and a cut in the midst of it would make the other whole, which was
        // not there before: without its head it stays nothing.
        try file.write([UInt8](repeating: 0, count: Self.sector_bytes), at: index * Self.copy_bytes)
        try file.synchronise()
      }
      try file.write(copy, at: index * Self.copy_bytes)
      try file.synchronise()
    }
  }

  private func openToWrite() throws(SystemCallError) -> (any VaultFile)? {
    do throws(SystemCallError) {
      return try storage.open(Self.name, writable: true)
    } catch {
      guard error.number == ENOENT else { throw error }
      return nil
    }
  }

  /// The one time that it asks for room.
  private func create(_ record: [UInt8]) throws(SystemCallError) {
    let incoming = Self.name + ".new"
    do throws(SystemCallError) {
      try storage.remove(incoming)
    } catch {
      guard error.number == ENOENT else { throw error }
    }
    let file = try storage.create(incoming)
    let copy = BeliefCopy(generation: 1, record: record).bytes
    try file.write(copy + copy, at: 0)
    try file.synchronise()
    try storage.rename(incoming, to: Self.name)
    try storage.synchronise()
  }

  /// Both of them; nil for one that is not whole, or cannot be read.
  private static func copies(of file: any VaultFile) -> [BeliefCopy?] {
    [0, 1].map { index in (try? file.read(at: index * copy_bytes, count: copy_bytes)).flatMap { BeliefCopy(reading: $0) } }
  }
}

/// Why a record was not kept.
public struct BeliefFileError: HaechiError {
  public let reason: String
  public var code: String { "beliefs-not-kept" }
  public var cause: (any Error)? { nil }
}

/// One of the two.
struct BeliefCopy: Equatable {
  let generation: UInt64
  let record: [UInt8]

  init(generation: UInt64, record: [UInt8]) {
    self.generation = generation
    self.record = record
  }

  /// Head, record and zeros.
  var bytes: [UInt8] {
    let head = Self.head(generation, record.count)
    let used = head + sha256(head + record) + record
    return used + [UInt8](repeating: 0, count: max(0, BeliefFile.copy_bytes - used.count))
  }

  /// nil where the bytes are no whole copy.
  init?(reading bytes: [UInt8]) {
    guard bytes.count == BeliefFile.copy_bytes, bytes.starts(with: BeliefFile.magic) else { return nil }
    let generation = bytes[16..<24].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let count = bytes[24..<28].reduce(0) { $0 << 8 | Int($1) }
    guard count <= BeliefFile.recordMaximum_bytes else { return nil }
    let end = BeliefFile.head_bytes + count
    let record = Array(bytes[BeliefFile.head_bytes..<end])
    guard sha256(bytes[..<28] + record) == Array(bytes[28..<BeliefFile.head_bytes]), bytes[end...].allSatisfy({ $0 == 0 }) else { return nil }
    self.init(generation: generation, record: record)
  }

  private static func head(_ generation: UInt64, _ count: Int) -> [UInt8] {
    var head = BeliefFile.magic
    for shift in stride(from: UInt64(56), through: 0, by: -8) { head.append(UInt8(truncatingIfNeeded: generation >> shift)) }
    for shift in stride(from: 24, through: 0, by: -8) { head.append(UInt8(truncatingIfNeeded: count >> shift)) }
    return head
  }
}
