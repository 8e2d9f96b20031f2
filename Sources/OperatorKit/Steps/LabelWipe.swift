internal import Crypto
internal import Foundations
internal import Identity
internal import TLS

/// Wipes a device that has an owner, by its label and its button: whoever holds both gets the device, and never what is on it.
struct LabelWipe: Sendable {
  let label: DeviceLabel
  let makers: [Certificate]
  let patience: ClaimPatience
  let now_s: Int64

  /// Between two attempts to connect: an owned device refuses strangers until its button was pressed, and counts refusals as it should.
  private static let attempt_ms = 4_000

  /// Whether the device had an owner and is wiped now.
  ///
  /// - Parameter owner: the CA of whom the proof is for; asked once the right device is at the wire.
  func run(_ endpoint: Endpoint, owner: () throws(OperatorError) -> Certificate, tell: (ClaimStep) -> Void) async throws(OperatorError) -> Bool {
    // Its certificate is of its owner's CA, which says nothing here: it proves who it is by the key of its whole life, over this connection.
    let security = try ConnectionSecurity(
      credential: try Claiming.claimant(now_s: now_s), trust: .provedLater, peerName: "the device of this label (\(label.deviceId))"
    ) { _ in nil }
    // Somebody has the whole time from when they are told.
    var end_s: Int64?
    while true {
      do throws(OperatorError) {
        return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
          try await wipe(DeviceClient(connection), owner: owner, tell: tell)
        }
      } catch {
        // Refused in the handshake: its button was not pressed yet.
        guard ["tls-refused", "connection-lost"].contains(error.code) else { throw error }
        guard end_s.map({ secondsNow() < $0 }) ?? true else {
          throw OperatorError("button-not-pressed", "\(endpoint) lets nobody but its owner in: its button was not pressed within \(patience.button_s) s")
        }
      }
      if end_s == nil {
        tell(.pressButton(within_s: patience.button_s))
        end_s = secondsNow() + Int64(patience.button_s)
      }
      try await patience.pause(ms: Self.attempt_ms)
    }
  }

  private func wipe(
    _ client: DeviceClient, owner: () throws(OperatorError) -> Certificate, tell: (ClaimStep) -> Void
  ) async throws(OperatorError) -> Bool {
    let offer = try await client.get(ClaimOffer.self, "/v1/claim")
    // Without an owner there is nothing to wipe, and its own certificate will be checked when it is claimed.
    guard let identity = offer.identity else { return false }
    try await check(identity, client.connection)
    let prover = LabelProver(label: label, client: client, patience: patience)
    let authority = try owner()
    let order = ClaimOrder(ownerCertificate: authority.pem, certificateChain: nil, proof: try await prover.proof(for: authority, offer: offer))
    do throws(OperatorError) {
      _ = try await prover.send(order, tell: tell)
    } catch {
      guard error.refusal?.problem == "wiped" else { throw error }
      tell(.wiped)
      return true
    }
    throw OperatorError("bad-answer", "\(client.connection.endpoint) took a claim and kept its owner; see its log")
  }

  /// Nothing is proved to a device that is not the label's.
  private func check(_ identity: ClaimOffer.IdentityProof, _ connection: DeviceConnection) async throws(OperatorError) {
    let endpoint = connection.endpoint
    let binding = try await connection.binding(label: LabelProof.exporterLabel)
    do {
      let chain = try Certificate.chain(pem: identity.certificateChain)
      guard let leaf = chain.first else { throw CertificateRefusal(.invalid, "there is no certificate") }
      if let refusal = Claiming.refusal(leaf, label: label) { throw refusal }
      _ = try ChainVerifier(authorities: makers, purpose: .server).verifiedChain(leaf: leaf, intermediates: Array(chain.dropFirst()), time_s: now_s)
      let signed = IdentityProof.signedBytes(device: label.deviceId, binding: binding)
      guard let key = leaf.publicKey, let signature = bytes(hexadecimal: identity.signature), key.isValid(signature: signature, of: signed) else {
        throw CertificateRefusal(.untrusted, "its signature does not hold for this connection: somebody stands in between")
      }
    } catch let refusal as CertificateRefusal {
      throw OperatorError("wrong-device", "what answers at \(endpoint) is not the device of this label: \(refusal.reason); nothing was proved to it")
    } catch {
      throw OperatorError("bad-answer", "what \(endpoint) shows as its identity cannot be read; nothing was proved to it", cause: error)
    }
  }
}
