import CloudLink
import Crypto
import Foundations
import Glibc
import Identity
import LocalAPI
import SupervisorLink

/// The device as the local API sees it.
struct DeviceServiceAdapter: DeviceService {
  let device: Device
  let hub: DeviceHub
  let configuration: RuntimeConfiguration
  let clock: WallClock
  let grades: GradeHolder
  let statements: StatementDesk
  let cloudDesk: CloudDesk
  let revocationDesk: RevocationDesk
  let peerDesk: PeerDesk
  let auditDesk: AuditDesk
  let discoveryDesk: DiscoveryDesk
  let storageHealth: StorageHealth
  let recoveryDesk: RecoveryDesk

  func info() -> InfoDocument {
    let standing = device.standing
    return InfoDocument(
      deviceId: device.identifier.text, serialNumber: standing.serialNumber, manufacturer: hub.description.manufacturer,
      model: hub.description.model, hardwareModel: configuration.hardwareModel, firmwareVersion: configuration.firmwareVersion,
      variant: configuration.variant, lifeCycleState: LifeCycleState(standing.phase),
      identityKey: device.deviceKey.isOutside ? .tpm : .file, ownerId: standing.owner?.text, damage: standing.damage)
  }

  func status() -> StatusDocument {
    let facts = hub.facts
    return StatusDocument(
      state: LifeCycleState(device.standing.phase), uptimeMilliseconds: BootClock.now_ms(), startCount: facts.startCount,
      startCause: facts.startCause.word, bootPhases: facts.phases.map(StatusDocument.Phase.init),
      network: StatusDocument.Network(facts, discovery: discoveryDesk.state),
      rootOfTrust: StatusDocument.RootOfTrust(facts.rootOfTrust), storage: StatusDocument.Storage(facts.storage, storageHealth.current),
      memory: .init(residentBytes: residentMemory_bytes()),
      time: rfc3339(clock.now_s()))
  }

  func readings() -> ReadingsDocument { ReadingsDocument(readings: hub.readings()) }
  func actuators() -> ActuatorsDocument { ActuatorsDocument(actuators: hub.actuators()) }
  func inputs() -> InputsDocument { InputsDocument(inputs: hub.inputs()) }
  func events() -> EventsDocument { hub.events.document() }
  func guardState() -> GuardDocument { grades.document() }
  func cloud() -> CloudDocument { cloudDesk.document() }
  func logs(after: UInt64) -> LogsDocument { hub.log.document(after: after) }

  func setActuator(_ name: String, on: Bool, caller: String) async throws(Problem) -> ActuatorDocument {
    guard let declared = hub.description.actuators.first(where: { $0.name == name }) else {
      throw .unknownActuator(name, known: hub.description.actuators.map(\.name))
    }
    do {
      try await hub.set(name, on)
    } catch  where error.code == "too-many-requests" {
      throw .tooManyRequests("\(error.reason).")
    } catch  where error.code == "not-in-this-grade" {
      throw .conflict("not-in-this-grade", "\(error.reason).")
    } catch {
      hub.log.append(.error, source: "api", "\(caller) could not set \(name): \(error)")
      throw .unavailable("\(name) could not be set: \(error.reason).")
    }
    hub.log.append(.info, source: "api", "\(caller) set \(name) \(on ? "on" : "off")")
    return ActuatorDocument(name: name, on: on, safe: declared.safe)
  }

  func release(_ request: ReleaseRequest, caller: String) async throws(Problem) -> GuardDocument {
    let before = grades.report
    try await statements.send(.release, request, body: [])
    hub.log.append(.notice, source: "guard", "\(caller) released the device from \(before.grade.word)")
    return grades.document()
  }

  func bindCloud(_ request: CloudRequest, caller: String) async throws(Problem) -> CloudDocument {
    let binding = try cloudDesk.check(request)
    let owner = device.owner
    try await statements.send(.bindCloud, request, body: binding.destination.encoded)
    // A wipe may have come in between: nothing of this owner's is written after it.
    try device.beginOwned(by: owner)
    defer { device.end() }
    try cloudDesk.bind(binding)
    hub.log.append(.notice, source: "cloud", "\(caller) bound the device to \(binding.destination)")
    return cloudDesk.document()
  }

  func revocations() -> RevocationsDocument { revocationDesk.document() }

  func putRevocations(_ request: RevocationsRequest, caller: String, serial: String?) async throws(Problem) -> RevocationsDocument {
    try await revocationDesk.put(request, caller: caller, serial: serial)
  }

  func audit(after: UInt64) async throws(Problem) -> AuditDocument { try await auditDesk.page(after: after) }
  func setAudit(_ setting: AuditSetting, caller: String) async throws(Problem) -> AuditSetting { try auditDesk.set(setting, caller: caller) }

  func provisioningOffer() async throws(Problem) -> ProvisioningDocument {
    let device = device
    let request = try await device.keyThread.run { () throws(Problem) in try device.provisioningRequest() }
    return ProvisioningDocument(
      deviceId: device.identifier.text, certificateRequest: request, hardwareModel: configuration.hardwareModel,
      firmwareVersion: configuration.firmwareVersion)
  }

