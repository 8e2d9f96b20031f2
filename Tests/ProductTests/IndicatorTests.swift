import DeviceCore
import Testing

@testable import Product

@Suite struct IndicatorTests {
  @Test func everyPhaseShowsAnotherPattern() {
    let patterns = LifeCyclePhase.allCases.map(ClimateNode.pattern)
    #expect(Set(patterns).count == LifeCyclePhase.allCases.count)
  }

  @Test func onlyAnOwnedDeviceShowsASteadyLight() {
    for phase in LifeCyclePhase.allCases {
      #expect((Set(ClimateNode.pattern(phase)) == [true]) == (phase == .owned))
    }
  }
}
