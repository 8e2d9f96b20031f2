import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers

/// What is known of a wipe when it is ordered, kept until it is done.
struct StoredWipe: Codable, Equatable {
  var cause: WipeStatement.Cause
  /// Seconds since 1970, UTC.
  var time_s: Int64
  var formerOwnerId: String
  /// Of the storage that is to be destroyed; nil where the board keeps nothing that could be.
  var identityEpoch: UInt64?
}

/// What the device signed after its last wipe, as the file `receipt.json` holds it.
struct StoredReceipt: Codable, Equatable {
  static let currentVersion = 1

  var version = Self.currentVersion
  /// JSON of a `WipeStatement`.
  var statement: String
  /// Hexadecimal.
  var signature: String
}

extension Device {
  /// owned → provisioned, once the supervisor has agreed, which restarts the machine soon after.
  ///
  /// Where the board destroys the storage on its way down, the files are removed now, and the next start ends the wipe: it knows then what became of the
  /// keys. Until then nobody claims the device, as what it would write goes down too.
  func wipe(_ cause: WipeStatement.Cause, connection: UInt64) async throws(Problem) {
    let epoch = surroundings.identityEpoch
    let order = StoredWipe(cause: cause, time_s: clock.now_s(), formerOwnerId: standing.owner?.text ?? "", identityEpoch: epoch)
    try save { try identityFolder.write(StoredIntent(kind: .wipe, wipe: order)) }
    try await surroundings.commitIdentity()
    var receipt: StoredReceipt?
    if epoch == nil {
      receipt = try await Device.finishWipe(
        (identityFolder, stateFolder), order, key: deviceKey, serialNumber: standing.serialNumber, surroundings: surroundings)
    } else {
      try Device.destroyOwner(stateFolder)
    }
    gate.presence.close()
    become(connection) { state in
      state.standing = Standing(phase: .provisioned, serialNumber: state.identity?.serialNumber)
      state.chain = state.makerChain
      state.key = deviceKey
      state.owner = nil
      state.operationalKey = nil
      state.receipt = receipt
      state.isEnding = epoch != nil
    }
    gate.tell(.wiped)
  }

  /// Empties the owner's folder.
  static func destroyOwner(_ folder: StateFolder) throws(Problem) {
    do {
      try folder.erase()
    } catch {
      throw .unavailable("What the owner left could not be destroyed: \(error).")
    }
  }

  /// The rest of a wipe whose intent is durable, and its receipt.
  ///
  /// - Parameters:
  ///   - order: nil where the intent does not say more than that: then there is no receipt.
  ///   - key: the device's own; nil where it has none.
  static func finishWipe(
    _ folders: (identity: IdentityFolder, state: StateFolder), _ order: StoredWipe?, key: PrivateKey?, serialNumber: String?,
    surroundings: Surroundings
  ) async throws(Problem) -> StoredReceipt? {
    try destroyOwner(folders.state)
    let receipt: StoredReceipt?
    do {
      receipt = try makeReceipt(order, key, serialNumber, surroundings)
      if let receipt { try folders.identity.write(receipt) }
      try folders.identity.removeIntent()
    } catch {
      throw .unavailable("The end of the wipe could not be written down: \(error).")
    }
    try await surroundings.commitIdentity()
    return receipt
  }

  private static func makeReceipt(
    _ order: StoredWipe?, _ key: PrivateKey?, _ serialNumber: String?, _ surroundings: Surroundings
  ) throws -> StoredReceipt? {
    guard let order, let key, let serialNumber, let device = DeviceIdentifier(publicKeyDigest: key.publicKey.digest) else { return nil }
    // Only a count that has risen says that keys are gone.
    let isDestroyed = if let before = order.identityEpoch, let after = surroundings.identityEpoch { after > before } else { false }
    let statement = WipeStatement(
      deviceId: device.text, serialNumber: serialNumber, cause: order.cause, time: rfc3339(order.time_s), formerOwnerId: order.formerOwnerId,
      rootOfTrust: isDestroyed ? surroundings.rootOfTrust : "none", identityEpochBefore: isDestroyed ? order.identityEpoch : nil,
      identityEpochAfter: isDestroyed ? surroundings.identityEpoch : nil)
    let text = String(decoding: try encodeJSON(statement), as: UTF8.self)
    return StoredReceipt(statement: text, signature: hexadecimal(try key.signature(of: WipeStatement.signedBytes(text))))
  }

  /// What the device signed after its last wipe.
  func receipt() throws(Problem) -> WipeReceiptDocument {
    let (receipt, chain) = state.withLockedValue { ($0.receipt, $0.makerChain) }
    guard let receipt else { throw .notFound("This device was never wiped, or has not ended its wipe yet.") }
    return WipeReceiptDocument(statement: receipt.statement, signature: receipt.signature, certificateChain: chain.map(\.pem).joined())
  }
}
