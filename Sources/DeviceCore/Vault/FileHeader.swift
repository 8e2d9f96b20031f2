import Crypto
import Foundations

/// The first 512 bytes of a vault's file, written once. Everything in it is clear; its tag proves it.
struct FileHeader: Equatable {
  static let size = 512
  static let magic = Array("HAECHIV\u{1}".utf8)
  static let currentVersion: UInt16 = 1
  static let name_bytes = 64
  static let fileSalt_bytes = 32
  static let keyIdentifier_bytes = 8

  let algorithm: AEADAlgorithm
  let vault: String
  /// How often the vault's file was written anew, from 1.
  let generation: UInt64
  /// The number of the last transaction before this file's first.
  let baseSequence: UInt64
  let keyIdentifier: [UInt8]
  let salt: [UInt8]

  /// All but the tag.
  private var fields: [UInt8] {
    var writer = FieldWriter()
    writer.add(Self.magic)
    writer.add(Self.currentVersion)
    writer.add(algorithm.rawValue)
    writer.add(UInt8(vault.utf8.count))
    writer.add(UInt32(0))
    writer.add(generation)
    writer.add(baseSequence)
    writer.add(keyIdentifier)
    writer.add(salt)
    writer.add(vault.utf8)
    writer.pad(to: Self.size - AEADKey.tag_bytes)
    return writer.bytes
  }

  func sealed(_ key: FileKey) throws(VaultError) -> [UInt8] {
    let fields = fields
    return fields + (try headerKey(key).sealed(SecretBytes(copying: [UInt8]()), with: fields))
  }

  private func headerKey(_ key: FileKey) throws(VaultError) -> AEADKey { try key.messageKey(algorithm, salt: [], use: "header") }

  /// The tag of a header that was read: what the chain of transactions begins with.
  static func tag(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.suffix(AEADKey.tag_bytes)) }

  /// What a header says, before it is proved. Total.
  ///
  /// - Throws: `vault-cut`, `vault-changed`, `vault-version-unknown`; `subject` is named in them.
  static func parse(_ bytes: [UInt8], subject: String) throws(VaultError) -> FileHeader {
    guard bytes.count == size else { throw VaultError("vault-cut", "\(subject) ends within its header, after \(bytes.count) bytes") }
    func changed(_ field: String) -> VaultError { VaultError("vault-changed", "\(subject): \(field) in the file's header is not as a vault writes it") }
    var reader = FieldReader(bytes[..<(size - AEADKey.tag_bytes)])
    guard let magic = reader.bytes(magic.count), Array(magic) == Self.magic else { throw changed("the mark") }
    guard let version: UInt16 = reader.integer() else { throw changed("the version") }
    guard version == currentVersion else {
      throw VaultError("vault-version-unknown", "\(subject) has format version \(version), and this firmware knows only \(currentVersion)")
    }
    guard let number: UInt8 = reader.integer(), let algorithm = AEADAlgorithm(rawValue: number) else { throw changed("the algorithm") }
    guard let count: UInt8 = reader.integer(), (1...name_bytes).contains(Int(count)) else { throw changed("the name's length") }
    guard let reserved: UInt32 = reader.integer(), reserved == 0 else { throw changed("a reserved field") }
    guard let generation: UInt64 = reader.integer(), let base: UInt64 = reader.integer(), let identifier = reader.bytes(keyIdentifier_bytes),
      let salt = reader.bytes(fileSalt_bytes), let name = reader.bytes(Int(count)), let vault = String(validating: name, as: UTF8.self),
      reader.isPadding
    else { throw changed("the name") }
    return FileHeader(
      algorithm: algorithm, vault: vault, generation: generation, baseSequence: base, keyIdentifier: Array(identifier), salt: Array(salt))
  }

  /// Whether `bytes`, from which this was parsed, were written with `key`.
  func isProved(_ bytes: [UInt8], by key: FileKey) throws(VaultError) -> Bool {
    let fields = Array(bytes.dropLast(AEADKey.tag_bytes))
    return try headerKey(key).opened(bytes.suffix(AEADKey.tag_bytes), with: fields) != nil
  }
}
