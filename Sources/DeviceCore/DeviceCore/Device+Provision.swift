import BoardAPI
import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers

// What a station does with a device.
extension Device {
  /// Whom a station may provision: a device that never was, and one that has lost itself.
  private static let provisionable: Set<LifeCyclePhase> = [.blank, .damaged]

  /// The request for the IDevID certificate, PEM.
  func provisioningRequest() throws(Problem) -> String {
    try require(Self.provisionable)
    try requireStorage()
    return try requestText { () throws(CryptoError) in try InitialDeviceProfile.request(key: deviceKey) }
  }

  /// blank or damaged → provisioned. Whatever a damaged device still held of an owner is wiped: its new label must open nobody's data.
  func provision(serialNumber: String, chainPEM: String, label: LabelDocument, connection: UInt64) async throws(Problem) {
    let phase = try begin(Self.provisionable)
    defer { end() }
    try requireStorage()
    let label = try StoredLabel(label)
    let chain = try rules.checkMakerChain(chainPEM, key: deviceKey.publicKey, serialNumber: serialNumber)
    let identity = StoredIdentity(serialNumber: serialNumber, makerChain: chain.map(\.pem).joined(), label: label)
    guard (try? identityFolder.takes(identity)) == true else {
      throw .unprocessable(
        "certificate-chain-too-long",
        "The certificate chain is too long to be kept: with label and serial number at most \(IdentityFile.identity.maximum_bytes) bytes are.",
        field: "certificateChain")
    }
    if phase == .damaged { try await repair(identity) } else { try await keep(identity) }
    gate.reset()
    become(connection) { state in
      state.standing = Standing(phase: .provisioned, serialNumber: serialNumber)
      state.chain = chain
      state.key = deviceKey
      state.identity = identity
      state.makerChain = chain
    }
  }

  /// The storage is made anew by the supervisor, whom `ask` asks: the machine restarts soon after, and the device is blank.
  func remakeStorage(ask: () async throws(Problem) -> Void) async throws(Problem) {
    _ = try begin([.damaged])
    defer { end() }
    guard surroundings.isStorageLost else { throw Self.storageIsWhole }
    try await ask()
    state.withLockedValue { $0.isEnding = true }
    log.append(.notice, source: "core", "the storage was made anew for a station: the machine restarts")
  }

  static let storageIsWhole = Problem.conflict(
    "storage-whole", "The device's storage is whole, and is not made anew; a damaged device whose storage is whole is simply provisioned.")

  private func requireStorage() throws(Problem) {
    guard surroundings.isStorageLost else { return }
    throw .conflict(
      "storage-lost",
      "The device's storage is damaged or locked, and can keep no identity: have it made anew first (POST /v1/storage/remake, with the device's button pressed)."
    )
  }

  private func keep(_ identity: StoredIdentity) async throws(Problem) {
    try save { try identityFolder.write(identity) }
    do throws(Problem) {
      try await surroundings.commitIdentity()
    } catch {
      try? identityFolder.removeIdentity()
      throw error
    }
  }

  /// Cut off anywhere, the device is still damaged.
  private func repair(_ identity: StoredIdentity) async throws(Problem) {
    try save { try identityFolder.write(StoredIntent(kind: .provision)) }
    try await surroundings.commitIdentity()
    try Device.destroyOwner(stateFolder)
    try save {
      try identityFolder.removeLockOut()
      // One that is whole is still what became of the last wipe; another would make the device damaged again.
      if (try? identityFolder.readReceipt()) == nil { try identityFolder.removeReceipt() }
      if !deviceKey.isOutside { try identityFolder.writeDeviceKey(deviceKey) }
      try identityFolder.write(identity)
    }
    try await surroundings.commitIdentity()
    try save { try identityFolder.removeIntent() }
    try await surroundings.commitIdentity()
  }
}
