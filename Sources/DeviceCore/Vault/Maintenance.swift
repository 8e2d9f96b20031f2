import Foundations

extension VaultEngine {
  /// How many values one step removes at the most.
  private static let removals = 256
  /// Below this much it is not worth writing a file anew for its size alone.
  private static let small_bytes = 64 * 1024

  /// One step of what can wait: what is past its life is removed, the file is written anew where half of it does not count, where something was to be
  /// erased, or where its key or cipher is not the current one.
  ///
  /// - Returns: whether there is more to do now.
  mutating func maintain(now_s: Int64) throws(VaultError) -> Bool {
    if try removeExpired(now_s: now_s) { return true }
    if compaction == nil {
      guard needsCompaction(now_s: now_s) else { return false }
      try beginCompaction()
    }
    if try stepCompaction() { return true }
    try finishCompaction()
    return false
  }

  /// Removes some of what is past its life; false where nothing is.
  mutating func removeExpired(now_s: Int64) throws(VaultError) -> Bool {
    try checkWritable()
    let expired = expiredChanges(now_s: now_s)
    guard !expired.isEmpty else { return false }
    try makeRoom(for: expired)
    try write(expired.map { (change: $0, value: nil) }, committed_s: now_s)
    return true
  }

  private func needsCompaction(now_s: Int64) -> Bool {
    if !isUnderCurrentKey || journal.header.algorithm != configuration.algorithm { return true }
    if journal.end > Self.small_bytes && journal.end > 2 * compacted_bytes { return true }
    guard let since_s = journal.obsoleteSince_s else { return false }
    let (age_s, overflow) = now_s.subtractingReportingOverflow(since_s)
    return overflow ? now_s > since_s : age_s >= configuration.erasure_s
  }

  private func expiredChanges(now_s: Int64) -> [Change] {
    var changes: [Change] = []
    for kind in configuration.kinds {
      switch kind.form {
      case .records where kind.life_s != nil:
        for (name, stored) in journal.index.records where kindName(of: name) == kind.name && kind.isExpired(stored.change.written_s, now_s: now_s) {
          changes.append(Change(removing: name))
          if changes.count == Self.removals { return changes }
        }
      case .records: break
      case .log:
        guard let log = journal.index.logs[kind.name] else { continue }
        var first = log.next - UInt64(min(log.count, kind.maximumCount))
        for entry in log.entries(from: first) {
          guard kind.isExpired(entry.change.written_s, now_s: now_s) else { break }
          first = entry.change.number + 1
        }
        // Beyond its number in steps, as `commit` does; past its life at once.
        let isOld = log.entries.first.map { kind.isExpired($0.change.written_s, now_s: now_s) } ?? false
        if isOld && first > log.first {
          changes.append(Change(kind: .trim, name: kind.name, generation: 0, number: first, written_s: 0, value_bytes: 0))
        }
      }
    }
    return changes
  }

  /// Removes everything of kinds that are not declared any more.
  mutating func removeUndeclared(now_s: Int64) throws(VaultError) {
    try checkWritable()
    let declared = Set(configuration.kinds.map(\.name))
    let names = journal.index.records.keys.filter { !declared.contains(kindName(of: $0)) }.sorted()
    var changes = names.map { Change(removing: $0) }
    for (name, log) in journal.index.logs where !declared.contains(name) && log.count > 0 {
      changes.append(Change(kind: .trim, name: name, generation: 0, number: log.next, written_s: 0, value_bytes: 0))
    }
    while !changes.isEmpty {
      let step = Array(changes.prefix(Self.removals))
      changes.removeFirst(step.count)
      try makeRoom(for: step)
      try write(step.map { (change: $0, value: nil) }, committed_s: now_s)
    }
  }
}
