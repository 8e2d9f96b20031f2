import Crypto
import Foundations

/// Whom the device belongs to, as the file `owner.json` holds it; a device without an owner has none. Checked as `StoredIdentity` is.
struct StoredOwner: Codable, Equatable {
  static let currentVersion = 1

  var version = Self.currentVersion
  /// The owner CA's certificate, PEM.
  var ownerCertificate: String
  /// PEM, the LDevID certificate first.
  var operationalChain: String
}

/// Which broker the owner bound the device to, as the file `cloud.json` holds it.
struct StoredCloud: Codable, Equatable {
  var host: String
  var port: UInt16
  /// The CA that signs the broker's certificate, PEM.
  var authority: String
}

/// What a wipe destroys: `operational.key` (PKCS #8, PEM), `owner.json`, `cloud.json`, and whatever else the owner's use of the device leaves here.
struct StateFolder: Sendable {
  static let owner = "owner.json"
  private static let cloud = "cloud.json"
  private static let operationalKey = "operational.key"

  let folder: PrivateFolder

  init(path: String, onStep: @escaping @Sendable () -> Void = {}, health: StorageHealth? = nil) {
    folder = PrivateFolder(path: path, onStep: onStep, health: health)
  }

  func readOwner() throws -> StoredOwner? {
    guard let stored = try folder.read(StoredOwner.self, Self.owner, as: "the device's owner") else { return nil }
    try folder.check(version: stored.version, is: StoredOwner.currentVersion, of: Self.owner)
    return stored
  }

  /// Written last of all: from this moment on the device is owned.
  func write(_ owner: StoredOwner) throws { try folder.write(owner, Self.owner) }

  func readCloud() throws -> StoredCloud? { try folder.read(StoredCloud.self, Self.cloud, as: "the binding to a broker") }
  func write(_ cloud: StoredCloud) throws { try folder.write(cloud, Self.cloud) }

  func readOperationalKey() throws -> PrivateKey? { try folder.readKey(Self.operationalKey) }
  func writeOperationalKey(_ key: PrivateKey) throws { try folder.write(key, Self.operationalKey) }

  /// The LDevID is this one from now on. It may be done once more where it was cut off between its two steps.
  func replaceOperational(_ key: PrivateKey, chain: String) throws {
    guard var owner = try readOwner() else { throw damage("there is a renewal and no owner") }
    try writeOperationalKey(key)
    owner.operationalChain = chain
    try write(owner)
  }

  /// Removes everything in it.
  func erase() throws { try folder.removeAll() }
}
