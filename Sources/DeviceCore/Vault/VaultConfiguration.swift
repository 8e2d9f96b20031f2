public import Crypto

/// The bounds of one vault. Everything has one; what would go beyond is refused with `vault-full` or `value-too-large`.
public struct VaultLimits: Sendable {
  /// Of the file. While it is written anew a second file of at most the same size lies beside it.
  public var file_bytes = 4 * 1024 * 1024
  /// Of one value, before encryption.
  public var value_bytes = 64 * 1024
  /// Of one transaction, in the file.
  public var transaction_bytes = 512 * 1024
  /// Values in all, records and log entries together: each takes about 200 bytes of memory.
  public var values = 16_384

  public init() {}
}

/// How a vault is opened.
public struct VaultConfiguration: Sendable {
  /// 1 to 64 letters, digits, `-` and `_`; the file is `NAME.vault`. It is bound to the content: a file under another name does not open.
  public let name: String
  /// Everything that may be stored.
  public let kinds: [VaultKind]
  public var limits = VaultLimits()
  /// What is written from now on; a file under another one is rewritten in the background.
  public var algorithm = AEADAlgorithm.aes256GCM
  /// What is still read. Remove one here to retire it, one release after `algorithm` has moved on.
  public var readable = Set(AEADAlgorithm.allCases)
  /// What was replaced, removed or past its life is out of the file after this time at the latest, where `maintain` is called; seconds.
  public var erasure_s: Int64 = 86_400

  public init(name: String, kinds: [VaultKind]) {
    self.name = name
    self.kinds = kinds
  }

  /// - Throws: `name-invalid`, `configuration-invalid`.
  func check() throws(VaultError) {
    guard Self.isName(name, maximum_bytes: FileHeader.name_bytes) else {
      throw VaultError("name-invalid", "a vault's name has 1 to \(FileHeader.name_bytes) letters, digits, - and _; \(name) does not fit")
    }
    for kind in kinds {
      guard Self.isName(kind.name, maximum_bytes: 63) else {
        throw VaultError("name-invalid", "a kind's name has 1 to 63 letters, digits, - and _; \(kind.name) does not fit")
      }
      guard kind.maximumCount > 0, kind.life_s ?? 1 > 0, !kind.purpose.isEmpty else {
        throw VaultError("configuration-invalid", "the kind \(kind.name) needs a purpose, a life above 0 and a number above 0")
      }
    }
    guard Set(kinds.map(\.name)).count == kinds.count else {
      throw VaultError("configuration-invalid", "two kinds of the vault \(name) have one name")
    }
    // A transaction of one value of the largest size must fit, and a file must hold more than one of them.
    guard limits.value_bytes > 0, limits.transaction_bytes >= limits.value_bytes + 1024, limits.transaction_bytes <= AEADKey.message_bytes,
      limits.file_bytes >= 2 * limits.transaction_bytes, limits.file_bytes <= 1 << 30, limits.values > 0, erasure_s >= 0,
      readable.contains(algorithm)
    else { throw VaultError("configuration-invalid", "the limits of the vault \(name) do not fit one another: see VaultLimits") }
  }

  private static func isName(_ name: String, maximum_bytes: Int) -> Bool {
    (1...maximum_bytes).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
          UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}
