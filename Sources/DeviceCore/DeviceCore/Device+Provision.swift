import Crypto
import Foundations
import Identity
import LocalAPI

// What a station does with a device.
extension Device {
  /// Whom a station may provision: a device that never was, and one that has lost itself.
  private static let provisionable: Set<LifeCyclePhase> = [.blank, .damaged]

  /// The request for the IDevID certificate, PEM.
  func provisioningRequest() throws(Problem) -> String {
    try require(Self.provisionable)
    return try requestText { () throws(CryptoError) in try InitialDeviceProfile.request(key: deviceKey) }
  }

  /// blank or damaged → provisioned. Whatever a damaged device still held of an owner is wiped: its new label must open nobody's data.
  func provision(serialNumber: String, chainPEM: String, label: LabelDocument, connection: UInt64) async throws(Problem) {
    let phase = try begin(Self.provisionable)
    defer { end() }
    let label = try StoredLabel(label)
    let chain = try rules.checkMakerChain(chainPEM, key: deviceKey.publicKey, serialNumber: serialNumber)
    let identity = StoredIdentity(serialNumber: serialNumber, makerChain: chain.map(\.pem).joined(), label: label)
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
    try await Device.destroyOwner(stateFolder, surroundings)
    try save {
      try identityFolder.removeLockOut()
      try identityFolder.writeDeviceKey(deviceKey)
      try identityFolder.write(identity)
    }
    try await surroundings.commitIdentity()
    try save { try identityFolder.removeIntent() }
    try await surroundings.commitIdentity()
  }

  /// Empties the owner's folder, as the surroundings have it.
  static func destroyOwner(_ folder: StateFolder, _ surroundings: Surroundings) async throws(Problem) {
    if let wipe = surroundings.wipe { return try await wipe() }
    do {
      try folder.erase()
    } catch {
      throw .unavailable("What the owner left could not be destroyed: \(error).")
    }
  }

  /// The rest of a wipe whose intent is durable.
  static func finishWipe(_ folders: (identity: IdentityFolder, state: StateFolder), _ surroundings: Surroundings) async throws(Problem) {
    try await destroyOwner(folders.state, surroundings)
    do {
      try folders.identity.removeIntent()
    } catch {
      throw .unavailable("The end of the wipe could not be written down: \(error).")
    }
    try await surroundings.commitIdentity()
  }
}
