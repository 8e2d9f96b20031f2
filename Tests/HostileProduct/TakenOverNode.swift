// A runtime that was taken over, for the black-box tests: linked in place of the product when HAECHI_PRODUCT=hostile, never in a release.
//
// It declares what the climate node declares and serves as usual. Each press of the button makes it try one thing that a product must not be
// able to do; the log says that it was really tried, and how the system call ended. What became of it the tests see from outside.

import BoardAPI
public import DeviceCore
import Foundations

/// A climate node whose runtime belongs to somebody else.
public struct TakenOverNode: Product {
  public let description = ProductDescription(
    manufacturer: "Haechi",
    model: "climate-node",
    readings: [.init("temperature", unit: "Cel"), .init("humidity", unit: "%")],
    actuators: [.init("relay", safe: false)],
    inputs: ["button"],
    indicator: "status-led")

  public init() {}

  public func run(_ device: ProductContext) async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await measure(device) }
      tasks.addTask { await followButton(device) }
      try await tasks.waitForAll()
    }
  }

  /// It goes on as if nothing were the matter.
  private func measure(_ device: ProductContext) async throws {
    while true {
      for quantity in Quantity.allCases {
        if let measurement = try? await device.measure(quantity) {
          device.report(quantity.rawValue, measurement.value, isSimulated: measurement.isSimulated)
        }
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func followButton(_ device: ProductContext) async {
    var presses = 0
    for await event in device.inputs where event.name == "button" && event.isActive && device.lifeCycle == .owned {
      presses += 1
      let number = StolenFacts.read().attempt ?? presses
      for line in await attempt(number, device) { device.log(.warning, "attack \(number): \(line)") }
      device.log(.warning, "attack \(number): done")
    }
  }

  /// One thing after the other, in this order, or the one that the test names; further presses try the first again.
  private func attempt(_ press: Int, _ device: ProductContext) async -> [String] {
    switch press {
    case 2: return await LinkAttempts().lowerGrade(StolenFacts.read())
    case 3: return LinkAttempts().pinAnotherOwner(StolenFacts.read())
    case 4: return LinkAttempts().floodAddresses()
    case 5: return await LinkAttempts().bindAnotherBroker(StolenFacts.read())
    case 6:
      do {
        try await device.set("relay", true)
        return ["relay on: done"]
      } catch {
        return ["relay on: \(error.code)"]
      }
    case 7: return LinkAttempts().inventMessage()
    case 8: return FillAttempt.run()
    default: return NetworkAttempts.undeclared()
    }
  }
}
