import Crypto
import Foundations
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

/// What survives a wipe: `device.key` (PKCS #8, PEM; not where the root of trust keeps the device's own key), `identity.json`, `lockout.json`, `intent.json`,
/// `receipt.json`.
///
/// A board may keep the folder in memory and seal its content elsewhere: what was written counts once `Device.Surroundings.commitIdentity` has returned.
struct IdentityFolder: Sendable {
  private static let deviceKey = "device.key"
  private static let identity = "identity.json"
  private static let lockOut = "lockout.json"
  private static let intent = "intent.json"
  private static let receipt = "receipt.json"

  let folder: PrivateFolder

  init(path: String, onStep: @escaping @Sendable () -> Void = {}) { folder = PrivateFolder(path: path, onStep: onStep) }

  func readDeviceKey() throws -> PrivateKey? { try folder.readKey(Self.deviceKey) }
  func writeDeviceKey(_ key: PrivateKey) throws { try folder.write(key, Self.deviceKey) }

  func readIdentity() throws -> StoredIdentity? {
    guard let stored = try folder.read(StoredIdentity.self, Self.identity, as: "the device's identity") else { return nil }
    try folder.check(version: stored.version, is: StoredIdentity.currentVersion, of: Self.identity)
    return stored
  }
  func write(_ identity: StoredIdentity) throws { try folder.write(identity, Self.identity) }
  func removeIdentity() throws { try folder.remove(Self.identity) }

  func readLockOut() throws -> StoredLockOut? {
    guard let stored = try folder.read(StoredLockOut.self, Self.lockOut, as: "the count of wrong label proofs") else { return nil }
    try folder.check(version: stored.version, is: StoredLockOut.currentVersion, of: Self.lockOut)
    return stored
  }
  func write(_ lockOut: StoredLockOut) throws { try folder.write(lockOut, Self.lockOut) }
  func removeLockOut() throws { try folder.remove(Self.lockOut) }

  func readIntent() throws -> StoredIntent? {
    guard let stored = try folder.read(StoredIntent.self, Self.intent, as: "a change that was begun") else { return nil }
    try folder.check(version: stored.version, is: StoredIntent.currentVersion, of: Self.intent)
    return stored
  }
  func write(_ intent: StoredIntent) throws { try folder.write(intent, Self.intent) }
  func removeIntent() throws { try folder.remove(Self.intent) }

  func readReceipt() throws -> StoredReceipt? {
    guard let stored = try folder.read(StoredReceipt.self, Self.receipt, as: "the receipt of the last wipe") else { return nil }
    try folder.check(version: stored.version, is: StoredReceipt.currentVersion, of: Self.receipt)
    return stored
  }
  func write(_ receipt: StoredReceipt) throws { try folder.write(receipt, Self.receipt) }
}
