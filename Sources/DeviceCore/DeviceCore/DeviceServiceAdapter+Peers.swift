import Foundations
import LocalAPI
import SupervisorLink

/// The LDevID's renewal, the disk's recovery key and the device's peers, as the local API sees them.
extension DeviceServiceAdapter {
  func credential() throws(Problem) -> CredentialDocument { try device.credential() }

  func renewalOffer(binding: [UInt8]) async throws(Problem) -> RenewalOfferDocument {
    let device = device
    return try await device.keyThread.run { () throws(Problem) in try device.renewalOffer(binding: binding) }
  }

  func installRenewal(_ request: RenewalRequest, caller: String) async throws(Problem) -> CredentialDocument {
    try device.installRenewal(chainPEM: request.certificateChain)
    hub.log.append(.notice, source: "core", "\(caller) began a renewal of the LDevID certificate")
    return try device.credential()
  }

  func transfer(_ request: StatementRequest, connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument {
    // The cloud is asked to erase what it holds before the supervisor has its say.
    try statements.check(.transfer, request, body: [], newest: grades.report)
    try await device.transfer(connection: connection, caller: caller) { () async throws(Problem) in
      try await statements.send(.transfer, request, body: [])
    }
    return lifeCycle()
  }

  func recoveryKey() -> RecoveryKeyDocument { recoveryDesk.document() }
  func recoveryOffer() async throws(Problem) -> RecoveryOfferDocument { try await recoveryDesk.offer() }
  func putRecoveryKey(_ request: RecoveryKeyRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    try await recoveryDesk.set(request, caller: caller)
  }
  func removeRecoveryKey(_ request: StatementRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    try await recoveryDesk.remove(request, caller: caller)
  }

  func peers() -> PeersDocument { peerDesk.document() }

  func putPeer(_ peer: DeviceIdentifier, _ request: PeerRequest, caller: String) async throws(Problem) -> PeersDocument {
    try await peerDesk.put(peer, request, caller: caller)
    return peerDesk.document()
  }

  func removePeer(_ peer: DeviceIdentifier, _ request: StatementRequest, caller: String) async throws(Problem) -> PeersDocument {
    try await peerDesk.remove(peer, request, caller: caller)
    return peerDesk.document()
  }

  func setDiscovery(_ request: DiscoveryRequest, caller: String) async throws(Problem) -> DiscoveryDocument {
    try await statements.send(.setDiscovery, request, body: [request.on ? 1 : 0])
    hub.log.append(.notice, source: "discovery", "\(caller) switched discovery \(request.on ? "on" : "off")")
    if request.on { discoveryDesk.anew() }
    return DiscoveryDocument(on: request.on, state: discoveryDesk.state)
  }

  func peerHello(_ peer: DeviceIdentifier, _ query: PeerHelloQuery) throws(Problem) -> PeerHelloDocument { try peerDesk.hello(peer, query) }
  func peerReading(_ peer: DeviceIdentifier, _ name: String) throws(Problem) -> ReadingDocument { try peerDesk.reading(peer, name) }
}
