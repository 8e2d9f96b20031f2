internal import BoardAPI
internal import Foundations

/// The partition `ident`: what survives a wipe, in two records that are written in turn, so that a cut leaves one of them whole.
///
///     0 KiB    key area: whose the store is, and its key as the root of trust sealed it
///     8 KiB    the other key area: the key is sealed anew there, before the first one is erased, or the other way round
///     64 KiB   the development root of trust's own (debug firmware only)
///     1 MiB    records of even generations
///     2 MiB    records of odd generations
///
/// The generation is mirrored in a counter of the root of trust, which shows an older copy. A store that is missing something is an error and
/// never an empty store.
final class IdentStore {
  static let developmentOffset_bytes: UInt64 = 64 * 1024
  private static let recordOffsets_bytes: [UInt64] = [1 << 20, 2 << 20]
  static let minimum_bytes: UInt64 = 3 << 20

  private let partition: BlockPartition
  private let root: any SealingRootOfTrust
  private let key: SecretBytes
  private var generation: UInt64
  private(set) var content: IdentContent
  /// Where the key that counts lies.
  private var place: KeyArea.Place
  /// An older firmware could open it too: it is to be sealed anew.
  private(set) var isOutdated: Bool

  private init(
    partition: BlockPartition, root: any SealingRootOfTrust, key: SecretBytes, generation: UInt64, content: IdentContent, place: KeyArea.Place = .first,
    isOutdated: Bool = false
  ) {
    self.partition = partition
    self.root = root
    self.key = key
    self.generation = generation
    self.content = content
    self.place = place
    self.isOutdated = isOutdated
  }

  /// The store as it lies there; on the first boot of all a new and empty one.
  ///
  /// - Throws: `storage-locked` where its key is sealed for another root of trust or firmware; `storage-damaged`.
  static func open(_ partition: BlockPartition, root: any SealingRootOfTrust) throws(BoardError) -> IdentStore {
    guard partition.size_bytes >= minimum_bytes else {
      throw damage("the partition \(partition.name) has \(partition.size_bytes) bytes, of which it needs \(minimum_bytes)")
    }
    // Raised last of all when a store is made: from then on this root of trust knows that there is one.
    let isKnown = try root.value(of: .identityEpoch) != nil
    switch try KeyArea.find(partition, root: root) {
    case .empty:
      guard !isKnown else { throw damage("the partition \(partition.name) is empty, and the root of trust knows this device") }
      return try make(partition, root: root)
    case .unreadable:
      // A cut while it was first written leaves half of it; nothing that counts was stored yet.
      guard !isKnown else { throw damage("the key area of the partition \(partition.name) was changed") }
      return try make(partition, root: root)
    case .made(let kind, let blob, let place):
      guard kind == root.kind else {
        throw BoardError(
          code: BoardError.lockedCode, reason: "the partition \(partition.name) was sealed by \(words(kind)), and this device has \(words(root.kind))")
      }
      let key = try root.unseal(blob)
      // It opens here, so it is this root of trust's: the first boot was cut off.
      guard isKnown else { return try make(partition, root: root) }
      let store = try newest(partition, root: root, key: key)
      store.place = place
      store.isOutdated = try root.standing(of: blob) == .earlier
      // What a rise of the counter left, or what was sealed ahead of one that did not come about.
      if !store.isOutdated { try KeyArea.erase(partition, at: place.other) }
      return store
    }
  }

  /// Seals the key for the security epoch of the firmware that runs, and then lets the counter of security epochs rise: no older firmware opens the store from
  /// here on. Cut off before that, the next boot does it again. What else was sealed ahead opens from here on.
  func sealAnew() throws(BoardError) {
    let next = place.other
    try KeyArea.write(kind: root.kind, blob: try root.sealAhead(key, to: .firmware), to: partition, at: next)
    _ = try root.raise(.securityEpoch)
    isOutdated = false
    let old = place
    place = next
    try KeyArea.erase(partition, at: old)
  }

  /// Writes `content` as the next generation. Durable when it returns; where it throws, the old content or the new one is there.
  func commit(_ content: IdentContent) throws(BoardError) {
    guard content.files.count <= IdentContent.maximumFiles, content.files_bytes <= IdentContent.filesMaximum_bytes else {
      throw BoardError(
        code: "identity-too-large",
        reason:
          "\(content.files.count) files of \(content.files_bytes) bytes: at most \(IdentContent.maximumFiles) of \(IdentContent.filesMaximum_bytes) are kept")
    }
    let (next, isTooMany) = generation.addingReportingOverflow(1)
    guard !isTooMany else { throw Self.damage("the generation has no successor") }
    try Self.write(IdentRecord(generation: next, content: content), key: key, to: partition)
    let counted = try root.raise(.identGeneration)
    guard counted == next else { throw Self.damage("the root of trust counts generation \(counted), not \(next)") }
    let old = self.content
    let oldRecord = Self.offset(of: generation)
    generation = next
    self.content = content
    if Self.leavesSecret(old, content) { try Self.erase(oldRecord, of: partition) }
  }

