import Testing

@testable import OperatorKit

@Suite struct ServerSentEventTests {
  private func events(_ text: String) throws -> [ServerSentEvent] {
    var parser = ServerSentEventParser()
    return try parser.take(text.utf8)
  }

  @Test func readsWhatADeviceSends() throws {
    let stream = ": keep-alive\n\nevent: reading\ndata: {\"name\":\"t\"}\n\nevent: log\nid: 7\ndata: a\ndata: b\n\n"
    #expect(
      try events(stream) == [
        ServerSentEvent(name: "reading", data: "{\"name\":\"t\"}"), ServerSentEvent(name: "log", data: "a\nb", id: "7"),
      ])
  }

  @Test func takesEveryLineEndingAndTheStandardsCorners() throws {
    #expect(try events("data: a\r\ndata: b\r\rdata:c\n\n") == [.init(name: "message", data: "a\nb"), .init(name: "message", data: "c")])
    #expect(try events("\u{feff}data:  two spaces\n\n") == [.init(name: "message", data: " two spaces")])
    #expect(try events("data\n\n") == [.init(name: "message", data: "")], "a field without a colon has an empty value")
    #expect(try events("event: x\n\n") == [], "an event without data is none")
    #expect(try events("event: x\ndata: 1\n\ndata: 2\n\n").map(\.name) == ["x", "message"], "a name holds for one event")
    #expect(try events("data: half").isEmpty, "what the stream's end cuts off is dropped")
    #expect(try events("id: 1\u{0}\ndata: x\n\n") == [.init(name: "message", data: "x")])
    #expect(try events("retry: 10\nwhatever: x\ndata: x\n\n") == [.init(name: "message", data: "x")])
  }

  @Test func brokenUTF8BecomesReplacementCharacters() throws {
    var parser = ServerSentEventParser()
    let events = try parser.take(Array("data: ".utf8) + [0xff, 0x0a, 0x0a])
    #expect(events == [.init(name: "message", data: "\u{fffd}")])
  }

  @Test func linesAndEventsAreBounded() throws {
    let tooLong = [UInt8](repeating: UInt8(ascii: "x"), count: ServerSentEventParser.longestLine_bytes + 1)
    #expect {
      var parser = ServerSentEventParser()
      _ = try parser.take(tooLong)
    } throws: { ($0 as? OperatorError)?.code == "answer-too-large" }

    let line = Array("data: ".utf8) + [UInt8](repeating: UInt8(ascii: "y"), count: 60_000) + [0x0a]
    #expect {
      var parser = ServerSentEventParser()
      for _ in 0..<10 { _ = try parser.take(line) }
    } throws: { ($0 as? OperatorError)?.code == "answer-too-large" }
  }

  /// Any bytes, cut anywhere, give the same events as in one piece, and never more data than came in.
  @Test func piecesDoNotMatterAndNothingCrashes() throws {
    var random = SeededGenerator(seed: 0x5eed)
    let alphabet = Array("data: event: id:\r\n\n\u{feff}é{}:0 ".utf8) + [0, 0xff]
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
      var whole = ServerSentEventParser()
      let expected = try whole.take(bytes)
      var pieces = ServerSentEventParser()
      var got: [ServerSentEvent] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        let length = min(rest.count, Int.random(in: 1...7, using: &random))
        got += try pieces.take(rest.prefix(length))
        rest = rest.dropFirst(length)
      }
      #expect(got == expected)
      // Each broken byte may become U+FFFD, three bytes of UTF-8.
      #expect(expected.reduce(0) { $0 + $1.data.utf8.count } <= bytes.count * 3)
    }
  }
}

/// A repeatable source of chance (SplitMix64), so that a failure can be run again.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
