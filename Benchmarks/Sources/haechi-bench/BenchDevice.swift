import DeviceCore
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers

/// A device in memory: its documents have the size of a real device's, and a burst of readings goes to whoever follows them.
final class BenchDevice: DeviceService {
  private let log: DeviceLog?
  private let burst: Int
  private let receivers = NIOLockedValueBox<(last: UInt64, all: [UInt64: @Sendable (StreamEvent) -> Void])>((0, [:]))

  init(log: DeviceLog?, burst: Int) {
    self.log = log
    self.burst = burst
  }

  static let info = InfoDocument(
    deviceId: "00112233445566778899", serialNumber: "HC-0001", manufacturer: "Haechi", model: "climate-node", hardwareModel: "virtual",
    firmwareVersion: "0.1.0", variant: "host", lifeCycleState: .owned, identityKey: .tpm,
    ownerId: "99887766554433221100", damage: nil)

  static func reading(_ index: Int) -> ReadingDocument {
    ReadingDocument(name: "temperature", value: 20 + Double(index % 100) / 10, unit: "Cel", time: "2026-01-31T12:00:00Z", simulated: true)
  }

  func info() -> InfoDocument { Self.info }
  func readings() -> ReadingsDocument { ReadingsDocument(readings: [Self.reading(0)]) }
  func actuators() -> ActuatorsDocument { ActuatorsDocument(actuators: [ActuatorDocument(name: "burst", on: false, safe: false)]) }

  /// The one output: a burst of readings for every stream, each encoded once, as the device's hub does it.
  func setActuator(_ name: String, on: Bool, caller: String) async throws(Problem) -> ActuatorDocument {
    guard name == "burst" else { throw .unknownActuator(name, known: ["burst"]) }
    for index in 0..<burst {
      guard let event = try? StreamEvent(name: "reading", identifier: nil, document: Self.reading(index)) else {
        throw .unavailable("The event could not be encoded.")
      }
      for receiver in receivers.withLockedValue({ Array($0.all.values) }) { receiver(event) }
    }
    return ActuatorDocument(name: name, on: on, safe: false)
  }

  func subscribe(_ feed: Feed, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    let number = receivers.withLockedValue { state in
      state.last += 1
      state.all[state.last] = deliver
      return state.last
    }
    return FeedSubscription { [receivers] in receivers.withLockedValue { $0.all[number] = nil } }
  }

  func log(_ level: LogLevel, _ text: String) { log?.append(level, source: "api", text) }
}

// What no measurement asks for.
extension BenchDevice {
  func status() -> StatusDocument {
    StatusDocument(
      state: .owned, uptimeMilliseconds: BootClock.now_ms(), startCount: 1, startCause: "boot", bootPhases: [],
      network: .init(linkUp: true, address: nil, router: nil, resolvers: [], discovery: .off),
      rootOfTrust: .init(kind: "none", manufacturer: "", secureBootState: nil),
      storage: .init(state: "volatile", rootOfTrust: "none"), memory: .init(residentBytes: 0), time: "2026-01-31T12:00:00Z")
  }
  func inputs() -> InputsDocument { InputsDocument(inputs: []) }
  func events() -> EventsDocument { EventsDocument(events: [], forgotten: 0) }
  func logs(after: UInt64) -> LogsDocument { LogsDocument(records: [], forgotten: 0) }
  func guardState() -> GuardDocument {
    GuardDocument(grade: "normal", cause: "none", evidence: "", event: 0, sinceMicroseconds: 0, decaysInMilliseconds: nil, nonce: "")
  }
  func cloud() -> CloudDocument {
    CloudDocument(state: "unbound", host: nil, port: nil, error: nil, published: 0, acknowledged: 0, dropped: 0, connections: 0)
  }

  private static let notHere = Problem.unavailable("A benchmark's device does not do this.")
  func release(_ request: ReleaseRequest, caller: String) async throws(Problem) -> GuardDocument { throw Self.notHere }
  func bindCloud(_ request: CloudRequest, caller: String) async throws(Problem) -> CloudDocument { throw Self.notHere }
  func audit(after: UInt64) async throws(Problem) -> AuditDocument { throw Self.notHere }
  func setAudit(_ setting: AuditSetting, caller: String) async throws(Problem) -> AuditSetting { throw Self.notHere }
  func provisioningOffer() async throws(Problem) -> ProvisioningDocument { throw Self.notHere }
  func provision(_ request: ProvisioningRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument { throw Self.notHere }
  func remakeStorage() async throws(Problem) -> LifeCycleDocument { throw Self.notHere }
  func claimOffer(binding: [UInt8]) async throws(Problem) -> ClaimOfferDocument { throw Self.notHere }
  func claim(_ request: ClaimRequest, binding: [UInt8], connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument {
    throw Self.notHere
  }
  func receipt() throws(Problem) -> WipeReceiptDocument { throw Self.notHere }
  func credential() throws(Problem) -> CredentialDocument { throw Self.notHere }
  func renewalOffer(binding: [UInt8]) async throws(Problem) -> RenewalOfferDocument { throw Self.notHere }
  func installRenewal(_ request: RenewalRequest, caller: String) async throws(Problem) -> CredentialDocument { throw Self.notHere }
  func transfer(_ request: StatementRequest, connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument { throw Self.notHere }
  func recoveryKey() -> RecoveryKeyDocument { RecoveryKeyDocument(state: .none, fingerprint: nil, orderedAt: nil, pending: nil) }
  func recoveryOffer() async throws(Problem) -> RecoveryOfferDocument { throw Self.notHere }
  func putRecoveryKey(_ request: RecoveryKeyRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument { throw Self.notHere }
  func removeRecoveryKey(_ request: StatementRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument { throw Self.notHere }
  func peers() -> PeersDocument { PeersDocument(peers: []) }
  func putPeer(_ peer: DeviceIdentifier, _ request: PeerRequest, caller: String) async throws(Problem) -> PeersDocument { throw Self.notHere }
  func removePeer(_ peer: DeviceIdentifier, _ request: StatementRequest, caller: String) async throws(Problem) -> PeersDocument { throw Self.notHere }
  func peerHello(_ peer: DeviceIdentifier, _ query: PeerHelloQuery) throws(Problem) -> PeerHelloDocument { throw Self.notHere }
  func setDiscovery(_ request: DiscoveryRequest, caller: String) async throws(Problem) -> DiscoveryDocument { throw Self.notHere }
  func peerReading(_ peer: DeviceIdentifier, _ name: String) throws(Problem) -> ReadingDocument { throw Self.notHere }
  func revocations() -> RevocationsDocument { RevocationsDocument(number: 0, revoked: []) }
  func putRevocations(_ request: RevocationsRequest, caller: String, serial: String?) async throws(Problem) -> RevocationsDocument {
    throw Self.notHere
  }
}
