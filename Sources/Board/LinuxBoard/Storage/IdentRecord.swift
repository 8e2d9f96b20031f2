internal import BoardAPI
internal import Foundations

/// A file of what survives a wipe.
struct IdentFile: Equatable {
  /// At most 64 characters: letters, digits, `-`, `_` and `.`, which is not the first.
  let name: String
  let content: [UInt8]

  static let nameMaximum_bytes = 64

  /// Whether this firmware keeps a file of this name and size.
  var isDeclared: Bool { IdentityFile(rawValue: name).map { content.count <= $0.maximum_bytes } ?? false }

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

/// The recovery key that is in force: its slot in the LUKS2 header, and what names it. The key itself is not kept.
struct RecoverySlot: Equatable {
  /// Only these are ever used: a new key takes the one that the old one has not.
  static let all: [UInt8] = [0, 1]

  let number: UInt8
  let key: RecoveryKeyFacts
}

/// What the next boot is to do about the recovery key.
enum RecoveryWish: Equatable {
  case set(passphrase: [UInt8], RecoveryKeyFacts)
  case remove

  init(_ order: RecoveryKeyOrder) {
    switch order {
    case .set(let passphrase, let facts): self = .set(passphrase: passphrase.withUnsafeBytes { Array($0) }, facts)
    case .remove: self = .remove
    }
  }
}

/// What a record of the ident store holds.
struct IdentContent: Equatable {
  /// The value of the identity epoch that the data partition was made for; 0 while there is none.
  var dataEpoch: UInt64 = 0
  /// `VolumeCipher` of the data partition by its number; 0 while there is none.
  var dataCipher: UInt8 = 0
  /// The number of the last start of the machine that the data partition has written down too (`VolumeStarts`); 0 where there was none.
  var dataStart: UInt64 = 0
  /// A wipe was ordered, and the data partition of that epoch is to be destroyed before anything else.
  var isWiping = false
  var files: [IdentFile] = []
  /// The device's own key, where the root of trust keeps it. The runtime never sees this.
  var identityKey: IdentityKey?
  /// nil where the volume has none.
  var recovery: RecoverySlot?
  /// Until the next boot has done it. A passphrase is in no record any longer than that.
  var wish: RecoveryWish?

  /// The files that the runtime of this device has: beside a key of the root of trust's a file of that name is nothing of the device's.
  var declaredFiles: [IdentityFile] { IdentityFile.allCases.filter { $0 != .deviceKey || identityKey == nil } }

  /// Takes the runtime's files over; of a device that is to be wiped those that outlive that.
  mutating func keep(_ files: [IdentFile]) {
    self.files = isWiping ? files.filter { IdentityFile(rawValue: $0.name)?.outlivesWipe == true } : files
  }

  /// Of the key slots of `data`, those that may be there.
  var allowedSlots: Set<UInt8> {
    // Cut off at any step, an order leaves the old one, the new one, or both.
    wish == nil ? Set(recovery.map { [$0.number] } ?? []) : Set(RecoverySlot.all)
  }

  static let maximumFiles = 32
  /// Of all contents together.
  static let filesMaximum_bytes = 64 * 1024

  /// What follows the files is named by a number.
  private static let identityKeyTag: UInt8 = 1
  private static let recoveryTag: UInt8 = 2
  private static let startTag: UInt8 = 3

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
    // Nor is there a part where there is nothing to say.
    if recovery != nil || wish != nil {
      writer.put(Self.recoveryTag)
      put(into: &writer)
    }
    if dataStart > 0 {
      writer.put(Self.startTag)
      writer.put(dataStart)
    }
    return writer.bytes
  }

  /// Recovery key: 0, or 1, slot (1) and facts; wish: 0, or 1, facts, bytes of the passphrase (1) and it, or 2 for none any more. Facts: fingerprint (8), when
  /// (8).
  private func put(into writer: inout FieldWriter) {
    writer.put(UInt8(recovery == nil ? 0 : 1))
    if let recovery {
      writer.put(recovery.number)
      Self.put(recovery.key, into: &writer)
    }
    switch wish {
    case nil: writer.put(UInt8(0))
    case .set(let passphrase, let facts):
      writer.put(UInt8(1))
      Self.put(facts, into: &writer)
      writer.put(UInt8(truncatingIfNeeded: passphrase.count))
      writer.put(passphrase)
    case .remove: writer.put(UInt8(2))
    }
  }

  private static func put(_ facts: RecoveryKeyFacts, into writer: inout FieldWriter) {
    writer.put(facts.fingerprint)
    writer.put(UInt64(bitPattern: facts.ordered_s))
  }

  private static func facts(_ reader: inout FieldReader) -> RecoveryKeyFacts? {
    guard let fingerprint = reader.take(RecoveryKeyFacts.fingerprint_bytes), let ordered = reader.number(UInt64.self) else { return nil }
    return RecoveryKeyFacts(fingerprint: fingerprint, ordered_s: Int64(bitPattern: ordered))
  }

  /// False where the bytes are no such part, or say that there is nothing.
  private mutating func takeRecovery(_ reader: inout FieldReader) -> Bool {
    guard let hasKey = reader.number(UInt8.self), hasKey <= 1 else { return false }
    if hasKey == 1 {
      guard let slot = reader.number(UInt8.self), RecoverySlot.all.contains(slot), let facts = Self.facts(&reader) else { return false }
      recovery = RecoverySlot(number: slot, key: facts)
    }
    switch reader.number(UInt8.self) {
    case 0: break
    case 1:
      guard let facts = Self.facts(&reader), let count = reader.number(UInt8.self), count > 0, Int(count) <= RecoveryKeyOrder.passphraseMaximum_bytes,
        let passphrase = reader.take(Int(count))
      else { return false }
      wish = .set(passphrase: passphrase, facts)
    case 2: wish = .remove
    default: return false
    }
    return recovery != nil || wish != nil
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
    // Each part once, in the order of their tags.
    var tag = reader.isAtEnd ? nil : reader.number(UInt8.self)
    if tag == Self.identityKeyTag {
      guard let publicCount = reader.number(UInt16.self), (1...IdentityKey.publicKeyMaximum_bytes).contains(Int(publicCount)),
        let publicKey = reader.take(Int(publicCount)),
        let handleCount = reader.number(UInt16.self), (1...IdentityKey.handleMaximum_bytes).contains(Int(handleCount)),
        let handle = reader.take(Int(handleCount))
      else { return nil }
      identityKey = IdentityKey(publicKey: publicKey, handle: handle)
      tag = reader.isAtEnd ? nil : reader.number(UInt8.self)
    }
    if tag == Self.recoveryTag {
      guard takeRecovery(&reader) else { return nil }
      tag = reader.isAtEnd ? nil : reader.number(UInt8.self)
    }
    if tag == Self.startTag {
      guard let start = reader.number(UInt64.self), start > 0 else { return nil }
      dataStart = start
      tag = nil
    }
    guard tag == nil else { return nil }
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
