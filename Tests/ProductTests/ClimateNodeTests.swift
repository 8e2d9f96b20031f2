import BoardAPI
import Foundations
import LocalAPI
import SupervisorLink
import Synchronization
import Testing
import VirtualBoard

@testable import DeviceCore
@testable import Product

/// A sensor that can be made to fail.
private final class BenchSensors: Sensors {
  private let failing = Mutex(false)
  let quantities = Quantity.allCases
  func fail(_ fails: Bool) { failing.withLock { $0 = fails } }
  func measure(_ quantity: Quantity) async throws -> Measurement {
    if failing.withLock({ $0 }) { throw BoardError(code: "sensor-silent", reason: "the bench pulled the plug") }
    return Measurement(quantity: quantity, value: quantity == .temperature_C ? 21.5 : 40, isSimulated: true)
  }
}

/// The climate node on a bench: hub and sensors are real, the supervisor is a closure that says yes.
@Suite struct ClimateNodeTests {
  private let sensors = BenchSensors()
  private let hub = DeviceHub(description: ClimateNode().description, log: DeviceLog(), clock: WallClock(floor_s: 0))

  private func start() -> Task<Void, any Error> {
    for (name, isOutput) in [("relay", true), ("status-led", true), ("button", false)] { hub.announceLine(name, isOutput: isOutput, value: false) }
    hub.connect { (_, _) async throws(SupervisorError) in .done }
    let context = ProductContext(hub: hub, sensors: sensors, phase: { .owned }, gradeNow: { .normal })
    return Task { try await ClimateNode().run(context) }
  }

  private func eventually(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<24_000 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("never came true: \(what)")
  }

  @Test func itsDeclarationFitsTheBoards() {
    hub.announceLine("relay", isOutput: true, value: false)
    let lines = VirtualBoard.climateNodeLines
    for line in lines {
      var isOutput = false
      if case .output = line.role { isOutput = true }
      hub.announceLine(line.name, isOutput: isOutput, value: false)
    }
    #expect(hub.missingLines().isEmpty)
    for actuator in hub.description.actuators { #expect(lines.contains(LineDescription(name: actuator.name, role: .output(safe: actuator.safe)))) }
  }

  @Test func itMeasuresAndSaysWhenASensorFalls() async throws {
    let task = start()
    try await eventually("both readings") { hub.readings().count == 2 }
    #expect(hub.readings().map(\.name) == ["temperature", "humidity"] && hub.readings().map(\.unit) == ["Cel", "%"])
    sensors.fail(true)
    try await eventually("the fall is told") { hub.log.document(after: 0).records.filter { $0.text.contains("does not answer") }.count == 2 }
    sensors.fail(false)
    try await eventually("the return is told") { hub.log.document(after: 0).records.contains { $0.text.contains("answers again") } }
    task.cancel()
    _ = await task.result
  }

  @Test func itRepeatsANeighboursTemperatureWhileItIsFresh() async throws {
    @Sendable func heard(_ name: String, _ value: Double, age_ms: UInt64) -> PeerReading {
      PeerReading(device: "aabbccddeeff00112233", name: name, value: value, unit: "Cel", isSimulated: true, age_ms: age_ms)
    }
    let old = heard("temperature", 1, age_ms: ClimateNode.neighbourFresh_ms)
    let context = ProductContext(
      hub: hub, sensors: sensors, phase: { .owned }, gradeNow: { .normal },
      peersNow: { [heard("humidity", 3, age_ms: 0), old, heard("temperature", 17.5, age_ms: 10)] })
    hub.connect { (_, _) async throws(SupervisorError) in .done }
    let task = Task { try await ClimateNode().run(context) }
    try await eventually("the neighbour's temperature") { hub.readings().contains { $0.name == "neighbour-temperature" } }
    #expect(hub.readings().last { $0.name == "neighbour-temperature" }?.value == 17.5)
    task.cancel()
    _ = await task.result
  }

  @Test func theButtonSwitchesTheRelay() async throws {
    let task = start()
    try await eventually("the LED shows an owned device") { hub.value(of: "status-led") }
    try await eventually("it follows the button") { hub.productFollowers == 1 }
    hub.inputChanged("button", value: true, at_us: 1)
    try await eventually("the relay is on") { hub.value(of: "relay") }
    hub.inputChanged("button", value: false, at_us: 2)
    hub.inputChanged("button", value: true, at_us: 3)
    try await eventually("the relay is off, and the log says so") {
      !hub.value(of: "relay") && hub.log.document(after: 0).records.contains { $0.text.contains("relay off") }
    }
    // Two presses and one release: the release switched nothing.
    #expect(hub.log.document(after: 0).records.filter { $0.text.contains("the button switched") }.count == 2)
    task.cancel()
    _ = await task.result
  }

  @Test func eachPhaseHasItsOwnPattern() {
    let patterns = LifeCyclePhase.allCases.map(ClimateNode.pattern)
    #expect(Set(patterns).count == LifeCyclePhase.allCases.count)
    for pattern in patterns { #expect(pattern.contains(true)) }
  }
}
