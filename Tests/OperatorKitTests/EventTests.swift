import FoundationEssentials
import Testing

@testable import OperatorKit

/// Events of inputs, grade and cloud: as a list, as a stream, as JSON, and as the live picture shows them.
@Suite struct EventTests {
  private let grade = GradeEvent(grade: "restricted", cause: "authentication-failures", evidence: "40 in 10 s", event: 3, uptimeMilliseconds: 5_000)

  private func ask<Value: Sendable>(_ text: String, _ body: (DeviceClient) async throws(OperatorError) -> Value) async throws -> Value {
    try await CannedServer.with(Array(text.utf8)) { server in
      try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: .patient) { (connection) throws(OperatorError) in
        try await body(DeviceClient(connection))
      }
    }
  }

  private func whole(_ body: String) -> String {
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  @Test func theListHoldsEveryKindAndUnknownOnes() async throws {
    let page = try await ask(
      whole(
        #"""
        {"events":[{"sequence":4,"uptimeMilliseconds":1500,"kind":"input","input":{"name":"button","active":true,"changedMicroseconds":1500000}},
        {"sequence":5,"uptimeMilliseconds":5000,"kind":"grade","grade":{"grade":"restricted","cause":"authentication-failures","evidence":"40 in 10 s","event":3,"uptimeMilliseconds":5000}},
        {"sequence":6,"uptimeMilliseconds":6000,"kind":"cloud","cloud":{"state":"waiting","code":"certificate-expired","reason":"an\u001b[2Jold one","uptimeMilliseconds":6000}},
        {"sequence":7,"uptimeMilliseconds":7000,"kind":"later","later":{}}],"forgotten":3}
        """#)
    ) { (client) throws(OperatorError) in try await client.events() }
    #expect(page.events.map(\.sequence) == [4, 5, 6, 7] && page.events[1].event == .grade(grade) && page.events[3].event == nil)
    #expect(
      Sheet.events(page) == [
        "(3 older events are no longer on the device)", "     1.500  button is active",
        "     5.000  grade is restricted (authentication-failures: 40 in 10 s)",
        "     6.000  cloud is waiting (certificate-expired: an\\u{1b}[2Jold one)", "     7.000  later",
      ])
    #expect(Sheet.events(EventPage(events: [], forgotten: 0)) == ["nothing has happened yet"])
  }

  @Test func theStreamGivesEveryKindAndPassesUnknownOnes() async throws {
    let events = [
      #"event: input\#ndata: {"name":"button","active":false}\#n\#n"#, "event: later\ndata: x\n\n",
      #"event: grade\#ndata: {"grade":"normal","cause":"decayed","evidence":"","event":4,"uptimeMilliseconds":9}\#n\#n"#,
      #"event: cloud\#ndata: {"state":"connected","uptimeMilliseconds":10}\#n\#n"#,
    ].joined()
    var seen: [DeviceEvent] = []
    try await ask(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\(String(events.utf8.count, radix: 16))\r\n\(events)\r\n"
    ) { (client) throws(OperatorError) in
      try await client.followEvents { (event) throws(OperatorError) in
        seen.append(event)
        return seen.count < 3
      }
    }
    #expect(
      seen == [
        .input(Input(name: "button", active: false)),
        .grade(GradeEvent(grade: "normal", cause: "decayed", evidence: "", event: 4, uptimeMilliseconds: 9)),
        .cloud(CloudEvent(state: "connected", uptimeMilliseconds: 10)),
      ])
  }

  @Test func programsReadTheKind() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let line = String(decoding: try encoder.encode(DeviceEvent.cloud(CloudEvent(state: "connected"))), as: UTF8.self)
    #expect(line == #"{"cloud":{"state":"connected"},"kind":"cloud"}"#)
    for event in [DeviceEvent.input(Input(name: "button", active: true)), .grade(grade)] {
      let kind = try JSONDecoder().decode([String: JSONWord].self, from: try encoder.encode(event))["kind"]?.text
      #expect(kind == (event == .grade(grade) ? "grade" : "input"))
    }
  }

  /// A JSON value of which only a text is of interest.
  private struct JSONWord: Decodable {
    let text: String?
    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
  }

  @Test func theLivePictureShowsGradeAndCloud() {
    var view = LiveView(name: "node")
    let calm = GuardState(grade: "normal", cause: "none", evidence: "", event: 0, sinceMicroseconds: 0, nonce: "")
    let cloud = CloudState(
      state: "connected", host: "fd00::1", port: 8883, published: 12, acknowledged: 11, dropped: 0, connections: 1)
    var lines = view.take(.guardState(calm), time: "12:00:00") + view.take(.cloud(cloud), time: "12:00:00")
    #expect(lines == ["12:00:00  grade normal", "12:00:00  cloud connected ([fd00::1]:8883), 12 published, 11 acknowledged"])
    lines = view.take(.guardState(calm), time: "12:00:01")
    #expect(lines.isEmpty, "what did not change is not told again")
    lines = view.take(.event(.grade(grade)), time: "12:00:02")
    #expect(lines == ["12:00:02  grade is restricted (authentication-failures: 40 in 10 s)"])
    // The event alone changes the picture; how long it lasts comes with the next answer.
    #expect(view.picture(width: 200).contains("grade restricted (authentication-failures: 40 in 10 s)"))
    let restricted = GuardState(
      grade: "restricted", cause: "authentication-failures", evidence: "40 in 10 s", event: 3, sinceMicroseconds: 5_000_000, decaysInMilliseconds: 42_000,
      nonce: "")
    _ = view.take(.guardState(restricted), time: "12:00:03")
    #expect(view.picture(width: 200).contains("grade restricted (authentication-failures: 40 in 10 s), ends in 42.0 s"))
    _ = view.take(.event(.cloud(CloudEvent(state: "waiting", code: "connection-lost", reason: "gone"))), time: "12:00:04")
    let picture = view.picture(width: 200)
    #expect(picture.contains("cloud waiting ([fd00::1]:8883), 12 published, 11 acknowledged; connection-lost: gone"))
    #expect(picture.contains("12:00:04  cloud is waiting (connection-lost: gone)"))
  }

  @Test func theSheetsSayHowItEnds() {
    var state = GuardState(
      grade: "restricted", cause: "authentication-failures", evidence: "40 in 10 s", event: 3, sinceMicroseconds: 5_000_000, decaysInMilliseconds: 42_000,
      nonce: "")
    #expect(Sheet.guardState(state).contains("ends      by itself in 42.0 s, unless there is new evidence"))
    state.decaysInMilliseconds = nil
    state.grade = "quarantined"
    #expect(Sheet.guardState(state).last?.hasSuffix("only by an admin: haechi guard release") == true)
    state.grade = "normal"
    state.evidence = ""
    #expect(Sheet.guardState(state).last == "ends   -" && !Sheet.guardState(state).contains { $0.hasPrefix("evidence") })
    let unbound = CloudState(state: "unbound", published: 0, acknowledged: 0, dropped: 0, connections: 0)
    #expect(Sheet.cloud(unbound).last?.contains("haechi cloud bind") == true)
    var failed = unbound
    (failed.state, failed.host, failed.port, failed.error) = ("waiting", "broker.example", 8883, .init(code: "certificate-untrusted", reason: "who\n?"))
    #expect(Sheet.cloud(failed).contains("broker       broker.example:8883"))
    #expect(Sheet.cloud(failed).contains("last error   certificate-untrusted: who\\u{a}?"))
  }
}
