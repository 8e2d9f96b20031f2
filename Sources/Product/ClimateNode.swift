// The product. A fork edits this folder and nothing else: it declares what its device has, and writes what it does.
//
// This one is a climate node: it reports temperature and humidity each second, has a relay that people switch over the API and by the
// button, shows with its LED where the device stands in its life, and repeats a neighbour's temperature where its owner lets it know one.
// Without the runtime the relay is off: the supervisor sees to that.

import BoardAPI
public import DeviceCore
import Foundations

/// A climate node.
public struct ClimateNode: Product {
  public let description = ProductDescription(
    manufacturer: "Haechi",
    model: "climate-node",
    readings: [.init("temperature", unit: "Cel"), .init("humidity", unit: "%"), .init("neighbour-temperature", unit: "Cel")],
    actuators: [.init("relay", safe: false)],
    inputs: ["button"],
    indicator: "status-led")

  public init() {}

  /// What a neighbour said longer ago than this says nothing of now.
  static let neighbourFresh_ms: UInt64 = 30_000

  /// Four tasks side by side; the first that fails ends them all, and with them the runtime.
  public func run(_ device: ProductContext) async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await measure(device) }
      tasks.addTask { try await listen(device) }
      tasks.addTask { await followButton(device) }
      tasks.addTask { try await showState(device) }
      try await tasks.waitForAll()
    }
  }

  /// One reading of each quantity a second. A sensor that does not answer is told once, and again when it is back: its last reading keeps
  /// its time, so everyone sees how old it is.
  private func measure(_ device: ProductContext) async throws {
    var silent: Set<Quantity> = []
    while true {
      for quantity in Quantity.allCases {
        do {
          let measurement = try await device.measure(quantity)
          device.report(quantity.rawValue, measurement.value, isSimulated: measurement.isSimulated)
          if silent.remove(quantity) != nil { device.log(.notice, "the \(quantity.rawValue) sensor answers again") }
        } catch {
          if silent.insert(quantity).inserted { device.log(.warning, "the \(quantity.rawValue) sensor does not answer: \(error)") }
        }
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  /// The temperature of another of the owner's devices, once a second: `haechi peer add` says of which.
  private func listen(_ device: ProductContext) async throws {
    while true {
      if let neighbour = device.peerReadings.first(where: { $0.name == Quantity.temperature_C.rawValue && $0.age_ms < Self.neighbourFresh_ms }) {
        device.report("neighbour-temperature", neighbour.value, isSimulated: neighbour.isSimulated)
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  /// Each press switches the relay over, network or not, once the device has an owner: before that the button is for the claim alone.
  private func followButton(_ device: ProductContext) async {
    for await event in device.inputs where event.name == "button" && event.isActive && device.lifeCycle == .owned {
      let on = !device.isOn("relay")
      do {
        try await device.set("relay", on)
        device.log(.info, "the button switched the relay \(on ? "on" : "off")")
      } catch {
        device.log(.error, "the button could not switch the relay: \(error)")
      }
    }
  }

  /// The LED: steady for an owned device, else a pattern that tells from across the room what the device waits for.
  private func showState(_ device: ProductContext) async throws {
    var shown: Bool?
    var step = 0
    while true {
      let pattern = Self.pattern(device.lifeCycle)
      let on = pattern[step % pattern.count]
      if on != shown {
        do {
          try await device.set("status-led", on)
          shown = on
        } catch {
          // The LED tells people something, nothing depends on it: try again at the next step.
          shown = nil
        }
      }
      step += 1
      try await Task.sleep(for: .milliseconds(250))
    }
  }

  /// Four steps a second, again and again.
  static func pattern(_ phase: LifeCyclePhase) -> [Bool] {
    switch phase {
    // Slow: waits for its maker.
    case .blank: [true, true, true, true, false, false, false, false]
    // A short flash each second: waits for an owner.
    case .provisioned: [true, false, false, false]
    case .owned: [true]
    // Fast: somebody has to look.
    case .damaged: [true, false]
    }
  }
}
