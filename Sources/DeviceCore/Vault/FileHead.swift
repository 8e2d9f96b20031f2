import Crypto
import Foundations

/// What a vault knows to be on the medium: one of two places of 512 bytes after the header, written in turn.
///
/// A head is written after its transaction is on the medium and gets there itself with the next one. So a file that ends before what a head
/// tells was cut or changed, not caught by a power cut.
struct FileHead: Equatable {
  static let size = 512
  static let magic = Array("HAECHIH\u{1}".utf8)
  /// Where the two places are.
  static let offsets = [FileHeader.size, FileHeader.size + size]
  /// Where the transactions begin.
  static let end = FileHeader.size + 2 * size

  /// Counts the heads of one file: the greater is the newer.
  var turn: UInt64
  /// The last transaction that is on the medium.
  var sequence: UInt64
  /// Where it ends.
  var fileEnd: UInt64
  /// What the monotonic counter has to be at least.
  var counter: UInt64
  /// The vault was closed: nothing may follow.
  var isClosed: Bool
  /// The vault has a monotonic counter.
  var isCounted: Bool

  private static let plain_bytes = 40

  func sealed(_ key: FileKey, _ algorithm: AEADAlgorithm) throws(VaultError) -> [UInt8] {
    var fields = FieldWriter()
    fields.add(turn)
    fields.add(sequence)
    fields.add(fileEnd)
    fields.add(counter)
    fields.add(UInt64(isClosed ? 1 : 0) | UInt64(isCounted ? 2 : 0))
    let salt = try freshSalt()
    let messageKey = try key.messageKey(algorithm, salt: salt, use: "head")
    var writer = FieldWriter()
    writer.add(Self.magic)
    writer.add(salt)
    writer.add(try messageKey.sealed(SecretBytes(copying: fields.bytes), with: Self.magic))
    writer.pad(to: Self.size)
    return writer.bytes
  }

  /// The head in `bytes`, nil where none was written with `key`. Total.
  static func opened(_ bytes: [UInt8], _ key: FileKey, _ algorithm: AEADAlgorithm) throws(VaultError) -> FileHead? {
    var reader = FieldReader(bytes[...])
    guard let magic = reader.bytes(magic.count), Array(magic) == Self.magic, let salt = reader.bytes(FileKey.salt_bytes),
      let sealed = reader.bytes(plain_bytes + AEADKey.tag_bytes), reader.isPadding, bytes.count == size
    else { return nil }
    let messageKey = try key.messageKey(algorithm, salt: Array(salt), use: "head")
    guard let plain = try messageKey.opened(sealed, with: Self.magic) else { return nil }
    return parse(plain.withUnsafeBytes { Array($0) })
  }

  /// Total.
  static func parse(_ bytes: [UInt8]) -> FileHead? {
    var reader = FieldReader(bytes[...])
    guard let turn: UInt64 = reader.integer(), let sequence: UInt64 = reader.integer(), let end: UInt64 = reader.integer(),
      let counter: UInt64 = reader.integer(), let flags: UInt64 = reader.integer(), flags < 4, reader.isAtEnd
    else { return nil }
    return FileHead(turn: turn, sequence: sequence, fileEnd: end, counter: counter, isClosed: flags & 1 != 0, isCounted: flags & 2 != 0)
  }
}
