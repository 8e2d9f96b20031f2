public import BoardAPI
import CloudLink
import Crypto
import Foundations
import Guard
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import SupervisorLink

/// Runs the device until the supervisor says to end: the identity, the API, the product, and the link to the supervisor.
///
/// - Parameters:
///   - product: what the device is for.
///   - sensors: the board's.
///   - link: the runtime's end of the supervisor's `SOCK_SEQPACKET` pair; owned from here on.
/// - Throws: `RuntimeError` where it cannot start or go on. Whoever called ends the process then: the supervisor starts a new one.
/// - Returns: after an orderly shutdown.
public func runRuntime(configuration: RuntimeConfiguration, product: any Product, sensors: any Sensors, link: CInt) async throws {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, configuration.eventLoopCount))
  let threads = NIOThreadPool(numberOfThreads: 1)
  threads.start()
  let storageThreads = NIOThreadPool(numberOfThreads: 1)
  storageThreads.start()
  // Started where there is a key that is waited for.
  let keyThreads = NIOThreadPool(numberOfThreads: 1)
  do {
    try await Runtime(
      configuration: configuration, product: product, sensors: sensors, group: group, threads: threads, storageThreads: storageThreads,
      keyThreads: keyThreads
    ).run(link: link)
  } catch {
    try? await keyThreads.shutdownGracefully()
    try? await threads.shutdownGracefully()
    try? await storageThreads.shutdownGracefully()
    try? await group.shutdownGracefully()
    throw error
  }
  try await keyThreads.shutdownGracefully()
  try await threads.shutdownGracefully()
  try await storageThreads.shutdownGracefully()
  try await group.shutdownGracefully()
}

/// The parts of the runtime, wired. Start and end are lists: read `run`.
struct Runtime {
  /// A heartbeat after each full round; the supervisor waits several times as long before it calls the runtime hung.
  static let heartbeat_ms: Int64 = 500
  /// For the supervisor's first messages; it sends them before the runtime's first instruction.
  static let introductionDeadline_ms: UInt64 = 10_000

  let configuration: RuntimeConfiguration
  let product: any Product
  let sensors: any Sensors
  let group: MultiThreadedEventLoopGroup
  /// For what waits for others: names that are looked up.
  let threads: NIOThreadPool
  /// For what waits for the medium, which must not wait for names.
  let storageThreads: NIOThreadPool
  /// For what waits for the device's own key, where that lies outside.
  let keyThreads: NIOThreadPool

  func run(link: CInt) async throws {
    let clock = WallClock(floor_s: configuration.clockFloor_s)
    let log = DeviceLog()
    let hub = DeviceHub(description: product.description, log: log, clock: clock)
    let grades = GradeHolder()
    let inbox = Inbox(hub: hub, grades: grades)
    let supervisor = try await SupervisorClient.start(
      descriptor: link, on: group.next(), log: log, answerDeadline_ms: configuration.supervisorAnswer_ms, receive: inbox.receive,
      closed: { inbox.finish(.supervisorGone) })
    log.mirror { level, source, text in
      guard let source = ShortName(source) else { return }
      supervisor.sendLog(level, source: source, text)
    }
    for note in configuration.notes { log.append(.warning, source: "core", note) }
    hub.connect { (name, value) async throws(SupervisorError) in
      try await supervisor.request { .setOutput(request: $0, name: name, value: value) }
    }
    do {
      try await serve(supervisor, inbox, hub, grades, clock)
    } catch {
      await supervisor.close()
      throw error
    }
  }

