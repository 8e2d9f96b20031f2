import Identity
import Testing

@Suite("What a peer may do") struct PeerScopeTests {
  @Test("exactly what is named, and nothing by itself")
  func grants() throws {
    #expect(PeerScope.nothing.readings.isEmpty && !PeerScope.nothing.allowsReading("temperature"))
    #expect(try PeerScope([]) == .nothing)
    let scope = try PeerScope(["readings:temperature", "readings:air_2", "readings:temperature"])
    #expect(scope.texts == ["readings:air_2", "readings:temperature"])
    #expect(scope.allowsReading("temperature") && !scope.allowsReading("Temperature") && !scope.allowsReading("temp") && !scope.allowsReading(""))
  }

  @Test(
    "anything else is refused, and named",
    arguments: [
      "", "readings", "readings:", "readings:*", "readings:a b", "Readings:a", "actuators:relay", "readings:a/b", "readings:ä", " readings:a",
      "readings:" + String(repeating: "x", count: 32),
    ])
  func refusals(text: String) throws {
    let error = try #require(throws: PeerScopeError.self) { _ = try PeerScope(["readings:a", text]) }
    #expect(error.reason.contains("readings:NAME"))
  }

  @Test("at most sixteen")
  func bound() throws {
    let names = (0..<17).map { "readings:r\($0)" }
    #expect(try PeerScope(Array(names.prefix(16))).readings.count == 16)
    #expect(throws: PeerScopeError.self) { _ = try PeerScope(names) }
  }
}
