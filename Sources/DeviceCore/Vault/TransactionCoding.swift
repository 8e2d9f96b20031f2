import Crypto
import Foundations

/// One change that a transaction makes, as its manifest holds it.
struct Change: Equatable {
  enum Kind: UInt8 {
    /// A record has this value from now on.
    case put = 1
    /// There is no such record any more.
    case remove = 2
    /// A log has this entry more.
    case append = 3
    /// A log begins with entry `number` from now on.
    case trim = 4

    var hasValue: Bool { self == .put || self == .append }
  }

  static let name_bytes = 255
  /// Without the name.
  static let fixed_bytes = 30

  var kind: Kind
  /// 1…255 bytes.
  var name: String
  /// put, append: the number of the transaction that wrote it first; else 0.
  var generation: UInt64
  /// append: which entry of the log; trim: the first that is kept; else 0.
  var number: UInt64
  /// put, append: when it was written first, seconds since 1970 UTC; else 0.
  var written_s: Int64
  /// put, append: of the value; else 0.
  var value_bytes: Int

  /// Of the manifest and the body.
  var stored_bytes: Int { Self.fixed_bytes + name.utf8.count + (kind.hasValue ? SealedValue.overhead_bytes + value_bytes : 0) }
}

/// A value in a transaction's body: its salt, its ciphertext, its tag. Key and tag bind it to what it is the value of.
enum SealedValue {
  static let overhead_bytes = FileKey.salt_bytes + AEADKey.tag_bytes

  static func seal(_ value: SecretBytes, as change: Change, _ key: FileKey, _ algorithm: AEADAlgorithm) throws(VaultError) -> [UInt8] {
    let salt = try freshSalt()
    let messageKey = try key.messageKey(algorithm, salt: salt, use: "value", context: context(change))
    return salt + (try messageKey.sealed(value, with: []))
  }

  /// nil where it is not authentic.
  static func open(_ bytes: [UInt8], as change: Change, _ key: FileKey, _ algorithm: AEADAlgorithm) throws(VaultError) -> SecretBytes? {
    let messageKey = try key.messageKey(algorithm, salt: Array(bytes.prefix(FileKey.salt_bytes)), use: "value", context: context(change))
    return try messageKey.opened(bytes.dropFirst(FileKey.salt_bytes), with: [])
  }

  private static func context(_ change: Change) -> [UInt8] {
    var writer = FieldWriter()
    writer.add(change.kind.rawValue)
    writer.add(change.generation)
    writer.add(change.number)
    writer.add(change.written_s)
    writer.add(change.name.utf8)
    return writer.bytes
  }
}

/// The 40 clear bytes before a transaction.
struct TransactionHeader: Equatable {
  static let size = 40
  static let magic = Array("HVTX".utf8)

  /// Of the whole transaction, this header included.
  let size_bytes: Int
  let sequence: UInt64
  /// Of the manifest without its tag.
  let manifest_bytes: Int
  let algorithm: AEADAlgorithm
  let salt: [UInt8]

  /// The body's first byte, from the transaction's first.
  var bodyOffset: Int { Self.size + manifest_bytes + AEADKey.tag_bytes }

  var encoded: [UInt8] {
    var writer = FieldWriter()
    writer.add(Self.magic)
    writer.add(UInt32(size_bytes))
    writer.add(sequence)
    writer.add(UInt32(manifest_bytes))
    writer.add(UInt32(algorithm.rawValue))
    writer.add(salt)
    return writer.bytes
  }

  /// nil where `bytes` do not begin as a transaction of at most `maximum_bytes` does. Total.
  static func parse(_ bytes: [UInt8], maximum_bytes: Int) -> TransactionHeader? {
    var reader = FieldReader(bytes.prefix(size))
    guard let magic = reader.bytes(magic.count), Array(magic) == Self.magic, let whole: UInt32 = reader.integer(),
      let sequence: UInt64 = reader.integer(), let manifest: UInt32 = reader.integer(), let algorithm: UInt32 = reader.integer(),
      let number = UInt8(exactly: algorithm), let known = AEADAlgorithm(rawValue: number), let salt = reader.bytes(FileKey.salt_bytes)
    else { return nil }
    let header = TransactionHeader(
      size_bytes: Int(whole), sequence: sequence, manifest_bytes: Int(manifest), algorithm: known, salt: Array(salt))
    guard header.size_bytes <= maximum_bytes, header.bodyOffset <= header.size_bytes else { return nil }
    return header
  }
}

/// What a transaction does; encrypted.
struct Manifest: Equatable {
  static let fixed_bytes = 8 + 4 + 32
  /// Of every transaction, whatever it holds.
  static let overhead_bytes = TransactionHeader.size + fixed_bytes + AEADKey.tag_bytes

  /// When it was committed, seconds since 1970 UTC.
  let committed_s: Int64
  /// SHA-256 of the body.
  let bodyDigest: [UInt8]
  let changes: [Change]

  var encoded: [UInt8] {
    var writer = FieldWriter()
    writer.add(committed_s)
    writer.add(UInt32(changes.count))
    writer.add(bodyDigest)
    for change in changes {
      writer.add(change.kind.rawValue)
      writer.add(change.generation)
      writer.add(change.number)
      writer.add(change.written_s)
      writer.add(UInt32(change.value_bytes))
      writer.add(UInt8(change.name.utf8.count))
      writer.add(change.name.utf8)
    }
    return writer.bytes
  }

  /// nil where `bytes` are not as `encoded` writes them. Total.
  static func parse(_ bytes: [UInt8]) -> Manifest? {
    var reader = FieldReader(bytes[...])
    guard let committed_s = reader.time_s(), let count: UInt32 = reader.integer(), let digest = reader.bytes(32) else { return nil }
    var changes: [Change] = []
    for _ in 0..<count {
      guard let number: UInt8 = reader.integer(), let kind = Change.Kind(rawValue: number), let generation: UInt64 = reader.integer(),
        let entry: UInt64 = reader.integer(), let written_s = reader.time_s(), let value: UInt32 = reader.integer(),
        let name_bytes: UInt8 = reader.integer(), name_bytes > 0, let name = reader.bytes(Int(name_bytes)),
        // ASCII alone, so that two names are the same only where their bytes are.
        name.allSatisfy({ (0x21...0x7e).contains($0) })
      else { return nil }
      guard kind.hasValue || (value == 0 && generation == 0 && written_s == 0), kind == .append || kind == .trim || entry == 0 else { return nil }
      changes.append(
        Change(kind: kind, name: String(decoding: name, as: UTF8.self), generation: generation, number: entry, written_s: written_s, value_bytes: Int(value)))
    }
    return reader.isAtEnd ? Manifest(committed_s: committed_s, bodyDigest: Array(digest), changes: changes) : nil
  }
}