  private func serve(
    _ supervisor: SupervisorClient, _ inbox: Inbox, _ hub: DeviceHub, _ grades: GradeHolder, _ clock: WallClock
  ) async throws {
    let log = hub.log
    try await inbox.waitForIntroduction(deadline_ms: Self.introductionDeadline_ms)
    checkLines(hub, log)

    let storageHealth = StorageHealth(path: configuration.stateFolder, log: log, events: hub.events)
    let stateFolder = StateFolder(path: configuration.stateFolder, health: storageHealth)
    let peerBook = PeerBook(folder: stateFolder.folder, log: log)
    let device = try await Device.load(
      identity: IdentityFolder(path: configuration.identityFolder), state: stateFolder, damage: hub.facts.storage.damage,
      maker: try makerAuthority(), clock: clock, log: log, grades: grades, surroundings: try surroundings(supervisor, hub.facts),
      admitsPeer: { peerBook.admits($0, isNew: $1) })
    inbox.followButton(device.gate.presence)
    let auditDesk = AuditDesk(
      device: device, folder: stateFolder.folder, auditFolder: configuration.auditFolder, supervisor: supervisor, threads: storageThreads, log: log)
    device.gate.onEvent {
      hub.events.append(.claim($0))
      auditDesk.note($0)
    }
    let statements = StatementDesk(supervisor: supervisor)
    inbox.followHand {
      Task {
        do throws(Problem) {
          try await device.wipeByHand { () async throws(Problem) in try await statements.askForWipe() }
        } catch {
          log.append(.error, source: "core", "the device was not wiped by its button: \(error.detail)")
        }
      }
    }
    let cloudHost = CloudHost(device: device, hub: hub, supervisor: supervisor, threads: threads)
    let cloudLink = CloudLink(device: device.identifier, host: cloudHost, clock: clock)
    let cloudDesk = CloudDesk(
      folder: stateFolder, ports: configuration.cloudPorts, hub: hub, clock: clock, link: cloudLink)
    cloudHost.onChange(cloudDesk.changed)
    device.onWipe(
      Device.Farewell(
        ask: { (await cloudLink.askForErasure(limit_ms: Self.erasure_ms)).map { $0 ? .confirmed : .unconfirmed } ?? .none }, takeBack: cloudLink.stay))
    let revocationDesk = RevocationDesk(device: device, folder: stateFolder.folder, supervisor: supervisor, log: log)
    let peerRules = PeerRules(device: device.identifier, ports: configuration.peerPorts, allowsLoopback: configuration.variant == "host")
    let peerDesk = PeerDesk(book: peerBook, device: device, hub: hub, statements: statements, rules: peerRules, group: group, clock: clock)
    defer { peerDesk.stop() }
    let discoveryDesk = try await startDiscovery(device, hub)
    let service = DeviceServiceAdapter(
      device: device, hub: hub, configuration: configuration, clock: clock, grades: grades, statements: statements, cloudDesk: cloudDesk,
      revocationDesk: revocationDesk, peerDesk: peerDesk, auditDesk: auditDesk, discoveryDesk: discoveryDesk, storageHealth: storageHealth,
      recoveryDesk: RecoveryDesk(hub: hub, supervisor: supervisor, statements: statements))
    let watch = Guard { decision in raise(decision, supervisor, log) }
    let listener = try APIListener(
      group: group, device: device, api: APIServer(service: service), log: log, limits: configuration.connectionLimits, grades: grades,
      watch: watch)
    inbox.followDestination(cloudDesk.declared)
    hub.onReading(cloudDesk.publish)
    followGrades(grades, hub, listener, cloudDesk, peerDesk, discoveryDesk)
    connectPeers(peerDesk, listener, inbox)
    connectSearch(peerDesk, discoveryDesk)
    inbox.followDiscovery(discoveryDesk.permitted)
    revocationDesk.onChange(listener.review)
    await pinOwner(device, statements, log)
    await revocationDesk.pin()
    device.onChange { connection in
      do {
        try listener.stateChanged(by: connection)
      } catch {
        // The old rules must not go on serving: the runtime ends, and the next one starts with the new state.
        inbox.finish(.failed("the new state cannot be served: \(error)"))
      }
      if device.owner == nil { cloudDesk.forget() }
      revocationDesk.ownerChanged()
      auditDesk.ownerChanged()
      cloudLink.credentialChanged()
      peerDesk.ownerChanged()
      discoveryDesk.ownerChanged()
    }
    device.onCredentials { isAdopted in
      do {
        try listener.credentialsChanged()
      } catch {
        inbox.finish(.failed("the new credential cannot be served: \(error)"))
      }
      guard isAdopted else { return }
      cloudLink.credentialChanged()
      peerDesk.credentialChanged()
      auditDesk.note(AuditEvent(.credentialRenewed))
    }
    let store = try await ProductStore.open(
      folder: configuration.stateFolder, kinds: product.description.kinds, threads: storageThreads, clock: clock, log: log, health: storageHealth)
    let addressClient = try await startAddressClient(device.identifier, supervisor, inbox, hub)
    let address = try await listener.start(host: configuration.host, port: configuration.port)
    log.append(.notice, source: "core", "serving \(address)")
    supervisor.send(.ready)
    auditDesk.noteServing(store: store)
    discoveryDesk.serves(port: address.port)
    configuration.onListening?(address.ipAddress ?? "", address.port ?? 0)

    let ending = try await withThrowingTaskGroup(of: Ending?.self) { tasks in
      tasks.addTask { try await beat(supervisor) }
      tasks.addTask {
        try await runProduct(
          ProductContext(
            hub: hub, sensors: sensors, phase: { device.standing.phase }, gradeNow: { grades.grade }, store: store,
            peersNow: { peerDesk.readings() }))
      }
      tasks.addTask {
        await storageHealth.watch(on: storageThreads)
        return nil
      }
      tasks.addTask {
        await store.keepHouse(log)
        return nil
      }
      tasks.addTask { await watchRenewal(device) }
      tasks.addTask {
        await setHostName(device.identifier, supervisor, log)
        return nil
      }
      tasks.addTask {
        await cloudLink.run()
        return nil
      }
      tasks.addTask { try await keepLockOut(device.gate) }
      tasks.addTask { await inbox.ending() }
      defer { tasks.cancelAll() }
      while let ending = try await tasks.next() {
        if let ending { return ending }
      }
      return .failed("nothing is left to run")
    }
    // The neighbours hear of the end while there is an address to say it from.
    await discoveryDesk.stop()
    await addressClient?.stop()
    await store.close(log)
    try await end(ending, listener, supervisor, log)
  }

