import Crypto
import Foundations

/// Reading a vault's file from its first byte to its last, and saying what is wrong with it.
struct JournalLoader {
  let file: any VaultFile
  let subject: String
  let vault: String
  let keys: VaultKeys
  let readable: Set<AEADAlgorithm>

  /// A file that was read, and what is not quite right with it.
  struct Loaded {
    var journal: JournalFile
    var findings: [VaultFinding]
    /// Bytes follow the last transaction: what a power cut left of one that was never acknowledged.
    var hasTail: Bool
    /// Empty where there is none.
    var last: LastTransaction
    /// The root key that it is under is `keys.current`.
    var isUnderCurrentKey: Bool
  }

  /// The last transaction as it lies in the file.
  struct LastTransaction {
    var offset = 0
    var bytes: [UInt8] = []
  }

  func load() throws(VaultError) -> Loaded {
    let size = try storing(subject) { () throws(SystemCallError) in try file.size() }
    let (header, headerBytes, root) = try readHeader()
    let key = try FileKey(root: root, salt: header.salt, vault: vault)
    guard try header.isProved(headerBytes, by: key) else {
      throw VaultError("vault-changed", "\(subject): the file's header was changed")
    }
    guard readable.contains(header.algorithm) else { throw retired(header.algorithm) }
    var findings: [VaultFinding] = []
    let (head, place) = try readHeads(header, key, size, &findings)
    var journal = JournalFile(
      file: file, subject: subject, header: header, headerTag: FileHeader.tag(headerBytes), key: key, head: head, headPlace: place)
    var last = LastTransaction()
    while try readTransaction(&journal, size, &last) {}

    guard journal.sequence >= head.sequence else {
      let place = "transaction \(journal.sequence + 1) at byte \(journal.end)"
      if size < head.fileEnd {
        throw VaultError("vault-cut", "\(subject) has \(size) bytes and had at least \(head.fileEnd): \(place) was cut off")
      }
      throw VaultError("vault-changed", "\(subject): \(place) is not what was written")
    }
    let hasTail = size > journal.end
    if head.isClosed && (hasTail || journal.sequence != head.sequence) {
      throw VaultError("vault-changed", "\(subject): bytes follow the end that the vault had when it was closed")
    }
    if hasTail {
      findings.append(
        VaultFinding(
          code: "tail-dropped",
          sentence: "\(subject): \(size - journal.end) bytes after transaction \(journal.sequence) are not a transaction and were dropped: "
            + "a power cut during a write leaves such bytes"))
    }
    let isCurrent = try VaultKeys.identifier(of: keys.current) == header.keyIdentifier
    return Loaded(journal: journal, findings: findings, hasTail: hasTail, last: last, isUnderCurrentKey: isCurrent)
  }

  private func readHeader() throws(VaultError) -> (FileHeader, [UInt8], SecretBytes) {
    let bytes = try storing(subject) { () throws(SystemCallError) in try file.read(at: 0, count: FileHeader.size) }
    let header = try FileHeader.parse(bytes, subject: subject)
    guard header.vault == vault else {
      throw VaultError("vault-swapped", "\(subject) is the file of the vault \(header.vault), not of \(vault)")
    }
    guard let root = try keys.key(header.keyIdentifier) else {
      throw VaultError(
        "vault-key-wrong",
        "\(subject) is under the key \(hexadecimal(header.keyIdentifier)), which this device does not have: it is another device's, or was changed")
    }
    return (header, bytes, root)
  }