  /// Whether an older record holds a passphrase that the newer one does not.
  private static func leavesSecret(_ old: IdentContent, _ new: IdentContent) -> Bool {
    guard case .set = old.wish else { return false }
    return old.wish != new.wish
  }

  private static func erase(_ offset_bytes: UInt64, of partition: BlockPartition) throws(BoardError) {
    try partition.write([UInt8](repeating: 0, count: IdentRecord.header_bytes + IdentRecord.sealedMaximum_bytes), at: offset_bytes)
    try partition.flush()
  }

  private static func offset(of generation: UInt64) -> UInt64 { recordOffsets_bytes[Int(generation & 1)] }

  private static func make(_ partition: BlockPartition, root: any SealingRootOfTrust) throws(BoardError) -> IdentStore {
    let key = try RecordCipher.randomKey(RecordCipher.key_bytes)
    let blob = try root.seal(key, to: .firmware)
    let generation = try root.raise(.identGeneration)
    try write(IdentRecord(generation: generation, content: IdentContent()), key: key, to: partition)
    try KeyArea.write(kind: root.kind, blob: blob, to: partition, at: .first)
    try KeyArea.erase(partition, at: .second)
    _ = try root.raise(.identityEpoch)
    return IdentStore(partition: partition, root: root, key: key, generation: generation, content: IdentContent())
  }

  /// An empty store in place of whatever lies there: the next start is a first boot. A cut before its end leaves a key area that is empty: damage, where the
  /// root of trust knows the device.
  static func remake(_ partition: BlockPartition, root: any SealingRootOfTrust) throws(BoardError) {
    guard partition.size_bytes >= minimum_bytes else {
      throw damage("the partition \(partition.name) has \(partition.size_bytes) bytes, of which it needs \(minimum_bytes)")
    }
    for place in KeyArea.Place.allCases { try KeyArea.erase(partition, at: place) }
    let record = [UInt8](repeating: 0, count: IdentRecord.header_bytes + IdentRecord.sealedMaximum_bytes)
    for offset in recordOffsets_bytes { try partition.write(record, at: offset) }
    try partition.flush()
    _ = try make(partition, root: root)
  }

  private static func newest(_ partition: BlockPartition, root: any SealingRootOfTrust, key: SecretBytes) throws(BoardError) -> IdentStore {
    var (found, older): (IdentRecord?, IdentRecord?)
    for offset in recordOffsets_bytes {
      guard let record = try read(partition, at: offset, key: key) else { continue }
      if record.generation > found?.generation ?? 0 { (found, older) = (record, found) } else { older = record }
    }
    guard let found else { throw damage("no record of the partition \(partition.name) is whole") }
    guard let counted = try root.value(of: .identGeneration) else { throw damage("the root of trust has lost the generation of \(partition.name)") }
    if found.generation > counted {
      // Cut between the record and its counting: it is the one that was being written.
      guard found.generation - counted == 1 else { throw olderCounter(partition, found, counted) }
      // Or its flush failed: then it may lie in the medium's own memory, and counted before it is durable it would be missing after the power went.
      try write(found, key: key, to: partition)
      guard try root.raise(.identGeneration) == found.generation else {
        throw olderCounter(partition, found, counted)
      }
    } else if found.generation < counted {
      throw damage("the partition \(partition.name) is an older copy: generation \(found.generation) of \(counted)")
    }
    // The power went before it was erased.
    if let older, leavesSecret(older.content, found.content) { try erase(offset(of: older.generation), of: partition) }
    return IdentStore(partition: partition, root: root, key: key, generation: found.generation, content: found.content)
  }

  private static func olderCounter(_ partition: BlockPartition, _ found: IdentRecord, _ counted: UInt64) -> BoardError {
    damage("the partition \(partition.name) has generation \(found.generation), and the root of trust counts \(counted)")
  }

  private static func write(_ record: IdentRecord, key: SecretBytes, to partition: BlockPartition) throws(BoardError) {
    try partition.write(try record.sealed(key: key), at: offset(of: record.generation))
    try partition.flush()
  }

  private static func read(_ partition: BlockPartition, at offset_bytes: UInt64, key: SecretBytes) throws(BoardError) -> IdentRecord? {
    let header = try partition.read(at: offset_bytes, count: IdentRecord.header_bytes)
    guard let count = IdentRecord.sealedBytes(header: header) else { return nil }
    let sealed = try partition.read(at: offset_bytes + UInt64(IdentRecord.header_bytes), count: count)
    return IdentRecord(header: header, sealed: sealed, key: key)
  }

  static func damage(_ reason: String) -> BoardError { BoardError(code: "storage-damaged", reason: reason) }

  private static func words(_ kind: RootOfTrustFacts.Kind) -> String {
    switch kind {
    case .none: "no root of trust"
    case .tpm2: "a TPM"
    case .development: "a debug firmware without a TPM"
    }
  }
}
