public import Foundations
internal import Synchronization

/// A small store for a device's own state: named records and logs, encrypted, in one file.
///
/// Every change is a transaction: all of it is on the medium when `commit` returns, and after a power cut at any point it is there as a whole or not
/// at all. A file that was changed, cut, swapped or (with a counter) set back does not open and says so. docs/vault.md describes the bytes.
///
/// All calls may be made from any thread. They wait for the medium: never call one on an event loop or from a task that must not wait.
public final class Vault: Sendable {
  /// nil: closed.
  private let engine: Mutex<VaultEngine?>
  private let now_s: @Sendable () -> Int64
  public let configuration: VaultConfiguration
  /// What was noticed while opening, for the log.
  public let findings: [VaultFinding]

  /// Opens the vault in `storage`.
  ///
  /// - Parameters:
  ///   - keys: the root keys; the file is rewritten under `current` in the background where it is under a previous one.
  ///   - counter: the monotonic counter that belongs to this vault; nil where there is none, and then an older copy of the file is not detected.
  ///   - mayCreate: makes an empty vault where there is no file. Only right where none is to be there: at the first boot and after a wipe.
  ///   - now_s: the time, seconds since 1970 UTC.
  /// - Throws: `VaultError`. With `isDamage` nothing of the file is to be trusted.
  public init(
    in storage: any VaultStorage, _ configuration: VaultConfiguration, keys: VaultKeys, counter: (any MonotonicCounter)? = nil, mayCreate: Bool,
    now_s: @escaping @Sendable () -> Int64
  ) throws(VaultError) {
    let opened = try VaultEngine.open(storage: storage, configuration: configuration, keys: keys, counter: counter, mayCreate: mayCreate)
    engine = Mutex(opened.engine)
    findings = opened.findings
    self.configuration = configuration
    self.now_s = now_s
  }

  private func withEngine<Result: Sendable>(_ body: (inout VaultEngine) throws(VaultError) -> Result) throws(VaultError) -> Result {
    try engine.withLock { (engine) throws(VaultError) -> Result in
      guard engine != nil else { throw VaultError("vault-closed", "the vault \(configuration.name) was closed") }
      return try body(&engine!)
    }
  }

  // MARK: Records

  /// A record's value, nil where there is none or it is past its life.
  ///
  /// - Throws: `vault-changed`, `storage-failed`, `value-unreadable`, `kind-unknown`, `name-invalid`, `vault-closed`.
  public func get<Value>(_ kind: RecordKind<Value>, key: String? = nil) throws(VaultError) -> Value? {
    guard let bytes = try get(kind.declaration, key: key) else { return nil }
    // Said to the compiler, which else reads an optional value and its null.
    let value: Value = try TypedValue.decode(bytes, of: kind.declaration.name)
    return value
  }

  /// As above, the bytes.
  public func get(_ kind: VaultKind, key: String? = nil) throws(VaultError) -> SecretBytes? {
    let name = try configuration.recordName(kind, key)
    return try withEngine { (engine) throws(VaultError) in try engine.value(name, kind, now_s: now_s()) }
  }

  /// The keys of a kind that have a value, sorted. A record without a key has none.
  public func keys(_ kind: VaultKind) throws(VaultError) -> [String] {
    try configuration.checkDeclared(kind, .records)
    let names = try withEngine { (engine) throws(VaultError) in engine.names(kind, now_s: now_s()) }
    return names.compactMap { $0.count > kind.name.count ? String($0.dropFirst(kind.name.count + 1)) : nil }
  }

  public func keys<Value>(_ kind: RecordKind<Value>) throws(VaultError) -> [String] { try keys(kind.declaration) }

  /// One transaction of one record.
  public func put<Value>(_ kind: RecordKind<Value>, key: String? = nil, _ value: Value) throws(VaultError) {
    try commit { (transaction) throws(VaultError) in try transaction.put(kind, key: key, value) }
  }

