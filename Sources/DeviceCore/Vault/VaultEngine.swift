import Crypto
import Foundations

/// The vault's state and what changes it. One at a time: `Vault` sees to that.
struct VaultEngine: Sendable {
  let storage: any VaultStorage
  let configuration: VaultConfiguration
  let keys: VaultKeys
  let counter: (any MonotonicCounter)?
  var journal: JournalFile
  /// Why it may not be written; nil where it may. Reading goes on.
  var obstacle: String?
  /// The counter's value, as far as this vault raised it.
  var counterValue: UInt64
  /// A write may have left bytes after the last transaction.
  var hasTail: Bool
  var isUnderCurrentKey: Bool
  var compaction: Compaction?

  var fileName: String { configuration.name + ".vault" }
  var newFileName: String { fileName + ".new" }
  /// What a head tells of the counter; nil where there is none.
  var headCounter: UInt64? { counter == nil ? nil : counterValue }

  func checkWritable() throws(VaultError) {
    if let obstacle { throw VaultError("read-only", obstacle) }
  }

  // MARK: Reading

  func value(_ name: String, _ kind: VaultKind, now_s: Int64) throws(VaultError) -> SecretBytes? {
    guard let stored = journal.index.records[name], !kind.isExpired(stored.change.written_s, now_s: now_s) else { return nil }
    return try journal.read(stored)
  }

  /// The names of a kind's records, sorted.
  func names(_ kind: VaultKind, now_s: Int64) -> [String] {
    journal.index.records.values
      .filter { kindName(of: $0.change.name) == kind.name && !kind.isExpired($0.change.written_s, now_s: now_s) }
      .map(\.change.name).sorted()
  }

  /// Where the entries of a log are, oldest first: the newest so many as the kind allows, without those that are past their life.
  func entries(_ kind: VaultKind, after number: UInt64, limit: Int, now_s: Int64) -> [StoredValue] {
    guard let log = journal.index.logs[kind.name], limit > 0, number < .max else { return [] }
    let oldest = log.next - UInt64(min(log.count, kind.maximumCount))
    var result: [StoredValue] = []
    for entry in log.entries(from: max(number + 1, oldest)) where !kind.isExpired(entry.change.written_s, now_s: now_s) {
      result.append(entry)
      if result.count == limit { break }
    }
    return result
  }

  // MARK: Writing

  /// Makes a transaction permanent. Returns when it is on the medium; where it throws, nothing of it is seen here, and after an error of the
  /// medium itself it is there as a whole or not at all when the vault is opened again.
  mutating func commit(_ transaction: VaultTransaction, isAnchored: Bool, now_s: Int64) throws(VaultError) {
    try checkWritable()
    let planned = try plan(transaction, now_s: now_s)
    if !planned.isEmpty {
      try makeRoom(for: planned.map(\.change))
      try write(planned, committed_s: now_s)
    }
    if isAnchored { try anchor() }
  }

  /// The changes in order, all but the generation, which is the number that their transaction gets.
  private func plan(_ transaction: VaultTransaction, now_s: Int64) throws(VaultError) -> [(change: Change, value: SecretBytes?)] {
    var planned: [(change: Change, value: SecretBytes?)] = []
    var newRecords: [String: Int] = [:]
    for (name, value) in transaction.records {
      let isThere = journal.index.records[name] != nil
      guard let value else {
        if isThere { planned.append((change: Change(removing: name), value: nil)) }
        continue
      }
      if !isThere { newRecords[kindName(of: name), default: 0] += 1 }
      let change = Change(kind: .put, name: name, generation: 0, number: 0, written_s: now_s, value_bytes: value.count)
      planned.append((change: change, value: value))
    }
    for (name, count) in newRecords { try checkCount(name, count, planned) }
    var next: [String: UInt64] = [:]
    for (log, value) in transaction.entries {
      let number = next[log] ?? journal.index.logs[log]?.next ?? 1
      next[log] = number + 1
      let change = Change(kind: .append, name: log, generation: 0, number: number, written_s: now_s, value_bytes: value.count)
      planned.append((change: change, value: value))
    }
    for (log, number) in next {
      if let trim = trim(log, next: number) { planned.append((change: trim, value: nil)) }
    }
    return planned
  }

