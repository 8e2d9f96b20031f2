import Foundations
import LocalAPI
import NIOConcurrencyHelpers

/// A device in memory that counts what was done to it, so that a test can say: nothing else happened.
final class FakeDevice: DeviceService {
  struct State {
    var relay = false
    /// Everything that changed something, in order.
    var changes: [String] = []
    var logs: [String] = []
    var receivers: [UInt64: @Sendable (StreamEvent) -> Void] = [:]
    var subscriptions: UInt64 = 0
    var feeds: [Feed] = []
  }
  let state = NIOLockedValueBox(State())

  var changes: [String] { state.withLockedValue { $0.changes } }
  var followers: Int { state.withLockedValue { $0.receivers.count } }
  func publish(_ event: StreamEvent) {
    for receiver in state.withLockedValue({ Array($0.receivers.values) }) { receiver(event) }
  }

  func info() -> InfoDocument {
    InfoDocument(
      deviceId: "00112233445566778899", serialNumber: "HC-0001", manufacturer: "Haechi", model: "climate-node", hardwareModel: "virtual",
      firmwareVersion: "0.1.0", variant: "host", lifeCycleState: .owned, identityKey: .tpm, ownerId: "99887766554433221100", damage: nil)
  }
  func status() -> StatusDocument {
    StatusDocument(
      state: .owned, uptimeMilliseconds: 12_345, startCount: 1, startCause: "boot",
      bootPhases: [.init(name: "mounts", startedMicroseconds: 1, durationMicroseconds: 2, outcome: "done", detail: "")],
      network: .init(linkUp: true, address: "10.0.2.15/24", router: "10.0.2.2", resolvers: ["10.0.2.3"], discovery: .off),
      rootOfTrust: .init(kind: "none", manufacturer: "", secureBootState: nil), storage: .init(state: "volatile", rootOfTrust: "none"),
      memory: .init(residentBytes: 1), time: "2026-01-31T12:00:00Z")
  }
  func readings() -> ReadingsDocument {
    ReadingsDocument(readings: [ReadingDocument(name: "temperature", value: 21.5, unit: "Cel", time: "2026-01-31T12:00:00Z", simulated: true)])
  }
  func actuators() -> ActuatorsDocument {
    ActuatorsDocument(actuators: [ActuatorDocument(name: "relay", on: state.withLockedValue { $0.relay }, safe: false)])
  }
  func inputs() -> InputsDocument { InputsDocument(inputs: [InputDocument(name: "button", active: false, changedMicroseconds: 7)]) }
  func events() -> EventsDocument {
    let grade = GradeEventDocument(grade: "restricted", cause: "authentication-failures", evidence: "20 refused", event: 1, uptimeMilliseconds: 4)
    return EventsDocument(events: [EventDocument(sequence: 1, uptimeMilliseconds: 4, .grade(grade))], forgotten: 0)
  }
  func guardState() -> GuardDocument {
    GuardDocument(
      grade: "restricted", cause: "authentication-failures", evidence: "20 refused", event: 1, sinceMicroseconds: 4_000,
      decaysInMilliseconds: 59_000, nonce: String(repeating: "5a", count: 32))
  }
  func cloud() -> CloudDocument {
    CloudDocument(
      state: "waiting", host: "broker.example", port: 8883, error: .init(code: "certificate-untrusted", reason: "of another CA"), published: 3,
      acknowledged: 2, dropped: 1, connections: 1)
  }
  func release(_ request: ReleaseRequest, caller: String) async throws(Problem) -> GuardDocument {
    state.withLockedValue { $0.changes.append("release of event \(request.event) by \(caller)") }
    return guardState()
  }
  func bindCloud(_ request: CloudRequest, caller: String) async throws(Problem) -> CloudDocument {
    state.withLockedValue { $0.changes.append("bind to \(request.host) by \(caller)") }
    return cloud()
  }
  func logs(after: UInt64) -> LogsDocument {
    LogsDocument(records: [LogDocument(sequence: after + 1, uptimeMilliseconds: 5, level: "info", source: "core", text: "hello")], forgotten: 0)
  }
  func setActuator(_ name: String, on: Bool, caller: String) async throws(Problem) -> ActuatorDocument {
    guard name == "relay" else { throw .unknownActuator(name, known: ["relay"]) }
    state.withLockedValue { state in
      state.relay = on
      state.changes.append("set relay \(on) by \(caller)")
    }
    return ActuatorDocument(name: name, on: on, safe: false)
  }
  func revocations() -> RevocationsDocument { RevocationsDocument(number: 2, revoked: ["5a01"]) }
  func putRevocations(_ request: RevocationsRequest, caller: String, serial: String?) async throws(Problem) -> RevocationsDocument {
    state.withLockedValue { $0.changes.append("revocations by \(caller), \(serial ?? "no serial number")") }
    return revocations()
  }
  func audit(after: UInt64) async throws(Problem) -> AuditDocument { AuditDocument(anchor: "6861", first: after + 1, segment: "6861", more: true) }
  func setAudit(_ setting: AuditSetting, caller: String) async throws(Problem) -> AuditSetting {
    state.withLockedValue { $0.changes.append("audit export \(setting.export) by \(caller)") }
    return setting
  }
  func provisioningOffer() async throws(Problem) -> ProvisioningDocument {
    ProvisioningDocument(deviceId: "00112233445566778899", certificateRequest: "pem", hardwareModel: "virtual", firmwareVersion: "0.1.0")
  }
  func provision(_ request: ProvisioningRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument {
    state.withLockedValue { $0.changes.append("provision \(request.serialNumber) by connection \(connection)") }
    return LifeCycleDocument(deviceId: "00112233445566778899", ownerId: nil, lifeCycleState: .provisioned)
  }
  func remakeStorage() async throws(Problem) -> LifeCycleDocument {
    state.withLockedValue { $0.changes.append("remake the storage") }
    return LifeCycleDocument(deviceId: "00112233445566778899", ownerId: nil, lifeCycleState: .damaged)
  }
  func claimOffer(binding: [UInt8]) async throws(Problem) -> ClaimOfferDocument {
    ClaimOfferDocument(
      deviceId: "00112233445566778899", serialNumber: "HC-0001", certificateRequest: "pem",
      label: LabelParametersDocument(salt: String(repeating: "0", count: 32), n: 1 << 15, r: 8, p: 1),
      presence: PresenceDocument(open: true, remainingMilliseconds: 1), lockout: LockOutDocument(failures: 1, waitMilliseconds: 2),
      identity: IdentityProofDocument(certificateChain: "pem", signature: hexadecimal(binding)))
  }
  func claim(_ request: ClaimRequest, binding: [UInt8], connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument {
    guard request.proof != "locked" else { throw .lockedOut("After 10 wrong proofs …", retryAfter_s: 3_600) }
    state.withLockedValue { $0.changes.append("claim over \(binding.count) bytes of connection \(connection) by \(caller)") }
    return LifeCycleDocument(deviceId: "00112233445566778899", ownerId: "99887766554433221100", lifeCycleState: .owned)
  }
  func subscribe(_ feed: Feed, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    let number = state.withLockedValue { state in
      state.subscriptions += 1
      state.receivers[state.subscriptions] = deliver
      state.feeds.append(feed)
      return state.subscriptions
    }
    return FeedSubscription { [state] in _ = state.withLockedValue { $0.receivers.removeValue(forKey: number) } }
  }
  func log(_ level: LogLevel, _ text: String) { state.withLockedValue { $0.logs.append(text) } }
}
