/// Where a value is in the file, and what binds it there.
struct StoredValue: Equatable, Sendable {
  /// Of the sealed value, in the file.
  var offset: Int
  var algorithm: UInt8
  var change: Change
}

/// One log: its entries have consecutive numbers.
struct LogIndex: Sendable {
  /// The number that the next entry gets; from 1.
  fileprivate(set) var next: UInt64 = 1
  private var places: [StoredValue] = []
  /// Places before this one were trimmed and wait to be removed together.
  private var start = 0

  var count: Int { places.count - start }
  /// The number of the first entry that is kept, or of the next where there is none.
  var first: UInt64 { next - UInt64(count) }
  /// Oldest first.
  var entries: ArraySlice<StoredValue> { places[start...] }

  /// The entries from number `first` on.
  func entries(from number: UInt64) -> ArraySlice<StoredValue> {
    guard number > first else { return entries }
    guard number < next else { return [] }
    return entries.dropFirst(Int(number - first))
  }

  fileprivate mutating func append(_ value: StoredValue) {
    places.append(value)
    next += 1
  }

  fileprivate mutating func trim(first: UInt64) {
    guard first < next else {
      places = []
      start = 0
      next = first
      return
    }
    start += Int(first - self.first)
    if start > places.count / 2 {
      places.removeFirst(start)
      start = 0
    }
  }
}

/// `KIND` of `KIND` or `KIND/KEY`.
func kindName(of name: String) -> String { String(name.prefix { $0 != "/" }) }

/// What a vault holds, in memory: where each value is. The values stay in the file.
struct VaultIndex: Sendable {
  private(set) var records: [String: StoredValue] = [:]
  private(set) var logs: [String: LogIndex] = [:]
  /// What the changes that still count take in a file.
  private(set) var live_bytes = 0
  private(set) var entryCount = 0
  /// How many records of each kind there are.
  private(set) var recordCounts: [String: Int] = [:]

  /// Applies one change of a transaction.
  ///
  /// - Parameter sequence: the transaction's.
  /// - Returns: nil, or why the change cannot follow those before it.
  mutating func apply(_ value: StoredValue, sequence: UInt64) -> String? {
    let change = value.change
    guard change.generation <= sequence else { return "\(change.name) is newer than its transaction" }
    switch change.kind {
    case .put:
      if let old = records[change.name] {
        guard old.change.generation < change.generation else { return "\(change.name) is older than what it replaces" }
        live_bytes -= old.change.stored_bytes
      } else {
        recordCounts[kindName(of: change.name), default: 0] += 1
      }
      records[change.name] = value
      live_bytes += change.stored_bytes
    case .remove:
      guard let old = records.removeValue(forKey: change.name) else { return "\(change.name) is removed and was not there" }
      live_bytes -= old.change.stored_bytes
      recordCounts[kindName(of: change.name), default: 0] -= 1
    case .append:
      var log = takeLog(change.name)
      defer { logs[change.name] = log }
      guard change.number == log.next, log.next < .max else { return "entry \(change.number) of \(change.name) follows \(log.next - 1)" }
      log.append(value)
      entryCount += 1
      live_bytes += change.stored_bytes
    case .trim:
      let isNew = logs[change.name] == nil
      var log = takeLog(change.name)
      defer { logs[change.name] = log }
      guard change.number >= log.first, isNew || change.number <= log.next else {
        return "\(change.name) is cut at entry \(change.number), which it does not have"
      }
      for gone in log.entries.prefix(Int(min(change.number - log.first, UInt64(log.count)))) {
        live_bytes -= gone.change.stored_bytes
        entryCount -= 1
      }
      log.trim(first: change.number)
    }
    return nil
  }

  /// Takes the log out while it is changed, so that its array is not copied.
  private mutating func takeLog(_ name: String) -> LogIndex {
    if let log = logs.removeValue(forKey: name) { return log }
    // Its number has to be kept when it is empty.
    live_bytes += Change.fixed_bytes + name.utf8.count
    return LogIndex()
  }

  /// Every value that counts and where each log begins, in an order that can be applied to an empty index.
  var snapshot: [StoredValue] {
    var result = records.values.sorted { $0.change.name < $1.change.name }
    for (name, log) in logs.sorted(by: { $0.key < $1.key }) {
      let start = Change(kind: .trim, name: name, generation: 0, number: log.first, written_s: 0, value_bytes: 0)
      result.append(StoredValue(offset: 0, algorithm: 0, change: start))
      result += log.entries
    }
    return result
  }
}
