import BoardAPI
import Crypto
import DeviceCore
import Foundations
import SupervisorLink
import Synchronization
import TestChip
import VirtualBoard

/// A product that does little, so that what a test sees is DeviceCore's.
struct BenchProduct: Product {
  let description = ProductDescription(
    manufacturer: "Bench", model: "node", readings: [.init("temperature", unit: "Cel")], actuators: [.init("relay", safe: false)],
    inputs: ["button"], indicator: "status-led")
  var fails = false

  func run(_ device: ProductContext) async throws {
    if fails { throw ProductError(code: "unknown-output", reason: "this product always fails") }
    while true {
      let measurement = try await device.measure(.temperature_C)
      device.report("temperature", measurement.value, isSimulated: measurement.isSimulated)
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}

extension ConnectionLimits {
  /// For clients in the tests' own process: a busy machine may need longer for a handshake than a device waits for one.
  static var patient: Self {
    var limits = Self()
    limits.handshakeDeadline_ms = 120_000
    return limits
  }
}

/// A runtime in this process, with its supervisor.
final class TestRuntime: Sendable {
  /// What survives a wipe, and what a wipe destroys.
  let identity: TestFolder
  let folder: TestFolder
  let board = TestFolder()
  let supervisor: BenchSupervisor
  let task: Task<Void, any Error>
  let serving: Task<Void, Never>
  private let portBox: PortBox

  private final class PortBox: Sendable {
    private let port = Mutex<Int?>(nil)
    var value: Int? { port.withLock { $0 } }
    func set(_ new: Int) { port.withLock { $0 = new } }
  }

  init(
    maker: Maker, product: any Product = BenchProduct(), limits: ConnectionLimits = .patient, supervisorAnswer_ms: Int64 = 120_000,
    identity: TestFolder = TestFolder(), folder: TestFolder = TestFolder(), chip: TestChip? = nil
  ) async throws {
    self.identity = identity
    self.folder = folder
    let supervisor = try BenchSupervisor(folder: board.path, chip: chip)
    self.supervisor = supervisor
    let portBox = PortBox()
    self.portBox = portBox
    var configuration = RuntimeConfiguration(
      identityFolder: identity.path, stateFolder: folder.path, makerCertificate: maker.authority.der, host: "127.0.0.1", port: 0,
      hardwareModel: "virtual", firmwareVersion: "0.0.1", variant: "host", clockFloor_s: testClock.floor_s, onListening: { _, port in portBox.set(port) })
    configuration.connectionLimits = limits
    configuration.supervisorAnswer_ms = supervisorAnswer_ms
    serving = Task { await supervisor.serve() }
    try await supervisor.introduce()
    let final = configuration
    task = Task { try await runRuntime(configuration: final, product: product, sensors: VirtualBoard.makeSensors(), link: supervisor.runtimeEnd) }
  }

  /// The port, once the runtime has told it.
  func port() async throws -> Int {
    try await eventually("the runtime listens") { portBox.value != nil }
    guard let port = portBox.value else { throw RuntimeError(code: "listen-failed", reason: "the runtime never listened") }
    return port
  }

  /// Ends it in order, and looks whether all that it leaves is declared.
  func end() async throws {
    await supervisor.send(.shutdown(grace_ms: 20_000))
    try await task.value
    await serving.value
    try expectDeclared(identity, under: "Survives a wipe")
    try expectDeclared(folder, under: "Goes with a wipe")
  }
}
