import BoardAPI
import Glibc
import Testing

@testable import SimulatedSensors

@Suite struct SimulatedClimateTests {
  /// 2026-01-01T00:00:00Z.
  private let midnight_s = 1_767_225_600.0

  @Test func itIsDeterministic() {
    let one = SimulatedClimate(seed: 7) { 0 }
    let same = SimulatedClimate(seed: 7) { 0 }
    let other = SimulatedClimate(seed: 8) { 0 }
    let times = (0..<100).map { midnight_s + Double($0) * 613 }
    #expect(times.map { one.value(of: .temperature_C, at_s: $0) } == times.map { same.value(of: .temperature_C, at_s: $0) })
    #expect(times.map { one.value(of: .temperature_C, at_s: $0) } != times.map { other.value(of: .temperature_C, at_s: $0) })
  }

  @Test func afternoonsAreWarmAndDry() {
    let climate = SimulatedClimate(seed: 1) { 0 }
    let night = midnight_s + 3 * 3600
    let afternoon = midnight_s + 15 * 3600
    #expect(climate.value(of: .temperature_C, at_s: afternoon) > climate.value(of: .temperature_C, at_s: night) + 4)
    #expect(climate.value(of: .humidity_percent, at_s: afternoon) < climate.value(of: .humidity_percent, at_s: night) - 14)
  }

  @Test func valuesStayPhysicalWhateverTheClockSays() {
    let climate = SimulatedClimate(seed: .max) { 0 }
    for time in [0, -1e9, 1e9, 4e9, 1e18, -1e18, Double.greatestFiniteMagnitude] {
      #expect((18...25).contains(climate.value(of: .temperature_C, at_s: time)))
      #expect((30...60).contains(climate.value(of: .humidity_percent, at_s: time)))
    }
  }

  @Test func theCosineIsOne() {
    for step in -100...300 {
      let turns = Double(step) / 100
      #expect(abs(SimulatedClimate.cosine(ofTurns: turns) - cos(turns * 2 * Double.pi)) < 2e-3)
    }
  }
}
