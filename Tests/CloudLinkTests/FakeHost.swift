import Crypto
import Foundations
import NIOConcurrencyHelpers
import TestBroker

@testable import CloudLink

/// A device that does what it is told and remembers it.
final class FakeHost: CloudLinkHost {
  struct State {
    var credential: CloudCredential?
    var resolved: [String] = []
    var permitted: [[NetworkAddress]] = []
    var commands: [CloudCommand] = []
    var told: [CloudStatus] = []
    var names: [String: [NetworkAddress]] = [:]
  }
  let state: NIOLockedValueBox<State>

  init(_ credential: CloudWorld.Credential?) {
    state = NIOLockedValueBox(State(credential: credential.map { CloudCredential(chain: [$0.certificate], key: $0.key) }))
  }

  var now: State { state.withLockedValue { $0 } }
  /// States and failure codes as they were told.
  var told: [String] { now.told.map { "\($0.state.rawValue) \($0.failure?.code ?? "-")" } }

  var cloudCredential: CloudCredential? { now.credential }

  func resolve(_ name: String) async throws -> [NetworkAddress] {
    let addresses = state.withLockedValue { state in
      state.resolved.append(name)
      return state.names[name]
    }
    guard let addresses else { throw CloudLinkError("name-not-found", "\(name) is unknown") }
    return addresses
  }

  func permit(_ addresses: [NetworkAddress]) async throws { state.withLockedValue { $0.permitted.append(addresses) } }

  func carryOut(_ command: CloudCommand) async throws(CloudProblem) -> CloudActuatorState {
    state.withLockedValue { $0.commands.append(command) }
    guard command.actuator == "relay" else {
      throw CloudProblem(status: 404, code: "not-found", title: "There is no such resource", reason: "no actuator \(command.actuator)")
    }
    return CloudActuatorState(name: command.actuator, isOn: command.isOn, isSafe: !command.isOn)
  }

  func cloudChanged(_ status: CloudStatus) { state.withLockedValue { $0.told.append(status) } }
}

/// A device with its link running, and a person who watches at the broker.
final class Bench {
  let world: CloudWorld
  let device: CloudWorld.TestDevice
  let host: FakeHost
  let link: CloudLink
  private(set) var running: Task<Void, Never>?

  init(_ world: CloudWorld, delay_ms: @escaping @Sendable (Int) -> UInt64 = { _ in 20 }) throws {
    self.world = world
    device = try world.device()
    host = FakeHost(device.credential)
    link = CloudLink(device: device.identifier, host: host, clock: world.clock, delay_ms: delay_ms)
  }

  func run() {
    let link = link
    running = Task { await link.run() }
  }

  /// Ends the link and waits for it.
  func end() async {
    running?.cancel()
    await running?.value
    running = nil
  }

  deinit { running?.cancel() }

  func bind(_ port: UInt16, host: String = "127.0.0.1", authority: Certificate? = nil, addresses: [NetworkAddress] = []) throws {
    guard let destination = CloudDestination(host: host, port: port) else { throw CloudLinkError("no-destination", host) }
    link.bind(CloudBinding(destination: destination, authority: authority ?? world.brokerAuthority.certificate, addresses: addresses))
  }

  func connected() async throws {
    try await eventually("the link is connected: \(link.status)") { link.status.state == .connected }
  }

  func topic(_ rest: String) -> String { "haechi/\(device.identifier)/\(rest)" }
}

func reading(_ sequence: UInt64, _ value: Double = 21.5) -> CloudReading {
  CloudReading(name: "temperature", value: value, unit: "Cel", time_s: 1_800_000_000, isSimulated: true, sequence: sequence)
}

func gradeEvent(_ grade: Grade, _ sequence: UInt64) -> CloudGradeEvent {
  CloudGradeEvent(grade: grade, cause: .requested, evidence: "a test", event: sequence, time_s: 1_800_000_000, sequence: sequence)
}
