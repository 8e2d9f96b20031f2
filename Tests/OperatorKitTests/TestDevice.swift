import BoardAPI
import DeviceCore
import FoundationEssentials
import Foundations
import Glibc
import Identity
import NIOPosix
import SupervisorLink
import Synchronization
import Testing

@testable import OperatorKit

/// A real device of DeviceCore in this process, on a port of its own, with a supervisor that only keeps lines in memory.
final class TestDevice: Sendable {
  let endpoint: Endpoint
  /// That of its last provisioning.
  private let lastLabel = Mutex<DeviceLabel?>(nil)
  private let supervisor: InMemorySupervisor
  private let running: Task<Void, any Error>

  private init(endpoint: Endpoint, supervisor: InMemorySupervisor, running: Task<Void, any Error>) {
    self.endpoint = endpoint
    self.supervisor = supervisor
    self.running = running
  }

  /// Where a device keeps what it is: for one that is started again.
  struct Folders {
    let identity: TemporaryFolder
    let state: TemporaryFolder

    init() throws {
      identity = try TemporaryFolder()
      state = try TemporaryFolder()
    }
  }

  /// Runs `body` with a device that pins the CA in `makerFolder`; a blank one without `folders`.
  ///
  /// - Parameters:
  ///   - clockFloor_s: no time before this is what the device believes.
  ///   - storage: what the supervisor says of it; nil: nothing outlives the boot.
  static func with<Value>(
    makerFolder: String, folders: Folders? = nil, clockFloor_s: Int64 = 0, storage: StorageReport? = nil, _ body: (TestDevice) async throws -> Value
  ) async throws -> Value {
    let folders = try folders ?? Folders()
    let (identity, folder) = (folders.identity, folders.state)
    var ends: [CInt] = [-1, -1]
    try #require(socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue), 0, &ends) == 0)
    let supervisor = InMemorySupervisor(descriptor: ends[0], storage: storage)
    let maker = try PrivateFiles.read(makerFolder + "/maker-ca.der")
    let (listening, announce) = AsyncStream.makeStream(of: Int.self)
    var configuration = RuntimeConfiguration(
      identityFolder: identity.path, stateFolder: folder.path, makerCertificate: maker, host: "127.0.0.1", port: 0, hardwareModel: "virtual",
      firmwareVersion: "0.0.1",
      variant: "host",
      clockFloor_s: clockFloor_s, onListening: { _, port in announce.yield(port) })
    // A busy machine may need longer for a handshake than a device waits for one.
    configuration.connectionLimits.handshakeDeadline_ms = 120_000
    configuration.supervisorAnswer_ms = 120_000
    let final = configuration
    let link = ends[1]
    let running = Task.detached {
      defer { announce.finish() }
      try await runRuntime(configuration: final, product: TestProduct(), sensors: TestSensors(), link: link)
    }
    supervisor.start()
    var port: Int?
    for await number in listening {
      port = number
      break
    }
    let device = TestDevice(
      endpoint: Endpoint(host: "127.0.0.1", port: try #require(port, "the device did not start")), supervisor: supervisor, running: running)
    do {
      let value = try await body(device)
      await device.end()
      withExtendedLifetime((identity, folder)) {}
      return value
    } catch {
      await device.end()
      Issue.record("the device's log:\n\(supervisor.lines.withLock { $0.joined(separator: "\n") })")
      throw error
    }
  }

  /// What its supervisor answers to whoever asks for a new storage.
  func answerRemakes(with outcome: RequestOutcome) { supervisor.remakeOutcome.withLock { $0 = outcome } }

  /// Provisions it as the station of `home` does.
  func provision(_ home: OperatorHome) async throws -> ProvisionedDevice {
    let done = try await Provisioning(home: home, stationFolder: home.makerFolder).run(endpoint: endpoint, serialNumber: nil)
    let label = try LabelSource.read(done.labelFile)
    lastLabel.withLock { $0 = label }
    return done
  }

  /// Its label; one of nothing where it was never provisioned.
  func label() throws -> DeviceLabel {
    if let label = lastLabel.withLock({ $0 }) { return label }
    let serialNumber = try #require(LabelSerialNumber("NOTHING"))
    return try #require(DeviceLabel(serialNumber: serialNumber, keyHash: [UInt8](repeating: 0, count: 32), code: try LabelCode.random()))
  }

  /// Claims it, with a finger on its button.
  func claim(
    _ home: OperatorHome, label: DeviceLabel? = nil, device: String? = nil, alias: String? = nil, wipes: Bool = false,
    makerCAFile: String? = nil
  ) async throws -> ClaimedDevice {
    var patience = ClaimPatience()
    patience.poll_ms = 20
    return try await Claiming(home: home, ownerFolder: nil, makerCAFile: makerCAFile, passphrases: FixedPassphrase()).run(
      device: device ?? endpoint.description, label: try label ?? self.label(), person: "ada", alias: alias, wipes: wipes, patience: patience
    ) { step in
      guard case .pressButton = step else { return }
      press(true)
      press(false)
    }
  }

  func press(_ isActive: Bool) {
    supervisor.send(.input(name: ShortName("button") ?? .unnamed, value: isActive, at_us: BootClock.now_us()))
  }

  /// The supervisor has seen something that only the owner ends.
  func quarantine() { supervisor.change(to: .quarantined, .crashLoop, evidence: "3 starts") }

  /// It has an encrypted disk from now on.
  func openStorage() { supervisor.openStorage() }
  /// As the next start of the machine does with an order about the recovery key.
  func openStorageAgain(failing: Bool = false) { supervisor.openStorageAgain(failing: failing) }
  /// The recovery key that was ordered last.
  var recoveryKey: RecoveryKey? { supervisor.recoveryKey }

  /// What the supervisor was ordered to open the network for, newest last.
  var destinations: [CloudDestination] { supervisor.destinations }

  /// Orderly, as the supervisor asks for it.
  func end() async {
    supervisor.send(.shutdown(grace_ms: 500))
    _ = await running.result
    supervisor.stop()
  }
}

/// Measures twenty times a second.
private struct TestProduct: Product {
  let description = ProductDescription(
    manufacturer: "Haechi", model: "test node", readings: [.init("temperature", unit: "Cel")], actuators: [.init("relay", safe: false)],
    inputs: ["button"])

  func run(_ device: ProductContext) async throws {
    while !Task.isCancelled {
      let measurement = try await device.measure(.temperature_C)
      device.report("temperature", measurement.value, isSimulated: measurement.isSimulated)
      try await Task.sleep(for: .milliseconds(50))
    }
  }
}

private struct TestSensors: Sensors {
  let quantities: [Quantity] = [.temperature_C]
  func measure(_ quantity: Quantity) async throws -> Measurement { Measurement(quantity: quantity, value: 21.25, isSimulated: true) }
}
