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
  var cloudErasure: WipeStatement.CloudErasure?
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
  /// owned → provisioned, once `ask` has had the supervisor agree, which restarts the machine soon after. From there on only forward, at the next start if
  /// need be.
  ///
  /// The cloud is asked first, and whatever it answers the wipe goes on: who may order one may erase there, too.
  ///
  /// Where the board destroys the storage on its way down, the files are removed now, and the next start ends the wipe: it knows then what became of the
  /// keys. Until then nobody claims the device, as what it would write goes down too.
  func wipe(_ cause: WipeStatement.Cause, connection: UInt64, ask: () async throws(Problem) -> Void) async throws(Problem) {
    let epoch = surroundings.identityEpoch
    let farewell = farewell.withLockedValue { $0 }
    let cloudErasure = await farewell?.ask() ?? .none
    if cloudErasure == .unconfirmed { log.append(.warning, source: "core", "the cloud did not confirm that it erased what it holds of the device") }
    let wipe = StoredWipe(
      cause: cause, time_s: clock.now_s(), formerOwnerId: standing.owner?.text ?? "", identityEpoch: epoch, cloudErasure: cloudErasure)
    let intent = StoredIntent(kind: .wipe, wipe: wipe)
    var receipt: StoredReceipt?
    func order() async throws(Problem) {
      do throws(Problem) {
        try await ask()
      } catch {
        farewell?.takeBack()
        throw error
      }
    }
    if epoch == nil {
      try await order()
      try save { try identityFolder.write(intent) }
      try await surroundings.commitIdentity()
      receipt = try await Device.finishWipe(
        (identityFolder, stateFolder), wipe, key: deviceKey, serialNumber: standing.serialNumber, surroundings: surroundings)
    } else {
      // The supervisor keeps it in the very record of the wipe: a cut leaves both or neither. An order that it refuses means nothing, as the epoch stays.
      try save { try identityFolder.write(intent) }
      do throws(Problem) {
        try await order()
      } catch {
        try? identityFolder.removeIntent()
        throw error
      }
      do throws(Problem) {
        try Device.destroyOwner(stateFolder)
      } catch {
        // The keys go in any case.
        log.append(.warning, source: "core", error.detail)
      }
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
      throw .notKept(error, "What the owner left could not be destroyed: \(error).")
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

  /// Whether an intent is of an order that was refused: what it was to destroy is there, in the same life of the device.
  static func isRefused(_ intent: StoredIntent?, _ surroundings: Surroundings) -> Bool {
    guard let intent, intent.kind == .wipe, let ordered = intent.wipe?.identityEpoch, let now = surroundings.identityEpoch else { return false }
    return now <= ordered
  }

  /// The receipt, where it is of the last wipe: one that is of an earlier life is not shown in place of one that is missing.
  static func newest(_ receipt: StoredReceipt?, _ surroundings: Surroundings) -> StoredReceipt? {
    guard let receipt, let epoch = surroundings.identityEpoch else { return receipt }
    let statement = try? jsonDocument(WipeStatement.self, from: Array(receipt.statement.utf8))
    return statement?.identityEpochAfter == epoch ? receipt : nil
  }

  private static func makeReceipt(
    _ order: StoredWipe?, _ key: PrivateKey?, _ serialNumber: String?, _ surroundings: Surroundings
  ) throws -> StoredReceipt? {
    guard let order, let key, let serialNumber, let device = DeviceIdentifier(publicKeyDigest: key.publicKey.digest) else { return nil }
    // Only a count that has risen says that keys are gone.
    let isDestroyed = if let before = order.identityEpoch, let after = surroundings.identityEpoch { after > before } else { false }
    let statement = WipeStatement(
      deviceId: device.text, serialNumber: serialNumber, cause: order.cause, time: rfc3339(order.time_s),
      formerOwnerId: OwnerIdentifier(order.formerOwnerId)?.text ?? "",
      rootOfTrust: isDestroyed ? surroundings.rootOfTrust : "none", identityEpochBefore: isDestroyed ? order.identityEpoch : nil,
      identityEpochAfter: isDestroyed ? surroundings.identityEpoch : nil, cloudErasure: order.cloudErasure)
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
