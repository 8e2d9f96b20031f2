import Testing

@testable import OperatorKit

/// What a device could answer, on purpose or broken: the client takes it, or says in one sentence what is wrong, and never more than its limits.
@Suite struct ResponseTests {
  private func answer(_ text: String, after: CannedServer.After = .close, deadlines: DeviceConnection.Deadlines = .patient) async throws
    -> DeviceResponse
  {
    try await answer(Array(text.utf8), after: after, deadlines: deadlines)
  }

  private func answer(
    _ bytes: [UInt8], piece_bytes: Int = .max, after: CannedServer.After = .close, deadlines: DeviceConnection.Deadlines = .patient
  ) async throws -> DeviceResponse {
    try await CannedServer.with(bytes, piece_bytes: piece_bytes, after: after) { server in
      try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: deadlines) { (connection) throws(OperatorError) in
        try await connection.exchange(DeviceRequest(.get, "/v1/info"))
      }
    }
  }

  private let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"

  @Test func takesAnAnswerInAnyPieces() async throws {
    for text in [
      head + "Content-Length: 4\r\n\r\n{\"\"}", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n2\r\n\"}\r\n0\r\n\r\n",
      head + "Connection: close\r\n\r\n{\"\"}",
    ] {
      for piece_bytes in [1, 7, 1000] {
        let response = try await answer(Array(text.utf8), piece_bytes: piece_bytes)
        #expect(response == DeviceResponse(status: 200, mediaType: "application/json", body: Array("{\"\"}".utf8)))
      }
    }
  }

  @Test func aCutAnswerIsNotTaken() async throws {
    for text in [
      head + "Content-Length: 40\r\n\r\n{\"\"}", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n", head, "HTTP/1.1 2", "",
    ] {
      let error = try await failure { try await answer(text) }
      #expect(["connection-lost", "bad-answer"].contains(error.code), "\(error)")
      #expect(error.reason.contains("127.0.0.1"))
    }
  }

  @Test func aGiantAnswerIsBounded() async throws {
    let announced = try await failure { try await answer(head + "Content-Length: 9000000000\r\n\r\n{", after: .wait) }
    #expect(announced.code == "answer-too-large", "what is announced as too large is not waited for")
    let large =
      Array((head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n").utf8) + [UInt8](repeating: 0x20, count: 0x200000)
      + Array("\r\n0\r\n\r\n".utf8)
    #expect(try await failure { try await answer(large) }.code == "answer-too-large")
    let fields = head + String(repeating: "X-Field: " + String(repeating: "x", count: 1000) + "\r\n", count: 2000) + "\r\n"
    #expect(try await failure { try await answer(fields) }.code == "bad-answer")
  }

  @Test func whatIsNotHTTPIsSaidSo() async throws {
    for text in [
      "SSH-2.0-OpenSSH_9.9\r\n", "\u{16}\u{3}\u{1}\u{0}", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/9.9 abc\r\n\r\n",
    ] {
      let error = try await failure { try await answer(text) }
      #expect(["bad-answer", "connection-lost"].contains(error.code), "\(error)")
    }
  }

  @Test func silenceEnds() async throws {
    var deadlines = DeviceConnection.Deadlines.patient
    deadlines.answer_s = 1
    let error = try await failure { try await answer(head, after: .wait, deadlines: deadlines) }
    #expect(error.code == "silent" && error.reason.contains("/v1/info"), "\(error)")
  }

  @Test func aServerWithoutTLSIsNoDevice() async throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path)
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await CannedServer.with(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) { server in
      let error = try await failure {
        try await Provisioning(home: home, stationFolder: home.makerFolder).run(endpoint: server.endpoint, serialNumber: nil)
      }
      #expect(error.code == "tls-failed" && error.reason.contains("does not speak TLS"), "\(error)")
    }
    try await CannedServer.with([], after: .close) { server in
      let error = try await failure {
        try await Provisioning(home: home, stationFolder: home.makerFolder).run(endpoint: server.endpoint, serialNumber: nil)
      }
      #expect(error.code == "connection-lost", "\(error)")
    }
  }

  @Test func nobodyThereIsSaidSo() async throws {
    // Bound, so that no other test's server gets the port, and nobody listens.
    let port = try SilentPort()
    let endpoint = Endpoint(host: "127.0.0.1", port: port.number)
    let error = try await failure {
      try await DeviceConnection.with(endpoint, security: .plain) { (connection) throws(OperatorError) in
        try await connection.exchange(DeviceRequest(.get, "/"))
      }
    }
    #expect(error.code == "unreachable" && error.mayPassByItself && error.exitCode == 69, "\(error)")
    withExtendedLifetime(port) {}
    let nameless = try await failure {
      try await DeviceConnection.with(Endpoint(host: "no-such-host.invalid", port: 1), security: .plain) {
        (connection) throws(OperatorError) in
        try await connection.exchange(DeviceRequest(.get, "/"))
      }
    }
    #expect(nameless.code == "unreachable" && nameless.reason.contains("no-such-host.invalid"), "\(nameless)")
  }

  private func ask<Value: Sendable>(_ text: String, _ body: (DeviceClient) async throws(OperatorError) -> Value) async throws -> Value {
    try await CannedServer.with(Array(text.utf8)) { server in
      try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: .patient) { (connection) throws(OperatorError) in
        try await body(DeviceClient(connection))
      }
    }
  }
  private func whole(_ status: String, _ type: String, _ body: String) -> String {
    "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  @Test func refusalsAreTold() async throws {
    let problem = whole(
      "403 Forbidden", "application/problem+json",
      #"{"type":"urn:haechi:problem:forbidden","title":"No","status":403,"detail":"Only an\u001b[2J admin may."}"#)
    let error = try await failure { try await ask(problem) { (client) throws(OperatorError) in try await client.logs() } }
    #expect(error.code == "refused-by-device" && error.exitCode == 77)
    #expect(error.reason.contains("(403 forbidden): Only an\\u{1b}[2J admin may; see who you are"), "\(error)")
    for (status, word) in [
      ("404 Not Found", "nothing of that name"), ("409 Conflict", "state"), ("503 Service Unavailable", "try again"),
      ("500 Oh", "no reason given"),
    ] {
      let error = try await failure {
        try await ask(whole(status, "text/html", "<html>")) { (client) throws(OperatorError) in try await client.info() }
      }
      #expect(error.reason.contains(word), "\(error)")
    }
  }

  @Test func wrongJSONIsNamedByItsField() async throws {
    for (type, body, word) in [
      ("application/json", "{\"readings\":[{\"name\":1}]}", "readings[0].name"), ("application/json", "{}", "readings"),
      ("application/json", "[", "not JSON"),
      ("text/plain", "{}", "text/plain"), ("", "", "application/json"),
    ] {
      let error = try await failure {
        try await ask(whole("200 OK", type, body)) { (client) throws(OperatorError) in try await client.readings() }
      }
      #expect(error.code == "bad-answer" && error.reason.contains(word), "\(error)")
    }
    let deep = String(repeating: "[", count: 100_000)
    #expect(
      try await failure {
        try await ask(whole("200 OK", "application/json", deep)) { (client) throws(OperatorError) in try await client.readings() }
      }.code == "bad-answer")
  }

  @Test func streamsEndInOneSentence() async throws {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }
    let reading =
      "event: reading\ndata: {\"name\":\"t\",\"value\":1,\"unit\":\"Cel\",\"time\":\"2026-01-01T00:00:00Z\",\"simulated\":true}\n\n"
    var count = 0
    let ended = try await failure {
      try await ask(head + chunk(": hello\n\nevent: other\ndata: x\n\n" + reading) + chunk(reading) + "0\r\n\r\n") {
        (client) throws(OperatorError) in
        try await client.followReadings { (reading) throws(OperatorError) in
          #expect(reading.value == 1)
          count += 1
          return true
        }
      }
    }
    #expect(count == 2 && ended.code == "connection-lost" && ended.mayPassByItself, "\(ended)")
    try await ask(head + chunk(reading) + chunk(reading)) { (client) throws(OperatorError) in
      try await client.followReadings { (_) throws(OperatorError) in false }
    }
    let broken = try await failure {
      try await ask(head + chunk("event: reading\ndata: {}\n\n") + "0\r\n\r\n") { (client) throws(OperatorError) in
        try await client.followReadings { (_) throws(OperatorError) in true }
      }
    }
    #expect(broken.code == "bad-answer" && broken.reason.contains("'name' is missing"), "\(broken)")
    let giant = try await failure {
      try await ask(head + chunk("data: " + String(repeating: "x", count: 100_000))) { (client) throws(OperatorError) in
        try await client.followReadings { (_) throws(OperatorError) in true }
      }
    }
    #expect(giant.code == "answer-too-large", "\(giant)")
    let refused = try await failure {
      try await ask(whole("406 Not Acceptable", "application/problem+json", "{}")) { (client) throws(OperatorError) in
        try await client.followReadings { (_) throws(OperatorError) in true }
      }
    }
    #expect(refused.code == "refused-by-device", "\(refused)")
  }

  @Test(arguments: ["", "a/b", "../info", "relay on", "a%2f", "é", String(repeating: "a", count: 65), "a?x=1"])
  func aNameCannotBecomeAnotherPath(_ name: String) {
    #expect { try DeviceClient.segment(name) } throws: { ($0 as? OperatorError)?.code == "bad-argument" }
  }

  /// Good answers with bytes changed, cut and doubled: each gives an answer or one of the client's own errors, and the process lives.
  @Test func mutatedAnswersNeverCrash() async throws {
    var random = SeededGenerator(seed: 0xae_c1)
    let seeds = [
      head + "Content-Length: 15\r\n\r\n{\"readings\":[]}", head + "Transfer-Encoding: chunked\r\n\r\nf\r\n{\"readings\":[]}\r\n0\r\n\r\n",
      "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: 14\r\n\r\n{\"title\":\"no\"}",
    ].map { Array($0.utf8) }
    var deadlines = DeviceConnection.Deadlines()
    // The server closes once it has said all: only a busy machine makes it seem silent.
    deadlines.answer_s = 300
    for round in 0..<300 {
      var bytes = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(place...)
        case 2: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
        default: bytes.remove(at: place)
        }
      }
      let limits = deadlines
      do {
        _ = try await CannedServer.with(bytes) { server in
          try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: limits) { (connection) throws(OperatorError) in
            try await DeviceClient(connection).readings()
          }
        }
      } catch let error as OperatorError {
        #expect(
          ["connection-lost", "bad-answer", "answer-too-large", "refused-by-device"].contains(error.code), "round \(round): \(error)")
      }
    }
  }
}