  /// The newer of the two heads and its place.
  private func readHeads(
    _ header: FileHeader, _ key: FileKey, _ size: Int, _ findings: inout [VaultFinding]
  ) throws(VaultError) -> (FileHead, Int) {
    guard size >= FileHead.end else { throw VaultError("vault-cut", "\(subject) ends within its heads, after \(size) bytes") }
    var newest: (head: FileHead, place: Int)?
    for (place, offset) in FileHead.offsets.enumerated() {
      let bytes = try storing(subject) { () throws(SystemCallError) in try file.read(at: offset, count: FileHead.size) }
      guard let head = try FileHead.opened(bytes, key, header.algorithm) else {
        findings.append(
          VaultFinding(
            code: "head-unreadable",
            sentence: "\(subject): head \(place + 1) of 2 at byte \(offset) is not what was written: it was changed, or the medium tore a 512-byte write"))
        continue
      }
      if newest.map({ $0.head.turn < head.turn }) ?? true { newest = (head, place) }
    }
    guard let newest else { throw VaultError("vault-changed", "\(subject): neither of its two heads is what was written") }
    guard newest.head.sequence >= header.baseSequence else { throw VaultError("vault-changed", "\(subject): its head is older than the file") }
    return newest
  }

  /// Reads and counts the transaction at the journal's end; false where there is none.
  private func readTransaction(_ journal: inout JournalFile, _ size: Int, _ last: inout LastTransaction) throws(VaultError) -> Bool {
    let start = journal.end
    guard size - start >= TransactionHeader.size else { return false }
    let clear = try storing(subject) { () throws(SystemCallError) in try file.read(at: start, count: TransactionHeader.size) }
    guard let prefix = TransactionHeader.parse(clear, maximum_bytes: min(AEADKey.message_bytes, size - start)), prefix.sequence == journal.sequence + 1
    else { return false }
    let rest = try storing(subject) { () throws(SystemCallError) in
      try file.read(at: start + TransactionHeader.size, count: prefix.size_bytes - TransactionHeader.size)
    }
    guard rest.count == prefix.size_bytes - TransactionHeader.size else { return false }
    let sealed = rest.prefix(prefix.manifest_bytes + AEADKey.tag_bytes)
    let body = rest.dropFirst(sealed.count)
    let messageKey = try journal.key.messageKey(prefix.algorithm, salt: prefix.salt, use: "transaction")
    guard let plain = try messageKey.opened(sealed, with: clear + journal.chain) else { return false }
    guard readable.contains(prefix.algorithm) else { throw retired(prefix.algorithm) }
    guard let manifest = Manifest.parse(plain.withUnsafeBytes { Array($0) }) else {
      throw VaultError("vault-changed", "\(subject): transaction \(prefix.sequence) is authentic and malformed")
    }
    guard manifest.bodyDigest == sha256(body) else { return false }
    let places = try Self.places(manifest.changes, body_bytes: body.count, from: start + prefix.bodyOffset, prefix, subject)
    try journal.accept(places, tag: Array(sealed.suffix(AEADKey.tag_bytes)), size_bytes: prefix.size_bytes, committed_s: manifest.committed_s)
    if prefix.sequence == journal.head.sequence, journal.head.fileEnd != journal.end {
      throw VaultError("vault-changed", "\(subject): transaction \(prefix.sequence) does not end where its head says")
    }
    last = LastTransaction(offset: start, bytes: clear + rest)
    return true
  }

  /// Where each value is in the body, which they fill.
  private static func places(
    _ changes: [Change], body_bytes: Int, from start: Int, _ prefix: TransactionHeader, _ subject: String
  ) throws(VaultError) -> [StoredValue] {
    var offset = 0
    var places: [StoredValue] = []
    for change in changes {
      places.append(StoredValue(offset: start + offset, algorithm: prefix.algorithm.rawValue, change: change))
      if change.kind.hasValue { offset += SealedValue.overhead_bytes + change.value_bytes }
    }
    guard offset == body_bytes else {
      throw VaultError("vault-changed", "\(subject): the values of transaction \(prefix.sequence) do not fill it")
    }
    return places
  }

  private func retired(_ algorithm: AEADAlgorithm) -> VaultError {
    VaultError("algorithm-retired", "\(subject) is encrypted with \(algorithm), which this firmware does not accept any more")
  }
}
