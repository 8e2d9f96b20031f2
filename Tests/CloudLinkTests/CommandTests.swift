import Foundations
import MQTT
import Testing

@testable import CloudLink

@Suite("Commands") struct CommandTests {
  private let topics: CloudTopics
  private let root: String

  init() throws {
    topics = CloudTopics(try #require(DeviceIdentifier("00112233445566778899")))
    root = topics.root
  }

  private func read(
    _ text: String, topic: String = "command/relay", reply: String? = "reply/1", data: [UInt8]? = [7], type: String? = nil, retained: Bool = false
  ) -> CommandReading {
    readCommand(
      MQTTMessage(
        topic: "\(root)/\(topic)", payload: Array(text.utf8), isRetained: retained,
        properties: MQTTProperties(contentType: type, responseTopic: reply.map { "\(root)/\($0)" }, correlationData: data)), topics: topics)
  }

  private func code(_ reading: CommandReading) -> String? {
    if case .refused(let problem, _) = reading { problem.code } else { nil }
  }

  @Test("an order is read with where its answer goes") func order() {
    let reply = CloudReply(topic: "\(root)/reply/1", correlationData: [7])
    #expect(read(#"{"on":true}"#) == .command(CloudCommand(actuator: "relay", isOn: true), reply))
    #expect(read(" {\n\"\\u006fn\" : false } ", type: "application/JSON") == .command(CloudCommand(actuator: "relay", isOn: false), reply))
    #expect(read(#"{"on":true}"#, reply: nil) == .command(CloudCommand(actuator: "relay", isOn: true), nil))
  }

  @Test(
    "what is not exactly that is refused by name",
    arguments: [
      ("", "json-invalid"), ("true", "field-type"), ("[]", "field-type"), ("{}", "field-missing"), (#"{"on":1}"#, "field-type"),
      (#"{"on":"true"}"#, "field-type"), (#"{"on":null}"#, "field-type"), (#"{"on":{}}"#, "field-type"), (#"{"on":[true]}"#, "field-type"),
      (#"{"on":true,"off":1}"#, "field-unknown"), (#"{"On":true}"#, "field-unknown"), (#"{"on":true,"on":false}"#, "field-duplicate"),
      (#"{"on":true}x"#, "json-invalid"), (#"{"on":[[[[[true]]]]]}"#, "json-too-deep"), (String(repeating: "[", count: 4_096), "json-too-deep"),
      (#"{"on":true}"# + String(repeating: " ", count: 4_096), "body-too-large"), ("\u{feff}{\"on\":true}", "json-invalid"),
    ])
  func refused(text: String, expected: String) {
    let reading = read(text)
    #expect(code(reading) == expected)
    // The sender hears of it.
    if case .refused(_, let reply) = reading { #expect(reply?.topic == "\(root)/reply/1" && reply?.correlationData == [7]) }
  }

  @Test("what is around the payload is looked at, too") func around() {
    let order = #"{"on":true}"#
    #expect(code(read(order, type: "text/plain")) == "media-type-unsupported")
    #expect(code(read(order, retained: true)) == "command-retained")
    for topic in ["command/", "command/a/b", "command/\(String(repeating: "a", count: 32))", "reading/relay", "command/re lay"] {
      #expect(code(read(order, topic: topic)) == "not-found")
    }
    // Only the device's own reply topics: anything else would let a commander publish in the device's name.
    for reply in ["reply/", "reply", "event", "status", "reply/+", "reply/#", "reply/" + String(repeating: "a", count: 300), "reply/\u{e9}"] {
      #expect(read(order, reply: reply) == .refused(.invalid("reply-topic-invalid", "A response topic lies under \(root)/reply/."), nil))
    }
    let long = read(order, data: [UInt8](repeating: 1, count: 65))
    #expect(code(long) == "correlation-too-long")
    if case .refused(_, let reply) = long { #expect(reply == CloudReply(topic: "\(root)/reply/1", correlationData: nil)) }
    #expect(code(read(order, data: [UInt8](repeating: 1, count: 64))) == nil)
    let broken = MQTTMessage(topic: "\(root)/command/relay", payload: Array("{\"on\":tr".utf8) + [0xff, 0xfe] + Array("ue}".utf8))
    #expect(code(readCommand(broken, topics: topics)) == "json-invalid")
  }

  @Test("whatever arrives is an order or a problem", arguments: 1...4) func mutated(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    let pieces = ["{", "}", "[", "\"", ",", ":", "on", "true", "false", "null", "\\u0000", "\\ud800", "é", "\u{0}", " ", "1e999", #"{"on":true}"#]
    var orders = 0
    for _ in 0..<20_000 {
      var payload = Array(#"{"on":true}"#.utf8)
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let place = Int.random(in: 0...payload.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0 where place < payload.count: payload[place] = UInt8.random(in: 0...255, using: &random)
        case 1 where place < payload.count: payload.remove(at: place)
        case 2: payload.removeLast(Int.random(in: 0...min(3, payload.count), using: &random))
        default: payload.insert(contentsOf: (pieces.randomElement(using: &random) ?? "").utf8, at: place)
        }
      }
      let message = MQTTMessage(topic: "\(root)/command/relay", payload: payload)
      guard case .command(let command, nil) = readCommand(message, topics: topics) else { continue }
      orders += 1
      // Whatever the spelling, exactly one member and one of two values stood there.
      let bare = String(decoding: payload.filter { ![0x20, 0x09, 0x0a, 0x0d].contains($0) }, as: UTF8.self)
      #expect(bare == #"{"on":\#(command.isOn)}"#)
    }
    #expect(orders > 1_000)
  }

  @Test("never more than ten in any second, and ten wherever a second was quiet", arguments: 1...8) func rate(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    var rate = CommandRate()
    var now_ms: UInt64 = 1_000
    var allowed: [UInt64] = []
    for _ in 0..<5_000 {
      now_ms += UInt64.random(in: 0...(Bool.random(using: &random) ? 5 : 400), using: &random)
      let recent = allowed.count { $0 + 1_000 > now_ms }
      let isAllowed = rate.take(now_ms: now_ms)
      #expect(isAllowed == (recent < 10))
      if isAllowed { allowed.append(now_ms) }
      if allowed.count > 64 { allowed.removeFirst(32) }
    }
  }
}
