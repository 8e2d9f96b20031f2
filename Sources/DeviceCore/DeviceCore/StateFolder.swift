import Crypto
import FoundationEssentials
import Foundations

/// What the device remembers beside its keys, as the file `state.json` holds it. Everything in it is checked against the certificates in
/// it and the keys beside it when it is read: a file that fits is right, one that does not is damage.
struct StoredState: Codable, Equatable {
  static let currentVersion = 1

  var version = Self.currentVersion
  /// `provisioned` or `owned`; a blank device has no such file.
  var phase: String
  var serialNumber: String
  /// PEM, the IDevID certificate first.
  var makerChain: String
  /// PEM; owned only.
  var ownerCertificate: String?
  /// PEM, the LDevID certificate first; owned only.
  var operationalChain: String?
}

/// Which broker the owner bound the device to, as the file `cloud.json` holds it.
struct StoredCloud: Codable, Equatable {
  var host: String
  var port: UInt16
  /// The CA that signs the broker's certificate, PEM.
  var authority: String
}

/// The runtime's folder: `device.key`, `operational.key` (PKCS #8, PEM), `state.json` and `cloud.json`, each replaced as a whole, mode 0600.
struct StateFolder: Sendable {
  /// Two chains of four certificates, twice.
  static let stateMaximum_bytes = 64 * 1024
  static let keyMaximum_bytes = 4 * 1024

  let path: String

  private var stateFile: String { path + "/state.json" }
  private var cloudFile: String { path + "/cloud.json" }
  private var deviceKeyFile: String { path + "/device.key" }
  private var operationalKeyFile: String { path + "/operational.key" }

  func readState() throws -> StoredState? {
    guard let bytes = try AtomicFile.read(stateFile, maximum_bytes: Self.stateMaximum_bytes) else { return nil }
    let state: StoredState
    do {
      state = try JSONDecoder().decode(StoredState.self, from: Data(bytes))
    } catch {
      throw damage("\(stateFile) cannot be read as the device's state")
    }
    guard state.version == StoredState.currentVersion else {
      throw damage("\(stateFile) has version \(state.version), which this firmware does not know")
    }
    return state
  }

  /// Written last of all: from this moment on the new state counts.
  func write(_ state: StoredState) throws { try write(state, to: stateFile) }

  func readCloud() throws -> StoredCloud? {
    guard let bytes = try AtomicFile.read(cloudFile, maximum_bytes: Self.stateMaximum_bytes) else { return nil }
    return try JSONDecoder().decode(StoredCloud.self, from: Data(bytes))
  }

  func write(_ cloud: StoredCloud) throws { try write(cloud, to: cloudFile) }

  private func write(_ document: some Encodable, to file: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.replace(file, with: Array(try encoder.encode(document)))
  }

  func readDeviceKey() throws -> PrivateKey? { try readKey(deviceKeyFile) }
  func readOperationalKey() throws -> PrivateKey? { try readKey(operationalKeyFile) }
  func writeDeviceKey(_ key: PrivateKey) throws { try AtomicFile.replace(deviceKeyFile, with: try key.pem()) }
  func writeOperationalKey(_ key: PrivateKey) throws { try AtomicFile.replace(operationalKeyFile, with: try key.pem()) }

  private func readKey(_ file: String) throws -> PrivateKey? {
    guard let pem = try AtomicFile.readSecret(file, maximum_bytes: Self.keyMaximum_bytes) else { return nil }
    do {
      return try PrivateKey(pem: pem)
    } catch {
      throw damage("\(file) holds no private key that can be used")
    }
  }
}

/// What makes a device `damaged`: the sentence is shown to the station.
struct StateDamage: Error {
  let sentence: String
}

func damage(_ sentence: String) -> StateDamage { StateDamage(sentence: sentence) }
