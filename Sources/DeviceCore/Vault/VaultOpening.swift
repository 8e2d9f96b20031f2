import Crypto
import Foundations
internal import Glibc

extension VaultEngine {
  /// Reads the whole vault, checks it, and gets it ready to be written.
  ///
  /// - Parameter mayCreate: makes an empty vault where there is no file.
  static func open(
    storage: any VaultStorage, configuration: VaultConfiguration, keys: VaultKeys, counter: (any MonotonicCounter)?, mayCreate: Bool
  ) throws(VaultError) -> (engine: VaultEngine, findings: [VaultFinding]) {
    try configuration.check()
    let fileName = configuration.name + ".vault"
    let subject = storage.path + "/" + fileName
    let file: any VaultFile
    var obstacle: String?
    do {
      file = try storage.open(fileName, writable: true)
    } catch {
      switch error.number {
      case ENOENT where mayCreate:
        return (try create(storage: storage, configuration: configuration, keys: keys, counter: counter), [])
      case ENOENT: throw VaultError("vault-missing", "\(subject) is not there and was to be", cause: error)
      case EROFS:
        obstacle = "\(subject): the file system cannot be written"
        file = try storing(subject) { () throws(SystemCallError) in try storage.open(fileName, writable: false) }
      default: throw try storing(subject) { () throws(SystemCallError) -> VaultError in throw error }
      }
    }
    let loader = JournalLoader(file: file, subject: subject, vault: configuration.name, keys: keys, readable: configuration.readable)
    var loaded = try loader.load()
    let counterValue = try checkCounter(counter, loaded.journal.head, subject)
    let declared = Set(configuration.kinds.map(\.name))
    let stored = Set(loaded.journal.index.records.keys.map(kindName)).union(loaded.journal.index.logs.filter { $0.value.count > 0 }.keys)
    for name in stored.subtracting(declared).sorted() {
      loaded.findings.append(
        VaultFinding(code: "kind-undeclared", sentence: "\(subject) holds data of the kind \(name), which this firmware does not declare"))
    }
    var engine = VaultEngine(
      storage: storage, configuration: configuration, keys: keys, counter: counter, journal: loaded.journal, obstacle: obstacle,
      counterValue: counterValue, hasTail: loaded.hasTail, isUnderCurrentKey: loaded.isUnderCurrentKey)
    if obstacle == nil {
      do {
        try engine.beginSession(last: loaded.last)
      } catch  where error.code != "counter-failed" {
        // A full or failing medium does not keep the vault from being read.
        engine.obstacle = "\(error.reason): open the vault again to write"
      }
    }
    return (engine, loaded.findings)
  }

  /// What was read is on the medium, and no earlier copy opens any more, when this returns.
  private mutating func beginSession(last: JournalLoader.LastTransaction) throws(VaultError) {
    removeNewFile()
    // The process before may have been killed between the rename of a rewritten file and the folder's flush.
    try storing(storage.path) { () throws(SystemCallError) in try storage.synchronise() }
    if !journal.head.isClosed {
      // Of a process that was killed, or whose flush failed, the last transaction may be in memory alone, and looks as if it were not. Written once
      // more, it is flushed for certain; and before any head tells of it.
      try storing(journal.subject) { () throws(SystemCallError) in
        if !last.bytes.isEmpty { try journal.file.write(last.bytes, at: last.offset) }
        try journal.file.synchronise()
      }
    }
    try writeRestingHead(counter: counter == nil ? nil : counterValue + 1, isClosed: false)
    try raiseCounter()
    // The older head would tell of a session before; this one reaches the medium with the first transaction.
    try journal.writeHead(counter: headCounter)
  }

  private static func create(
    storage: any VaultStorage, configuration: VaultConfiguration, keys: VaultKeys, counter: (any MonotonicCounter)?
  ) throws(VaultError) -> VaultEngine {
    let newName = configuration.name + ".vault.new"
    let subject = storage.path + "/" + newName
    try? storage.remove(newName)
    let file = try storing(subject) { () throws(SystemCallError) in try storage.create(newName) }
    let journal = try JournalFile.create(
      file, subject: subject, vault: configuration.name, root: keys.current, algorithm: configuration.algorithm, generation: 1, after: 0)
    var engine = VaultEngine(
      storage: storage, configuration: configuration, keys: keys, counter: counter, journal: journal, obstacle: nil,
      counterValue: try value(of: counter, subject), hasTail: false, isUnderCurrentKey: true)
    try engine.publish(journal)
    return engine
  }

  private static func value(of counter: (any MonotonicCounter)?, _ subject: String) throws(VaultError) -> UInt64 {
    guard let counter else { return 0 }
    do {
      let value = try counter.value()
      guard value < .max - 1 else { throw VaultError("counter-failed", "the counter of \(subject) is used up") }
      return value
    } catch {
      throw VaultError("counter-failed", "the counter of \(subject) cannot be read", cause: error)
    }
  }

  /// A file tells of the counter's value, or of one more where it was cut before the counter was raised; of less where it is an older copy.
  ///
  /// - Returns: the counter's value; 0 where there is none.
  private static func checkCounter(_ counter: (any MonotonicCounter)?, _ head: FileHead, _ subject: String) throws(VaultError) -> UInt64 {
    guard head.isCounted == (counter != nil) else {
      throw VaultError(
        "vault-rolled-back", head.isCounted ? "\(subject) is bound to a counter, and none was given" : "\(subject) is from before it was bound to a counter")
    }
    let value = try value(of: counter, subject)
    guard counter != nil else { return 0 }
    guard head.counter >= value else {
      throw VaultError("vault-rolled-back", "\(subject) is an older copy: it is of count \(head.counter), and the counter stands at \(value)")
    }
    guard head.counter <= value + 1 else {
      throw VaultError("counter-failed", "\(subject) is of count \(head.counter), and the counter stands at \(value): it is not this vault's counter")
    }
    return value
  }
}
