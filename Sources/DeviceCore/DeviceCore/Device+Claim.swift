import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers

/// A claim as it was asked for.
struct ClaimOrder: Sendable {
  /// The owner CA's certificate, PEM.
  var owner: String
  /// The LDevID chain, PEM; nil to wipe a device that has an owner.
  var chain: String?
  /// Of the label's code, hexadecimal.
  var proof: String
  /// What TLS exports for the connection.
  var binding: [UInt8]
  /// For the log.
  var caller: String
  var connection: UInt64
}

/// What a claim asks of the supervisor.
struct ClaimPermissions: Sendable {
  /// Tells it who the owner is, once everything has been checked and before anything is written: a device whose owner the supervisor does not know
  /// would have nobody who could release it.
  var pin: @Sendable (Certificate) async throws(Problem) -> Void
  /// Asks it whether the device may be wiped by its label: it has seen the button itself, and restarts the machine soon after.
  var wipe: @Sendable () async throws(Problem) -> Void
}

// What whoever holds the label does with a device.
extension Device {
  /// What a claimant needs to know before a claim.
  ///
  /// - Parameter binding: what TLS exports for the connection.
  func claimOffer(binding: [UInt8]) throws(Problem) -> ClaimOfferDocument {
    try require([.provisioned, .owned])
    let (standing, identity, chain) = state.withLockedValue { ($0.standing, $0.identity, $0.makerChain) }
    guard let identity else { throw .unavailable("The device does not know its own label.") }
    let isOwned = standing.phase == .owned
    return ClaimOfferDocument(
      deviceId: identifier.text, serialNumber: identity.serialNumber, certificateRequest: isOwned ? nil : try operationalRequest(),
      label: identity.label.parameters, presence: gate.presenceDocument, lockout: gate.lockOutDocument,
      identity: isOwned ? try identityProof(chain, binding) : nil)
  }

  private func operationalRequest() throws(Problem) -> String {
    try requestText { () throws(CryptoError) in try OperationalDeviceProfile.request(key: try operationalKey(), device: identifier) }
  }

  /// A fresh key that stays the same until a claim succeeds or the runtime ends.
  private func operationalKey() throws(CryptoError) -> PrivateKey {
    if let key = state.withLockedValue({ $0.operationalKey }) { return key }
    let fresh = try PrivateKey.generateP256()
    // Whoever was first: two requests at once get the same key.
    return state.withLockedValue { state in
      let key = state.operationalKey ?? fresh
      state.operationalKey = key
      return key
    }
  }

  /// - Parameter request: a request for a certificate that the proof is about too.
  func identityProof(_ chain: [Certificate], _ binding: [UInt8], request: CertificateRequest? = nil) throws(Problem) -> IdentityProofDocument {
    guard binding.count == LabelProof.binding_bytes else { throw .unavailable("This connection cannot be named, so nothing can be proved over it.") }
    do {
      let plain = IdentityProof.signedBytes(device: identifier, binding: binding)
      let signed = request.map { IdentityProof.signedBytes(device: identifier, binding: binding, request: $0) } ?? plain
      let signature = try deviceKey.signature(of: signed)
      return IdentityProofDocument(certificateChain: chain.map(\.pem).joined(), signature: hexadecimal(signature))
    } catch {
      log.append(.error, source: "claim", "the device's key could not sign: \(error)")
      throw .unavailable("The device's key could not sign.")
    }
  }

  /// provisioned → owned; or owned → provisioned, which is told as the problem `wiped`: what claims by label never gets what an owner left.
  func claim(_ order: ClaimOrder, _ permissions: ClaimPermissions) async throws(Problem) {
    let phase = try begin([.provisioned, .owned])
    defer { end() }
    try gate.checkOpen()
    guard let proof = bytes(hexadecimal: order.proof), proof.count == LabelProof.proof_bytes else {
      throw .unprocessable("proof-malformed", "proof must be \(LabelProof.proof_bytes * 2) hexadecimal digits.", field: "proof")
    }
    guard order.binding.count == LabelProof.binding_bytes, let label = state.withLockedValue({ $0.identity?.label }) else {
      throw .unavailable("This connection cannot be named, so nothing can be proved over it.")
    }
    // What does not depend on the proof comes first: a mistake there is no wrong proof.
    let owner = try rules.checkOwner(order.owner)
    let operational = phase == .provisioned ? try checkOperational(order, owner) : nil
    let context = LabelProof.context(device: identifier, binding: order.binding, owner: owner.certificate)
    try await gate.admit(by: order.caller) { label.isValid(proof, context: context) }
    guard let operational else {
      try await wipe(order, permissions)
      throw .conflict("wiped", "The device is wiped, and restarts: its former owner has no access any more. Press its button and claim it again then.")
    }
    do throws(Problem) {
      try await permissions.pin(owner.certificate)
    } catch {
      guard error.code == StatementDesk.ownerNotPinned else { throw error }
      // A device that lost its owner's files and was made whole: what the supervisor keeps of that owner ends as everything else of an owner's.
      try await wipe(order, permissions)
      throw .conflict("wiped", "The supervisor knew another owner: the device is wiped, and restarts. Press its button and claim it again then.")
    }
    let stored = StoredOwner(ownerCertificate: order.owner, operationalChain: operational.chain.map(\.pem).joined())
    try save {
      // The key first: an owner whose key is missing would be damage, a key without its owner is not.
      try stateFolder.writeOperationalKey(operational.key)
      try stateFolder.write(stored)
    }
    gate.presence.close()
    become(order.connection) { state in
      state.standing.phase = .owned
      state.standing.owner = owner.identifier
      state.chain = operational.chain
      state.key = operational.key
      state.owner = owner.certificate
      state.operationalKey = nil
    }
    gate.tell(.claimed)
  }

  private struct Operational {
    let key: PrivateKey
    let chain: [Certificate]
  }

  private func checkOperational(_ order: ClaimOrder, _ owner: CertificateRules.Owner) throws(Problem) -> Operational {
    guard let key = state.withLockedValue({ $0.operationalKey }) else {
      throw .conflict("claim-not-offered", "Ask for the certificate request first (GET /v1/claim): the device made no key for this claim yet.")
    }
    guard let chainPEM = order.chain else {
      throw .unprocessable(
        "certificate-missing", "certificateChain is missing: this device has no owner, so there is nothing to wipe.", field: "certificateChain")
    }
    return Operational(key: key, chain: try rules.checkOperationalChain(chainPEM, key: key.publicKey, owner: owner))
  }

  private func wipe(_ order: ClaimOrder, _ permissions: ClaimPermissions) async throws(Problem) {
    try await wipe(.label, connection: order.connection) { () async throws(Problem) in
      try await permissions.wipe()
      log.append(.notice, source: "claim", "\(order.caller) proved the label: the device is wiped")
    }
  }
}
