import Crypto
import Foundations
import Identity
import LocalAPI
import NIOCore
import NIOPosix
import SupervisorLink
import TLS
import Testing

@testable import DeviceCore

/// What the runtime does with a grade, and with the owner's statements.
extension EndToEndTests {
  private func report(_ grade: Grade, event: UInt64, decay_ms: UInt32 = 0) -> GradeReport {
    GradeReport(
      grade: grade, cause: grade == .normal ? .released : .requested, event: event, at_us: 7_000_000, decay_ms: decay_ms,
      nonce: [UInt8](repeating: UInt8(event), count: 32), evidence: "the bench says so")
  }

  private func owned() async throws -> TestRuntime {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    return runtime
  }

  @Test func theOwnerIsPinnedBeforeTheClaimCounts() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    await runtime.supervisor.answerPins(with: .notKept)
    let client = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    let identifier = member("deviceId", of: try await client.ask("GET", "/v1/info").body)
    let body = try await claimBody(client, owner)
    try await press(runtime, client)
    let refused = try await client.ask("POST", "/v1/claim", body: body)
    #expect(refused.status == 503 && refused.body.contains("could not be made durable"), "\(refused.body)")
    #expect(runtime.folder.read("operational.key") == nil)
    #expect(await runtime.supervisor.wipesAsked == 0)
    await runtime.supervisor.answerPins(with: .done)
    #expect(try await client.ask("POST", "/v1/claim", body: body).status == 200)
    let pinned = await runtime.supervisor.pinned
    #expect(pinned?.certificate == owner.issuer.certificate.der)
    #expect(pinned.map { hexadecimal($0.device) } == identifier)
    try await runtime.end()
  }

  /// Its owner's files were lost, and it was made whole: the supervisor still knows that owner, and lets only a wipe end that.
  @Test func aDeviceWhoseSupervisorKnowsAnotherOwnerIsWipedByAClaim() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    await runtime.supervisor.answerPins(with: .refused)
    await runtime.supervisor.answerWipes(with: .notPermitted)
    let client = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    try await press(runtime, client)
    let refused = try await client.ask("POST", "/v1/claim", body: try await claimBody(client, owner))
    #expect(refused.status == 403 && refused.body.contains("presence-needed"), "\(refused.body)")
    await runtime.supervisor.answerWipes(with: .done)
    let wiped = try await client.ask("POST", "/v1/claim", body: try await claimBody(client, owner))
    #expect(wiped.status == 409 && wiped.body.contains("urn:haechi:problem:wiped"), "\(wiped.body)")
    #expect(await runtime.supervisor.wipesAsked == 2)
    #expect(runtime.folder.read("owner.json") == nil && runtime.folder.read("operational.key") == nil)
    try await runtime.end()
  }

  /// The link carries 1,024 bytes of it: a cut one would be pinned, and no statement would ever count.
  @Test func anOwnerWhoseCertificateIsTooLargeIsRefused() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    let large = try Owner(padding_bytes: 900)
    let client = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    let body = try await claimBody(client, large)
    try await press(runtime, client)
    let refused = try await client.ask("POST", "/v1/claim", body: body)
    #expect(refused.status == 422 && refused.body.contains("owner-too-large"), "\(refused.body)")
    #expect(await runtime.supervisor.pinned == nil)
    try await runtime.end()
  }

  @Test func quarantineServesAdminsOnlyAndShowsOutputsSafe() async throws {
    let runtime = try await owned()
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    let viewer = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    #expect(try await admin.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}").status == 200)
    #expect(try await viewer.ask("GET", "/v1/guard").body.contains("\"grade\":\"normal\""))
    let events = try await connect(runtime, try person(.admin), trust: ownerTrust)
    try await events.send("GET /v1/events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
    try await eventually("the stream's head") { events.text.contains("text/event-stream") }

    await runtime.supervisor.send(.grade(report(.quarantined, event: 1)))
    try await eventually("the viewer's connection ends") { viewer.isClosed }
    try await eventually("the event") { events.text.contains("event: grade\ndata: {\"cause\":\"requested\"") }
    let guardState = try await admin.ask("GET", "/v1/guard")
    #expect(guardState.body.contains("\"grade\":\"quarantined\"") && guardState.body.contains(String(repeating: "01", count: 32)))
    #expect(!guardState.body.contains("decaysInMilliseconds"))
    #expect(try await admin.ask("GET", "/v1/actuators/relay").body.contains("\"on\":false"))
    #expect(try await admin.ask("GET", "/v1/events").body.contains("\"kind\":\"grade\""))
    // Nobody but an admin gets through the handshake.
    let late = try await connect(runtime, try person(.operator), trust: ownerTrust)
    await #expect(throws: (any Error).self) { _ = try await late.ask("GET", "/v1/info") }
    #expect(late.text.isEmpty && late.error?.code == "peer-alert")

    await runtime.supervisor.send(.grade(report(.normal, event: 2)))
    try await eventually("viewers are served again") {
      let again = try await connect(runtime, try person(.viewer), trust: ownerTrust)
      return (try? await again.ask("GET", "/v1/info").status) == 200
    }
    try await runtime.end()
  }

  @Test func aStatementIsPassedOnAsItCame() async throws {
    let runtime = try await owned()
    let person = try owner.person("ada", .admin)
    let admin = try await connect(runtime, ClientCredentials(chain: [person.certificate], key: person.key), trust: ownerTrust)
    let nonce = String(repeating: "5a", count: 32)
    let signed = "\"event\":3,\"nonce\":\"\(nonce)\",\"certificate\":\(quoted(person.certificate.pem)),\"signature\":\"3045\""
    #expect(try await admin.ask("POST", "/v1/guard/release", body: "{\(signed)}").status == 200)
    let release = try #require(await runtime.supervisor.statements.last)
    #expect(release.kind == .release && release.event == 3 && release.body.isEmpty && release.signature == [0x30, 0x45])
    #expect(release.certificate == person.certificate.der && release.nonce == [UInt8](repeating: 0x5a, count: 32))

    let broker = try Owner().issuer.certificate.pem
    let cloud = "\"host\":\"Broker.Example\",\"port\":8883,\"authority\":\(quoted(broker))"
    #expect(try await admin.ask("PUT", "/v1/cloud", body: "{\(cloud),\(signed)}").status == 200)
    let bound = try #require(await runtime.supervisor.statements.last)
    #expect(bound.kind == .bindCloud && bound.body == [0x22, 0xb3] + Array("broker.example".utf8))
    #expect(runtime.folder.read("cloud.json")?.contains("broker.example") == true)
    // The supervisor has not said that it lets anything through: nothing is tried.
    let waiting = try await admin.ask("GET", "/v1/cloud").body
    #expect(waiting.contains("\"state\":\"waiting\"") && waiting.contains("\"host\":\"broker.example\"") && waiting.contains("\"published\":0"))
    try await runtime.end()
  }

  @Test func refusedStatementsSayWhyAndChangeNothing() async throws {
    let runtime = try await owned()
    let person = try owner.person("ada", .admin)
    let admin = try await connect(runtime, ClientCredentials(chain: [person.certificate], key: person.key), trust: ownerTrust)
    let nonce = String(repeating: "5a", count: 32)
    func release(nonce: String, certificate: String, signature: String) async throws -> TestClient.Answer {
      try await admin.ask(
        "POST", "/v1/guard/release",
        body: "{\"event\":3,\"nonce\":\"\(nonce)\",\"certificate\":\(quoted(certificate)),\"signature\":\"\(signature)\"}")
    }
    func expect(_ answer: TestClient.Answer, _ status: Int, _ code: String) { #expect(answer.status == status && answer.body.contains(code), "\(answer.body)") }
    expect(try await release(nonce: "5a", certificate: person.certificate.pem, signature: "30"), 422, "nonce-invalid")
    expect(try await release(nonce: nonce, certificate: "pem", signature: "30"), 422, "certificate-malformed")
    expect(try await release(nonce: nonce, certificate: person.certificate.pem, signature: "xy"), 422, "signature-invalid")
    expect(try await release(nonce: nonce, certificate: person.certificate.pem, signature: String(repeating: "30", count: 81)), 422, "statement-too-large")
    #expect(await runtime.supervisor.statements.isEmpty)
    for (outcome, status, code) in [
      (RequestOutcome.stale, 409, "statement-stale"), (.notPermitted, 422, "statement-refused"), (.busy, 429, "too-many-requests"),
      (.failed, 503, "unavailable"), (.refused, 422, "statement-refused"), (.notInThisGrade, 409, "not-in-this-grade"),
    ] {
      await runtime.supervisor.answerStatements(with: outcome)
      expect(try await release(nonce: nonce, certificate: person.certificate.pem, signature: "30"), status, code)
    }
    // A binding that the supervisor refuses is not kept.
    let signed = "\"event\":3,\"nonce\":\"\(nonce)\",\"certificate\":\(quoted(person.certificate.pem)),\"signature\":\"3045\""
    func bind(_ host: String, _ port: Int, _ authority: String) async throws -> TestClient.Answer {
      try await admin.ask("PUT", "/v1/cloud", body: "{\"host\":\"\(host)\",\"port\":\(port),\"authority\":\(quoted(authority)),\(signed)}")
    }
    let authority = owner.issuer.certificate.pem
    #expect(try await bind("broker.example", 8_883, authority).status == 409)
    for host in ["", "a b", "-x.example", "x..example", "256.1.1.1", String(repeating: "x", count: 65)] {
      expect(try await bind(host, 8_883, authority), 422, "host-invalid")
    }
    expect(try await bind("broker.example", 0, authority), 422, "host-invalid")
    expect(try await bind("broker.example", 8_883, "pem"), 422, "authority-malformed")
    expect(try await bind("broker.example", 8_883, person.certificate.pem), 422, "authority-malformed")
    #expect(runtime.folder.read("cloud.json") == nil)
    try await runtime.end()
  }

  /// Many refused handshakes lead to a wish for `restricted`; with it those of the same address wait their turn, and the owner still gets in.
  @Test func refusedHandshakesAreEvidenceAndTheOwnerGetsIn() async throws {
    let runtime = try await owned()
    func knock() async throws {
      let nobody = try await connect(runtime, ClientCredentials(), trust: ownerTrust)
      try await eventually("refused") { nobody.error != nil || nobody.isClosed }
    }
    for _ in 0..<25 { try await knock() }
    // Some were made good for meanwhile where the machine is slow: so on it goes.
    try await eventually("the runtime asks for restricted") {
      if await runtime.supervisor.raised.contains(where: { $0 == (.restricted, .authenticationFailures) }) { return true }
      try await knock()
      return false
    }
    #expect(await runtime.supervisor.raised.allSatisfy { $0 == (.restricted, .authenticationFailures) })
    await runtime.supervisor.send(.grade(report(.restricted, event: 1, decay_ms: 60_000)))
    var strangers: [TestClient] = []
    for _ in 0..<12 { strangers.append(try await connect(runtime, ClientCredentials(), trust: ownerTrust)) }
    let viewer = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    let guardState = try await viewer.ask("GET", "/v1/guard")
    #expect(guardState.body.contains("\"grade\":\"restricted\"") && guardState.body.contains("\"decaysInMilliseconds\":"))
    for stranger in strangers { await stranger.close() }
    try await runtime.end()
  }
}

/// The order in which handshakes of suspects go on.
@Suite struct HandshakeTurnsTests {
  private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()

  @Test func soManyAtATimeAndTheRestInOrder() async throws {
    let turns = HandshakeTurns(most: 2)
    let futures = (1...5).map { turns.turn($0, on: eventLoop) }
    #expect(turns.counts == (2, 3))
    turns.done(1)
    try await futures[2].get()
    #expect(turns.counts == (2, 2))
    // One that goes while it waits gives up its place.
    turns.done(4)
    await #expect(throws: ChannelError.self) { try await futures[3].get() }
    turns.done(2)
    try await futures[4].get()
    for number in [3, 5] as [UInt64] { turns.done(number) }
    turns.done(99)
    #expect(turns.counts == (0, 0))
  }

  @Test func nobodyIsLostWhateverTheOrder() async throws {
    let turns = HandshakeTurns(most: 3)
    var dice = SystemRandomNumberGenerator()
    let numbers = Array(1...200 as ClosedRange<UInt64>)
    let futures = numbers.map { turns.turn($0, on: eventLoop) }
    for number in numbers.shuffled(using: &dice) { turns.done(number) }
    for future in futures { _ = try? await future.get() }
    #expect(turns.counts == (0, 0))
  }
}
