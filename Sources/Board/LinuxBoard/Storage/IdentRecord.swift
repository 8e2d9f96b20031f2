internal import BoardAPI
internal import Foundations

/// A file of what survives a wipe.
struct IdentFile: Equatable {
  /// At most 64 characters: letters, digits, `-`, `_` and `.`, which is not the first.
  let name: String
  let content: [UInt8]

  static let nameMaximum_bytes = 64

  static func isName(_ name: String) -> Bool {
    (1...nameMaximum_bytes).contains(name.utf8.count) && !name.hasPrefix(".")
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
      }
  }
}

/// What a record of the ident store holds.
struct IdentContent: Equatable {
  /// The value of the identity epoch that the data partition was made for; 0 while there is none.
  var dataEpoch: UInt64 = 0
  /// `VolumeCipher` of the data partition by its number; 0 while there is none.
  var dataCipher: UInt8 = 0
  /// A wipe was ordered, and the data partition of that epoch is to be destroyed before anything else.
  var isWiping = false
  var files: [IdentFile] = []
  /// The device's own key, where the root of trust keeps it. The runtime never sees this.
  var identityKey: IdentityKey?

  static let maximumFiles = 32
  /// Of all contents together.
  static let filesMaximum_bytes = 64 * 1024

  /// What follows the files is named by a number.
  private static let identityKeyTag: UInt8 = 1

  /// The sum of what the files hold.
  var files_bytes: Int { files.reduce(0) { $0 + $1.content.count } }

  func encoded() -> [UInt8] {
    var writer = FieldWriter()
    writer.put(dataEpoch)
    writer.put(dataCipher)
    writer.put(UInt8(isWiping ? 1 : 0))
    writer.put(UInt8(truncatingIfNeeded: files.count))
    for file in files {
      writer.put(UInt8(truncatingIfNeeded: file.name.utf8.count))
      writer.put(file.name.utf8)
      writer.put(UInt32(truncatingIfNeeded: file.content.count))
      writer.put(file.content)
    }
    // A record without it is as those of before there were such keys.
    if let identityKey {
      writer.put(Self.identityKeyTag)
      for field in [identityKey.publicKey, identityKey.handle] {
        writer.put(UInt16(truncatingIfNeeded: field.count))
        writer.put(field)
      }
    }
    return writer.bytes
  }

  init() {}

  /// nil where the bytes are not a whole content, and nothing else.
  init?(decoding bytes: [UInt8]) {
    var reader = FieldReader(bytes)
    guard let epoch = reader.number(UInt64.self), let cipher = reader.number(UInt8.self), let wiping = reader.number(UInt8.self),
      wiping <= 1, let count = reader.number(UInt8.self), Int(count) <= Self.maximumFiles
    else { return nil }
    dataEpoch = epoch
    dataCipher = cipher
    isWiping = wiping == 1
    for _ in 0..<count {
      guard let length = reader.number(UInt8.self), let nameBytes = reader.take(Int(length)),
        let name = String(validating: nameBytes, as: UTF8.self), IdentFile.isName(name), !files.contains(where: { $0.name == name }),
        let size = reader.number(UInt32.self), Int(size) <= Self.filesMaximum_bytes, let content = reader.take(Int(size))
      else { return nil }
      files.append(IdentFile(name: name, content: content))
    }
    if !reader.isAtEnd {
      guard reader.number(UInt8.self) == Self.identityKeyTag,
        let publicCount = reader.number(UInt16.self), (1...IdentityKey.publicKeyMaximum_bytes).contains(Int(publicCount)),
        let publicKey = reader.take(Int(publicCount)),
        let handleCount = reader.number(UInt16.self), (1...IdentityKey.handleMaximum_bytes).contains(Int(handleCount)),
        let handle = reader.take(Int(handleCount))
      else { return nil }
      identityKey = IdentityKey(publicKey: publicKey, handle: handle)
    }
    guard reader.isAtEnd, files_bytes <= Self.filesMaximum_bytes else { return nil }
  }
}

/// A content as it lies on the disk: a header in the clear, which the tag covers, then the sealed content.
///
///     0   16  "HAECHI-IDENT-REC"
///     16   1  format, 1
///     17   3  zero
///     20   4  bytes of the sealed content, its tag included
///     24   8  generation
///     32  12  nonce
///     44  20  zero
///     64      sealed content
struct IdentRecord: Equatable {
  static let magic = Array("HAECHI-IDENT-REC".utf8)
  static let header_bytes = 64
  /// The files, and what their names and sizes take.
  static let sealedMaximum_bytes = IdentContent.filesMaximum_bytes + 4_096

  let generation: UInt64
  let content: IdentContent

  func sealed(key: SecretBytes) throws(BoardError) -> [UInt8] {
    let body = content.encoded()
    var header = FieldWriter()
    header.put(Self.magic)
    header.put(UInt8(1))
    header.put([0, 0, 0])
    header.put(UInt32(truncatingIfNeeded: body.count + RecordCipher.tag_bytes))
    header.put(generation)
    let nonce = try RecordCipher.randomBytes(RecordCipher.nonce_bytes)
    header.put(nonce)
    header.put([UInt8](repeating: 0, count: 20))
    return header.bytes + (try RecordCipher.seal(body, key: key, nonce: nonce, associated: header.bytes))
  }

  /// How many bytes follow the header, nil where it is none of a record.
  static func sealedBytes(header: [UInt8]) -> Int? {
    var reader = FieldReader(header)
    guard header.count == header_bytes, reader.take(16) == magic, reader.take(4) == [1, 0, 0, 0], let count = reader.number(UInt32.self),
      Int(count) >= RecordCipher.tag_bytes, Int(count) <= sealedMaximum_bytes
    else { return nil }
    return Int(count)
  }

  /// nil where the bytes are no record, were changed, or were sealed with another key.
  init?(header: [UInt8], sealed: [UInt8], key: SecretBytes) {
    guard Self.sealedBytes(header: header) == sealed.count else { return nil }
    var reader = FieldReader(header.dropFirst(24))
    guard let generation = reader.number(UInt64.self), let nonce = reader.take(RecordCipher.nonce_bytes),
      let body = RecordCipher.open(sealed, key: key, nonce: nonce, associated: header), let content = IdentContent(decoding: body)
    else { return nil }
    self.generation = generation
    self.content = content
  }

  init(generation: UInt64, content: IdentContent) {
    self.generation = generation
    self.content = content
  }
}
