import Crypto
import Foundations
internal import Glibc

/// One file of a vault: header, two heads, and transactions one after another, each chained to the one before.
struct JournalFile: Sendable {
  let file: any VaultFile
  /// The file, for messages.
  private(set) var subject: String
  let header: FileHeader
  let key: FileKey
  /// The newest head, and which place it is in.
  private(set) var head: FileHead
  private(set) var headPlace: Int
  /// The last tag: the next transaction is bound to it.
  private(set) var chain: [UInt8]
  /// The last transaction.
  private(set) var sequence: UInt64
  /// Where the next transaction begins.
  private(set) var end = FileHead.end
  private(set) var index = VaultIndex()
  /// When the first change was committed that made a value in this file obsolete, seconds since 1970 UTC; nil where all still count.
  private(set) var obsoleteSince_s: Int64?

  init(file: any VaultFile, subject: String, header: FileHeader, headerTag: [UInt8], key: FileKey, head: FileHead, headPlace: Int) {
    self.file = file
    self.subject = subject
    self.header = header
    self.key = key
    self.head = head
    self.headPlace = headPlace
    chain = headerTag
    sequence = header.baseSequence
  }

  /// A new file that holds nothing, not yet on the medium: its header is written, its heads are not.
  static func create(
    _ file: any VaultFile, subject: String, vault: String, root: SecretBytes, algorithm: AEADAlgorithm, generation: UInt64, after sequence: UInt64
  ) throws(VaultError) -> JournalFile {
    let header = FileHeader(
      algorithm: algorithm, vault: vault, generation: generation, baseSequence: sequence, keyIdentifier: try VaultKeys.identifier(of: root),
      salt: try freshSalt(FileHeader.fileSalt_bytes))
    let key = try FileKey(root: root, salt: header.salt, vault: vault)
    let bytes = try header.sealed(key)
    try storing(subject) { () throws(SystemCallError) in try file.write(bytes, at: 0) }
    let head = FileHead(turn: 0, sequence: sequence, fileEnd: UInt64(FileHead.end), counter: 0, isClosed: false, isCounted: false)
    return JournalFile(file: file, subject: subject, header: header, headerTag: FileHeader.tag(bytes), key: key, head: head, headPlace: 1)
  }

  /// A transaction as it is to be written at `end`.
  struct Encoded {
    var bytes: [UInt8]
    fileprivate var tag: [UInt8]
    fileprivate var values: [StoredValue]
    fileprivate var committed_s: Int64
  }

  /// - Parameter changes: each with its value, where its kind has one.
  func encode(_ changes: [(change: Change, value: SecretBytes?)], committed_s: Int64) throws(VaultError) -> Encoded {
    let algorithm = header.algorithm
    var body: [UInt8] = []
    var values: [StoredValue] = []
    for (change, value) in changes {
      values.append(StoredValue(offset: body.count, algorithm: algorithm.rawValue, change: change))
      if let value { body += try SealedValue.seal(value, as: change, key, algorithm) }
    }
    let manifest = Manifest(committed_s: committed_s, bodyDigest: sha256(body), changes: changes.map(\.change)).encoded
    let salt = try freshSalt()
    let prefix = TransactionHeader(
      size_bytes: TransactionHeader.size + manifest.count + AEADKey.tag_bytes + body.count, sequence: sequence + 1, manifest_bytes: manifest.count,
      algorithm: algorithm, salt: salt)
    let messageKey = try key.messageKey(algorithm, salt: salt, use: "transaction")
    let clear = prefix.encoded
    let sealed = try messageKey.sealed(SecretBytes(copying: manifest), with: clear + chain)
    for place in values.indices { values[place].offset += end + prefix.bodyOffset }
    return Encoded(bytes: clear + sealed + body, tag: Array(sealed.suffix(AEADKey.tag_bytes)), values: values, committed_s: committed_s)
  }

  /// Counts a transaction that was written at `end`.
  ///
  /// - Returns: its changes, with where their values are.
  @discardableResult mutating func accept(_ transaction: Encoded) throws(VaultError) -> [StoredValue] {
    try accept(transaction.values, tag: transaction.tag, size_bytes: transaction.bytes.count, committed_s: transaction.committed_s)
    return transaction.values
  }

  mutating func accept(_ values: [StoredValue], tag: [UInt8], size_bytes: Int, committed_s: Int64) throws(VaultError) {
    let countBefore = index.records.count + index.entryCount
    var added = 0
    for value in values {
      if let fault = index.apply(value, sequence: sequence + 1) {
        throw VaultError("vault-changed", "\(subject): transaction \(sequence + 1) cannot follow the one before: \(fault)")
      }
      if value.change.kind.hasValue { added += 1 }
    }
    if obsoleteSince_s == nil && countBefore + added != index.records.count + index.entryCount { obsoleteSince_s = committed_s }
    sequence += 1
    end += size_bytes
    chain = tag
  }

  /// The value of a record or an entry.
  ///
  /// - Throws: `vault-changed` where the file's bytes are not those that were written.
  func read(_ value: StoredValue) throws(VaultError) -> SecretBytes {
    let bytes = try storing(subject) { () throws(SystemCallError) in
      try file.read(at: value.offset, count: SealedValue.overhead_bytes + value.change.value_bytes)
    }
    guard let algorithm = AEADAlgorithm(rawValue: value.algorithm), bytes.count == SealedValue.overhead_bytes + value.change.value_bytes,
      let plain = try SealedValue.open(bytes, as: value.change, key, algorithm)
    else { throw VaultError("vault-changed", "\(subject): the value of \(value.change.name) at byte \(value.offset) is not what was written") }
    return plain
  }

  /// Writes a head that tells of the last transaction, in the other place than the newest head's.
  mutating func writeHead(counter: UInt64?, isClosed: Bool = false) throws(VaultError) {
    let next = FileHead(
      turn: head.turn &+ 1, sequence: sequence, fileEnd: UInt64(end), counter: counter ?? 0, isClosed: isClosed, isCounted: counter != nil)
    let bytes = try next.sealed(key, header.algorithm)
    let place = 1 - headPlace
    try storing(subject) { () throws(SystemCallError) in try file.write(bytes, at: FileHead.offsets[place]) }
    head = next
    headPlace = place
  }

  func write(_ transaction: Encoded) throws(VaultError) {
    try storing(subject) { () throws(SystemCallError) in try file.write(transaction.bytes, at: end) }
  }

  func synchronise() throws(VaultError) {
    try storing(subject) { () throws(SystemCallError) in try file.synchronise() }
  }

  /// The file has another name from now on.
  mutating func moved(to subject: String) { self.subject = subject }

  /// Removes what an unfinished write left after the last transaction.
  func dropTail() throws(VaultError) {
    try storing(subject) { () throws(SystemCallError) in try file.truncate(to: end) }
  }
}

/// Runs what a storage does, and says what its error means for a vault.
func storing<Result>(_ subject: String, _ body: () throws(SystemCallError) -> Result) throws(VaultError) -> Result {
  do {
    return try body()
  } catch {
    switch error.number {
    case ENOSPC, EDQUOT:
      throw VaultError("no-space", "\(subject): the file system is full; what is stored stays readable: make room and try again", cause: error)
    case EROFS:
      throw VaultError("read-only", "\(subject): the file system cannot be written; what is stored stays readable", cause: error)
    case EAGAIN:
      throw VaultError("vault-in-use", "\(subject) is open in another process: only one may write to a vault", cause: error)
    default: throw VaultError("storage-failed", "\(subject): the medium failed", cause: error)
    }
  }
}
