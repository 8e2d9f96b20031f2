import Foundations
import LocalAPI
import NIOConcurrencyHelpers

/// The fake device's LDevID and peers.
extension FakeDevice {
  private static let certificate = CredentialDocument.Certificate(
    serialNumber: "0a", notBefore: "2026-01-01T00:00:00Z", notAfter: "2026-04-01T00:00:00Z")

  func receipt() throws(Problem) -> WipeReceiptDocument { WipeReceiptDocument(statement: "{}", signature: "00", certificateChain: "pem") }
  func credential() throws(Problem) -> CredentialDocument {
    CredentialDocument(certificate: Self.certificate, renewal: .proving, candidate: Self.certificate, remainingMilliseconds: 1, previous: Self.certificate)
  }
  func renewalOffer(binding: [UInt8]) async throws(Problem) -> RenewalOfferDocument {
    state.withLockedValue { $0.changes.append("renewal offered") }
    return RenewalOfferDocument(
      deviceId: "00112233445566778899", certificateRequest: "pem",
      identity: IdentityProofDocument(certificateChain: "pem", signature: hexadecimal(binding)))
  }
  func installRenewal(_ request: RenewalRequest, caller: String) async throws(Problem) -> CredentialDocument {
    state.withLockedValue { $0.changes.append("renewal by \(caller)") }
    return try credential()
  }
  func transfer(_ request: StatementRequest, connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument {
    state.withLockedValue { $0.changes.append("transfer over connection \(connection) by \(caller)") }
    return LifeCycleDocument(deviceId: "00112233445566778899", ownerId: nil, lifeCycleState: .provisioned)
  }
  private static let recoveryKey = RecoveryKeyDocument(
    state: .inForce, fingerprint: "0123456789abcdef", orderedAt: "2026-01-31T12:00:00Z", pending: .set)
  func recoveryKey() -> RecoveryKeyDocument { Self.recoveryKey }
  func recoveryOffer() async throws(Problem) -> RecoveryOfferDocument {
    state.withLockedValue { $0.changes.append("recovery key offered") }
    return RecoveryOfferDocument(publicKey: String(repeating: "5a", count: 32))
  }
  func putRecoveryKey(_ request: RecoveryKeyRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    state.withLockedValue { $0.changes.append("recovery key \(request.sealedKey) by \(caller)") }
    return Self.recoveryKey
  }
  func removeRecoveryKey(_ request: StatementRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    state.withLockedValue { $0.changes.append("no recovery key by \(caller)") }
    return Self.recoveryKey
  }
  func peers() -> PeersDocument {
    PeersDocument(peers: [
      PeerDocument(
        deviceId: "aabbccddeeff00112233", state: "approved", address: "192.0.2.7", port: 8_443, scope: ["readings:temperature"], link: "refused",
        protocolVersion: 1, error: .init(code: "peer-refused", reason: "no"),
        readings: [.init(name: "temperature", value: 21.5, unit: "Cel", time: "2026-01-31T12:00:00Z", simulated: true, uptimeMilliseconds: 5)])
    ])
  }
  func putPeer(_ peer: DeviceIdentifier, _ request: PeerRequest, caller: String) async throws(Problem) -> PeersDocument {
    state.withLockedValue { $0.changes.append("peer \(peer) may \(request.scope) by \(caller)") }
    return peers()
  }
  func removePeer(_ peer: DeviceIdentifier, _ request: StatementRequest, caller: String) async throws(Problem) -> PeersDocument {
    state.withLockedValue { $0.changes.append("peer \(peer) removed by \(caller)") }
    return peers()
  }
  func setDiscovery(_ request: DiscoveryRequest, caller: String) async throws(Problem) -> DiscoveryDocument {
    state.withLockedValue { $0.changes.append("discovery \(request.on) by \(caller)") }
    return DiscoveryDocument(on: request.on, state: .probing)
  }
  func peerHello(_ peer: DeviceIdentifier, _ query: PeerHelloQuery) throws(Problem) -> PeerHelloDocument {
    PeerHelloDocument(
      deviceId: "00112233445566778899", versions: [1], capabilities: ["readings"], version: query.versions.max() ?? 0, agreed: query.capabilities,
      state: "approved", readings: ["of \(peer)"])
  }
  func peerReading(_ peer: DeviceIdentifier, _ name: String) throws(Problem) -> ReadingDocument {
    ReadingDocument(name: name, value: 21.5, unit: "Cel", time: "2026-01-31T12:00:00Z", simulated: true)
  }
}
