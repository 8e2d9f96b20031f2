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
    try Device.destroyOwner(stateFolder)
    try save {
      try identityFolder.removeLockOut()
      if !deviceKey.isOutside { try identityFolder.writeDeviceKey(deviceKey) }
      try identityFolder.write(identity)
    }
    try await surroundings.commitIdentity()
    try save { try identityFolder.removeIntent() }
    try await surroundings.commitIdentity()
  }
}