  /// One transaction that removes one record.
  public func remove<Value>(_ kind: RecordKind<Value>, key: String? = nil) throws(VaultError) {
    try commit { (transaction) throws(VaultError) in try transaction.remove(kind, key: key) }
  }

  // MARK: Logs

  /// One transaction of one entry.
  public func append<Entry>(_ kind: LogKind<Entry>, _ value: Entry) throws(VaultError) {
    try commit { (transaction) throws(VaultError) in try transaction.append(kind, value) }
  }

  /// The entries of a log after number `after`, oldest first, at most `limit`; those past their life or beyond the log's number are gone.
  public func entries<Entry>(_ kind: LogKind<Entry>, after: UInt64 = 0, limit: Int = 1_000) throws(VaultError) -> [VaultEntry<Entry>] {
    let declaration = kind.declaration
    try configuration.checkDeclared(declaration, .log)
    let stored = try withEngine { (engine) throws(VaultError) in
      var read: [(UInt64, Int64, SecretBytes)] = []
      for entry in engine.entries(declaration, after: after, limit: limit, now_s: now_s()) {
        read.append((entry.change.number, entry.change.written_s, try engine.journal.read(entry)))
      }
      return read
    }
    var entries: [VaultEntry<Entry>] = []
    for (number, written_s, bytes) in stored {
      entries.append(VaultEntry(number: number, written_s: written_s, value: try TypedValue.decode(bytes, of: declaration.name)))
    }
    return entries
  }

  // MARK: Transactions

  /// Makes what `body` asks for permanent, as one.
  ///
  /// - Parameter isAnchored: raises the counter after it, so that no copy of the file from before opens again. For what an attacker would like to set
  ///   back: owners, revocations. Costs a second flush and a write of the counter; nothing more than usual where there is no counter.
  /// - Throws: what `body` throws; `vault-full`, `no-space`, `read-only`, `storage-failed`, `value-too-large`, `counter-failed`, `vault-closed`.
  public func commit(isAnchored: Bool = false, _ body: (inout VaultTransaction) throws(VaultError) -> Void) throws(VaultError) {
    var transaction = VaultTransaction(configuration)
    try body(&transaction)
    let staged = transaction
    try withEngine { (engine) throws(VaultError) in try engine.commit(staged, isAnchored: isAnchored, now_s: now_s()) }
  }

  // MARK: Care

  /// One short step of what can wait: removes what is past its life, rewrites the file where that is due. Call it each minute, and again at once while
  /// it returns true.
  public func maintain() throws(VaultError) -> Bool {
    try withEngine { (engine) throws(VaultError) in try engine.maintain(now_s: now_s()) }
  }

  /// Rewrites the file now, under the current key, without anything that was replaced, removed or past its life.
  public func rewrite() throws(VaultError) {
    try withEngine { (engine) throws(VaultError) in
      while try engine.removeExpired(now_s: now_s()) {}
      engine.abandonCompaction()
      try engine.beginCompaction()
      try engine.finishCompaction()
    }
  }

  /// Removes the data of kinds that are not declared any more: once a new firmware is there to stay.
  public func removeUndeclared() throws(VaultError) {
    try withEngine { (engine) throws(VaultError) in try engine.removeUndeclared(now_s: now_s()) }
  }

  /// Why nothing can be written until the vault is opened again; nil where it can.
  public var obstacle: String? { engine.withLock { $0?.obstacle } }

  /// What the vault has used: bytes of its file, and values in it.
  public func usage() throws(VaultError) -> (file_bytes: Int, values: Int) {
    try withEngine { (engine) throws(VaultError) in
      (file_bytes: engine.journal.end, values: engine.journal.index.records.count + engine.journal.index.entryCount)
    }
  }

  /// Marks the file as complete, so that the next one to open it can tell a change from a power cut. Everything was permanent before.
  public func close() throws(VaultError) {
    try engine.withLock { (engine) throws(VaultError) in
      defer { engine = nil }
      try engine?.close()
    }
  }
}