  private func startAddressClient(
    _ identifier: DeviceIdentifier, _ supervisor: SupervisorClient, _ inbox: Inbox, _ hub: DeviceHub
  ) async throws -> AddressClient? {
    guard let (socket, hardwareAddress) = configuration.dhcp else { return nil }
    let client = try await AddressClient.start(
      socket: socket, hardwareAddress: hardwareAddress, hostName: identifier.hostName, on: group.next(),
      holder: LeaseHolder(supervisor: supervisor, hub: hub), log: hub.log)
    inbox.followLink { client.linkChanged(up: $0) }
    return client
  }

  /// Orderly: no new connection, answers finished, the link last.
  private func end(_ ending: Ending, _ listener: APIListener, _ supervisor: SupervisorClient, _ log: DeviceLog) async throws {
    switch ending {
    case .shutdown(let grace_ms):
      log.append(.notice, source: "core", "ending in order, within \(grace_ms) ms")
      // A fifth of the grace is left for the rest.
      await listener.shutDown(grace_ms: UInt64(grace_ms) * 4 / 5)
      await supervisor.close()
    case .supervisorGone:
      await listener.shutDown(grace_ms: 0)
      throw RuntimeError(code: "supervisor-gone", reason: "the supervisor closed its link")
    case .failed(let sentence):
      log.append(.error, source: "core", sentence)
      await listener.shutDown(grace_ms: 0)
      throw RuntimeError(code: "product-failed", reason: sentence)
    }
  }

  /// Heartbeats, each after a round through every event loop and the concurrency pool: a runtime of which a part stands still is silent.
  private func beat(_ supervisor: SupervisorClient) async throws -> Ending? {
    var count: UInt64 = 0
    while !Task.isCancelled {
      for eventLoop in group.makeIterator() { try await eventLoop.submit {}.get() }
      await Task.detached {}.value
      count += 1
      supervisor.send(.heartbeat(count))
      try await Task.sleep(for: .milliseconds(Self.heartbeat_ms))
    }
    return nil
  }

  private func runProduct(_ context: ProductContext) async throws -> Ending? {
    do {
      try await product.run(context)
    } catch {
      return Task.isCancelled ? nil : .failed("the product failed: \(error)")
    }
    return Task.isCancelled ? nil : .failed("the product ended by itself")
  }

  /// What a wipe waits for the cloud: less than the supervisor waits for a runtime whose device's button was held.
  private static let erasure_ms: UInt64 = 3_000

  /// A lock of an hour is written down six times, which a flash memory does not feel.
  private static let lockOutKept_s: Int64 = 600

  private func keepLockOut(_ gate: ClaimGate) async throws -> Ending? {
    while true {
      try await Task.sleep(for: .seconds(Self.lockOutKept_s))
      await gate.keepWait()
    }
  }

  private func setHostName(_ identifier: DeviceIdentifier, _ supervisor: SupervisorClient, _ log: DeviceLog) async {
    guard let name = ShortName(identifier.hostName) else { return }
    do throws(SupervisorError) {
      let outcome = try await supervisor.request { .setHostName(request: $0, name) }
      if outcome != .done { log.append(.warning, source: "core", "the host name \(name) was not set: \(outcome)") }
    } catch {
      log.append(.warning, source: "core", "the host name \(name) was not set: \(error)")
    }
  }

  private func checkLines(_ hub: DeviceHub, _ log: DeviceLog) {
    for name in hub.missingLines() {
      log.append(.error, source: "core", "the product declares \(name), and this board wires no such line: wire it or change the declaration")
    }
    // At the start every output has its safe value: the supervisor drove it there.
    for actuator in hub.actuators() where actuator.on != actuator.safe {
      log.append(.warning, source: "core", "\(actuator.name) starts \(actuator.on ? "on" : "off"), which the product does not declare as safe")
    }
  }

  private func makerAuthority() throws(RuntimeError) -> Certificate {
    let bytes = configuration.makerCertificate
    do {
      let certificate =
        bytes.starts(with: "-----".utf8) ? try Certificate(pem: String(decoding: bytes, as: UTF8.self)) : try Certificate(der: bytes)
      try MakerAuthorityProfile.check(certificate)
      return certificate
    } catch {
      throw RuntimeError(code: "configuration-invalid", reason: "the maker's certificate that is pinned in the firmware cannot be used", cause: error)
    }
  }
}

/// Why the runtime ends.
enum Ending: Sendable {
  case shutdown(grace_ms: UInt32)
  case supervisorGone
  case failed(String)
}
