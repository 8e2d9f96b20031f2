import BoardAPI
import Crypto
import Foundations
import Glibc
import Identity

/// What a device remembers of its making, as the file `identity.json` holds it; a device that was never provisioned has none. Everything in it is
/// checked against the certificates in it and the key beside it when it is read: a file that fits is right, one that does not is damage.
struct StoredIdentity: Codable, Equatable {
  static let currentVersion = 1

  var version = Self.currentVersion
  var serialNumber: String
  /// PEM, the IDevID certificate first.
  var makerChain: String
  var label: StoredLabel
}

/// What was proved wrong of the label lately, as the file `lockout.json` holds it.
struct StoredLockOut: Codable, Equatable {
  static let currentVersion = 1

  var version = Self.currentVersion
  /// Proofs since the last right one.
  var failures: Int
  /// What is left to wait until the next proof is looked at, of the device's running time.
  var waitMilliseconds: UInt64
}

/// A change of both folders that was begun, as the file `intent.json` holds it: written before the first of its steps and removed after the last.
struct StoredIntent: Codable, Equatable {
  enum Kind: String, Codable {
    /// The owner's folder is being emptied: the next start goes on with it before anything else.
    case wipe
    /// A station is giving a damaged device a new identity: until that is whole the device stays damaged.
    case provision
  }
  static let currentVersion = 1

  var version = Self.currentVersion
  var kind: Kind
  /// What is known of a wipe.
  var wipe: StoredWipe?
}

/// What survives a wipe: the files that `IdentityFile` declares, and no other.
///
/// A board may keep the folder in memory and seal its content elsewhere: what was written counts once `Device.Surroundings.commitIdentity` has returned. What
/// is read is exactly what this firmware writes: a file with anything more in it is damage.
struct IdentityFolder: Sendable {
  let folder: PrivateFolder

  init(path: String, onStep: @escaping @Sendable () -> Void = {}) { folder = PrivateFolder(path: path, onStep: onStep) }

  func readDeviceKey() throws -> PrivateKey? { try folder.readKey(IdentityFile.deviceKey.name, maximum_bytes: IdentityFile.deviceKey.maximum_bytes) }
  func writeDeviceKey(_ key: PrivateKey) throws { try folder.write(key, IdentityFile.deviceKey.name) }

  func readIdentity() throws -> StoredIdentity? {
    guard let stored = try read(StoredIdentity.self, .identity, as: "the device's identity") else { return nil }
    try folder.check(version: stored.version, is: StoredIdentity.currentVersion, of: IdentityFile.identity.name)
    return stored
  }
  func write(_ identity: StoredIdentity) throws { try write(identity, .identity) }
  /// Whether it is small enough to be kept.
  func takes(_ identity: StoredIdentity) throws -> Bool { try jsonText(identity).count <= IdentityFile.identity.maximum_bytes }
  func removeIdentity() throws { try folder.remove(IdentityFile.identity.name) }

  func readLockOut() throws -> StoredLockOut? {
    guard let stored = try read(StoredLockOut.self, .lockOut, as: "the count of wrong label proofs") else { return nil }
    try folder.check(version: stored.version, is: StoredLockOut.currentVersion, of: IdentityFile.lockOut.name)
    return stored
  }
  func write(_ lockOut: StoredLockOut) throws { try write(lockOut, .lockOut) }
  func removeLockOut() throws { try folder.remove(IdentityFile.lockOut.name) }

  func readIntent() throws -> StoredIntent? {
    guard let stored = try read(StoredIntent.self, .intent, as: "a change that was begun") else { return nil }
    try folder.check(version: stored.version, is: StoredIntent.currentVersion, of: IdentityFile.intent.name)
    return stored
  }
  func write(_ intent: StoredIntent) throws { try write(intent, .intent) }
  func removeIntent() throws { try folder.remove(IdentityFile.intent.name) }

  func readReceipt() throws -> StoredReceipt? {
    guard let stored = try read(StoredReceipt.self, .receipt, as: "the receipt of the last wipe") else { return nil }
    try folder.check(version: stored.version, is: StoredReceipt.currentVersion, of: IdentityFile.receipt.name)
    return stored
  }
  func write(_ receipt: StoredReceipt) throws { try write(receipt, .receipt) }
  func removeReceipt() throws { try folder.remove(IdentityFile.receipt.name) }

  private func read<Document: Codable>(_ type: Document.Type, _ file: IdentityFile, as what: String) throws -> Document? {
    guard let document = try folder.read(type, file.name, as: what, maximum_bytes: file.maximum_bytes) else { return nil }
    // Unknown members, spaces and other ways to write the same would be room for what is nobody's.
    guard try folder.read(file.name, maximum_bytes: file.maximum_bytes) == jsonText(document) else {
      throw damage("\(folder.path)/\(file.name) has more in it than \(what)")
    }
    return document
  }

  private func write(_ document: some Encodable, _ file: IdentityFile) throws {
    let text = try jsonText(document)
    // Whoever keeps the folder would refuse it.
    guard text.count <= file.maximum_bytes else { throw SystemCallError("write", number: EFBIG, subject: "\(folder.path)/\(file.name)") }
    try folder.replace(file.name, with: text)
  }
}