  /// A log is cut back in steps, so that not each append costs a cut; what is beyond its number is not shown meanwhile.
  private func trim(_ log: String, next: UInt64) -> Change? {
    guard let kind = configuration.kinds.first(where: { $0.name == log }) else { return nil }
    let first = journal.index.logs[log]?.first ?? 1
    let keep = UInt64(kind.maximumCount)
    guard next - first > keep + keep / 8 + 8 else { return nil }
    return Change(kind: .trim, name: log, generation: 0, number: next - keep, written_s: 0, value_bytes: 0)
  }

  private func checkCount(_ name: String, _ new: Int, _ planned: [(change: Change, value: SecretBytes?)]) throws(VaultError) {
    guard let kind = configuration.kinds.first(where: { $0.name == name }) else { return }
    let removed = planned.count { $0.change.kind == .remove && kindName(of: $0.change.name) == name }
    let count = (journal.index.recordCounts[name] ?? 0) + new - removed
    guard count <= kind.maximumCount else {
      throw VaultError("vault-full", "\(name) has at most \(kind.maximumCount) records: remove one first")
    }
  }

  /// Writes one transaction and counts it once it is on the medium.
  mutating func write(_ planned: [(change: Change, value: SecretBytes?)], committed_s: Int64) throws(VaultError) {
    if hasTail { try journal.dropTail() }
    let sequence = journal.sequence + 1
    let changes = planned.map { item in
      var change = item.change
      if change.kind.hasValue { change.generation = sequence }
      return (change: change, value: item.value)
    }
    let encoded = try journal.encode(changes, committed_s: committed_s)
    // What a failed write leaves is removed before the next one.
    hasTail = true
    try journal.write(encoded)
    try flush()
    let values = try journal.accept(encoded)
    hasTail = false
    compaction?.later.append(Compaction.Later(values: values, committed_s: committed_s))
    do {
      // Reaches the medium with the next transaction.
      try journal.writeHead(counter: headCounter)
    } catch {
      // The transaction is permanent all the same; that the medium fails is told with the next one.
      obstacle = "\(error.reason): open the vault again to write"
    }
  }

  private mutating func flush() throws(VaultError) {
    do {
      try journal.synchronise()
    } catch {
      // After a failed flush nobody knows what is on the medium, and trying again would not tell.
      obstacle = "\(journal.subject): a flush failed, so what is on the medium is not known: open the vault again to write"
      throw error
    }
  }

  /// Raises the counter, so that no copy of the file from before opens any more.
  mutating func anchor() throws(VaultError) {
    guard counter != nil else { return }
    try writeRestingHead(counter: counterValue + 1, isClosed: false)
    try raiseCounter()
  }

  /// A head that is on the medium when this returns.
  mutating func writeRestingHead(counter: UInt64?, isClosed: Bool) throws(VaultError) {
    if hasTail {
      // First and for certain: a head that says closed must not come before.
      try journal.dropTail()
      try flush()
      hasTail = false
    }
    try journal.writeHead(counter: counter, isClosed: isClosed)
    try flush()
  }

  /// The file's head already tells of the value that the counter gets.
  mutating func raiseCounter() throws(VaultError) {
    guard let counter else { return }
    do {
      let value = try counter.increment()
      guard value == counterValue + 1 else {
        throw VaultError("counter-failed", "the counter of the vault \(configuration.name) went to \(value) from \(counterValue): it has another user")
      }
      counterValue = value
    } catch {
      obstacle = "the counter of the vault \(configuration.name) could not be raised: open the vault again to write"
      throw VaultError("counter-failed", "the counter of the vault \(configuration.name) could not be raised", cause: error)
    }
  }

  /// Writes the head that says that nothing follows.
  mutating func close() throws(VaultError) {
    abandonCompaction()
    if obstacle == nil { try writeRestingHead(counter: headCounter, isClosed: true) }
  }
}

extension Change {
  init(removing name: String) {
    self.init(kind: .remove, name: name, generation: 0, number: 0, written_s: 0, value_bytes: 0)
  }
}
