import Crypto
import Foundations

/// A vault's file that is being written anew, under the current key and cipher, without what does not count any more.
///
/// It goes in steps, and transactions go on in the old file meanwhile: they are copied last. The new file takes the old one's name when it is on the
/// medium as a whole; until then the old one counts.
struct Compaction: Sendable {
  /// Of one step: so much is copied before others get their turn.
  static let step_bytes = 64 * 1024

  var target: JournalFile
  /// What was there when it began and is not copied yet.
  var pending: ArraySlice<StoredValue>
  /// A transaction since then.
  struct Later: Sendable {
    var values: [StoredValue]
    var committed_s: Int64
  }
  var later: [Later] = []
}

extension VaultEngine {
  /// What a file takes that holds the values that count and nothing else.
  var compacted_bytes: Int {
    let live = journal.index.live_bytes
    // Two steps together are always more than one step's size.
    return FileHead.end + live + Manifest.overhead_bytes * (1 + 2 * live / copied_bytes)
  }

  /// What one step copies at the most, unless it is a single value.
  private var copied_bytes: Int { min(Compaction.step_bytes, configuration.limits.transaction_bytes - Manifest.overhead_bytes) }

  /// Kept free for removals, so that a full vault can be emptied.
  private static let reserve_bytes = 8 * 1024

  /// Sees to it that a transaction of these changes fits into the file.
  ///
  /// - Throws: `value-too-large`, `vault-full`.
  mutating func makeRoom(for changes: [Change]) throws(VaultError) {
    let limits = configuration.limits
    let size = changes.reduce(Manifest.overhead_bytes) { $0 + $1.stored_bytes }
    guard size <= limits.transaction_bytes else {
      throw VaultError("value-too-large", "a transaction of \(size) bytes; at most \(limits.transaction_bytes) are written at once: make two of it")
    }
    let isRemoval = !changes.contains { $0.kind.hasValue }
    let mayUse = limits.file_bytes - (isRemoval ? 0 : min(Self.reserve_bytes, limits.file_bytes / 8))
    let added = changes.count { $0.kind == .append || ($0.kind == .put && journal.index.records[$0.name] == nil) }
    if added > 0 && journal.index.records.count + journal.index.entryCount + added > limits.values {
      throw VaultError("vault-full", "the vault \(configuration.name) holds \(limits.values) values, which is its bound: remove some")
    }
    guard journal.end + size > mayUse else { return }
    if compaction != nil { try finishCompaction() }
    if journal.end + size > mayUse && compacted_bytes + size <= mayUse {
      try beginCompaction()
      try finishCompaction()
    }
    guard journal.end + size <= mayUse else {
      throw VaultError("vault-full", "the vault \(configuration.name) has \(limits.file_bytes) bytes, which are used up: remove some records")
    }
  }

  /// Starts a new file beside the old.
  mutating func beginCompaction() throws(VaultError) {
    removeNewFile()
    let subject = storage.path + "/" + newFileName
    let file = try storing(subject) { () throws(SystemCallError) in try storage.create(newFileName) }
    do {
      let target = try JournalFile.create(
        file, subject: subject, vault: configuration.name, root: keys.current, algorithm: configuration.algorithm,
        generation: journal.header.generation + 1, after: journal.sequence)
      compaction = Compaction(target: target, pending: journal.index.snapshot[...])
    } catch {
      removeNewFile()
      throw error
    }
  }

  /// Copies about `step_bytes`; false where all that was there at the beginning is copied.
  mutating func stepCompaction() throws(VaultError) -> Bool {
    guard let pending = compaction?.pending, !pending.isEmpty else { return false }
    var count = 0
    var size = 0
    while count < pending.count {
      let next = pending[pending.startIndex + count].change.stored_bytes
      guard count == 0 || size + next <= copied_bytes else { break }
      size += next
      count += 1
    }
    try copy(pending.prefix(count), committed_s: 0)
    compaction?.pending.removeFirst(count)
    return true
  }

  private mutating func copy(_ values: ArraySlice<StoredValue>, committed_s: Int64) throws(VaultError) {
    do {
      var changes: [(change: Change, value: SecretBytes?)] = []
      for value in values { changes.append((change: value.change, value: value.change.kind.hasValue ? try journal.read(value) : nil)) }
      guard let encoded = try compaction?.target.encode(changes, committed_s: committed_s) else { return }
      try compaction?.target.write(encoded)
      try compaction?.target.accept(encoded)
    } catch {
      abandonCompaction()
      throw error
    }
  }

  /// Copies what is left and puts the new file in the old one's place.
  mutating func finishCompaction() throws(VaultError) {
    while try stepCompaction() {}
    for transaction in compaction?.later ?? [] { try copy(transaction.values[...], committed_s: transaction.committed_s) }
    guard let target = compaction?.target else { return }
    compaction = nil
    try publish(target)
  }

  /// Puts a new file that is complete but for its heads in the vault's place.
  mutating func publish(_ file: JournalFile) throws(VaultError) {
    var target = file
    let name = storage.path + "/" + fileName
    do {
      let raised = counter == nil ? nil : counterValue + 1
      try target.writeHead(counter: raised)
      try target.writeHead(counter: raised)
      try target.synchronise()
      try storing(name) { () throws(SystemCallError) in try storage.rename(newFileName, to: fileName) }
    } catch {
      removeNewFile()
      throw error
    }
    target.moved(to: name)
    journal = target
    hasTail = false
    isUnderCurrentKey = true
    do {
      try storing(name) { () throws(SystemCallError) in try storage.synchronise() }
    } catch {
      obstacle = "\(name): the folder could not be flushed, so which file is on the medium is not known: open the vault again to write"
      throw error
    }
    try raiseCounter()
  }

  /// The old file goes on; the new one is removed, at the latest when the next one is begun.
  mutating func abandonCompaction() {
    guard compaction != nil else { return }
    compaction = nil
    removeNewFile()
  }

  /// Where it cannot be removed, what is left of it is encrypted and never read, and making the next one says so.
  func removeNewFile() { try? storage.remove(newFileName) }
}