  func provision(_ request: ProvisioningRequest, connection: UInt64) async throws(Problem) -> LifeCycleDocument {
    try await device.provision(
      serialNumber: request.serialNumber, chainPEM: request.certificateChain, label: request.label, connection: connection)
    auditDesk.note(AuditEvent(.provisioned))
    return lifeCycle()
  }

  func remakeStorage() async throws(Problem) -> LifeCycleDocument {
    try await device.remakeStorage { () async throws(Problem) in try await statements.askForRemake() }
    return lifeCycle()
  }

  func claimOffer(binding: [UInt8]) async throws(Problem) -> ClaimOfferDocument {
    let device = device
    // Without an owner it proves nothing by the device's own key, and keeps no claimant waiting.
    guard device.standing.phase == .owned else { return try device.claimOffer(binding: binding) }
    return try await device.keyThread.run { () throws(Problem) in try device.claimOffer(binding: binding) }
  }

  func claim(_ request: ClaimRequest, binding: [UInt8], connection: UInt64, caller: String) async throws(Problem) -> LifeCycleDocument {
    let order = ClaimOrder(
      owner: request.ownerCertificate, chain: request.certificateChain, proof: request.proof, binding: binding, caller: caller, connection: connection)
    let permissions = ClaimPermissions(
      pin: { (owner) async throws(Problem) in try await statements.pin(owner, of: device.identifier) },
      wipe: { () async throws(Problem) in try await statements.askForWipe() })
    try await device.claim(order, permissions)
    return lifeCycle()
  }

  func receipt() throws(Problem) -> WipeReceiptDocument { try device.receipt() }

  func lifeCycle() -> LifeCycleDocument {
    let standing = device.standing
    return LifeCycleDocument(
      deviceId: device.identifier.text, ownerId: standing.owner?.text, lifeCycleState: LifeCycleState(standing.phase))
  }

  func subscribe(_ feed: Feed, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    switch feed {
    case .readings: hub.subscribeReadings(deliver)
    case .events: hub.events.subscribe(deliver)
    case .logs(let after): hub.log.subscribe(after: after, deliver: deliver)
    }
  }

  func log(_ level: LogLevel, _ text: String) { hub.log.append(level, source: "api", text) }
}

extension LifeCycleState {
  init(_ phase: LifeCyclePhase) {
    switch phase {
    case .blank: self = .blank
    case .provisioned: self = .provisioned
    case .owned: self = .owned
    case .damaged: self = .damaged
    }
  }
}

extension StartCause {
  /// The word of the API.
  var word: String {
    switch self {
    case .boot: "boot"
    case .ended: "ended"
    case .hung: "hung"
    case .violation: "violation"
    }
  }
}

extension StatusDocument.Phase {
  init(_ report: PhaseReport) {
    let outcome =
      switch report.outcome {
      case .done: "done"
      case .skipped: "skipped"
      case .failed: "failed"
      }
    self.init(
      name: report.name.text, startedMicroseconds: report.started_us, durationMicroseconds: report.duration_us, outcome: outcome,
      detail: report.detail)
  }
}

extension StatusDocument.Network {
  init(_ facts: DeviceHub.Facts, discovery: DiscoveryState) {
    self.init(
      linkUp: facts.linkUp, address: facts.lease.map { "\(dotted($0.prefix.address))/\($0.prefix.prefixLength)" },
      router: facts.lease.flatMap { $0.router == 0 ? nil : dotted($0.router) },
      resolvers: facts.lease?.resolvers.filter { $0 != 0 }.map(dotted) ?? [], discovery: discovery)
  }
}

extension StatusDocument.RootOfTrust {
  init(_ report: RootOfTrustReport) {
    self.init(
      kind: report.kind.word, manufacturer: report.manufacturer, secureBootState: report.secureBootState.isEmpty ? nil : hexadecimal(report.secureBootState))
  }
}

extension RootOfTrustReport.Kind {
  /// The word of the API.
  var word: String {
    switch self {
    case .none: "none"
    case .tpm2: "tpm2"
    case .development: "development"
    }
  }
}

/// An IPv4 address in dotted decimal form.
private func dotted(_ address: UInt32) -> String {
  "\(address >> 24 & 255).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
}

/// What this process holds in memory now (statm(5), second field), or the most that it ever held where the sandbox hides /proc.
private func residentMemory_bytes() -> UInt64 {
  if let bytes = try? AtomicFile.readSmall("/proc/self/statm", maximum_bytes: 256),
    let pages = String(decoding: bytes, as: UTF8.self).split(separator: " ").dropFirst().first.flatMap({ UInt64($0) })
  {
    return pages * UInt64(max(0, sysconf(CInt(_SC_PAGESIZE))))
  }
  var usage = rusage()
  // 0 is RUSAGE_SELF, which always answers; ru_maxrss counts KiB (getrusage(2)).
  getrusage(0, &usage)
  return UInt64(max(0, usage.ru_maxrss)) * 1_024
}
