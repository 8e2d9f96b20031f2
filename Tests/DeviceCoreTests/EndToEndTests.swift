import Crypto
import DeviceCore
import Foundations
import Identity
import SupervisorLink
import TLS
import Testing

/// The whole runtime in this process: virtual board, real link, real TLS over loopback.
@Suite(.serialized) struct EndToEndTests {
  let maker: Maker
  let owner: Owner
  let label: Label

  init() throws {
    maker = try Maker()
    owner = try Owner()
    label = try Label()
  }

  var station: ClientCredentials { ClientCredentials(chain: [maker.station], key: maker.stationKey) }

  func claimant() throws -> ClientCredentials {
    let key = try PrivateKey.generateP256()
    return ClientCredentials(chain: [try ClaimantProfile.make(key: key, now_s: testClock.now_s())], key: key)
  }

  func person(_ role: Role, of owner: Owner? = nil) throws -> ClientCredentials {
    let person = try (owner ?? self.owner).person("kim", role)
    return ClientCredentials(chain: [person.certificate], key: person.key)
  }

  func connect(_ runtime: TestRuntime, _ credentials: ClientCredentials, trust: ServerTrust) async throws -> TestClient {
    try await TestClient.connect(port: try await runtime.port(), credentials, trust: trust)
  }

  func provision(_ runtime: TestRuntime) async throws {
    let client = try await connect(runtime, station, trust: .selfSigned)
    let offer = try await client.ask("GET", "/v1/provisioning")
    #expect(offer.status == 200, "\(offer.body)")
    let chain = try maker.sign(try #require(member("certificateRequest", of: offer.body)), serialNumber: "HC-7")
    let done = try await client.ask(
      "PUT", "/v1/provisioning", body: "{\"serialNumber\":\"HC-7\",\"certificateChain\":\(quoted(chain)),\"label\":\(label.json)}")
    #expect(done.status == 200 && done.body.contains("\"lifeCycleState\":\"provisioned\""), "\(done.body)")
  }

  func claim(_ runtime: TestRuntime, by other: Owner? = nil) async throws {
    let owner = other ?? owner
    let client = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    let body = try await claimBody(client, owner)
    try await press(runtime, client)
    let done = try await client.ask("POST", "/v1/claim", body: body)
    #expect(done.status == 200 && done.body.contains("\"ownerId\":\"\(owner.identifier)\""), "\(done.body)")
  }

  /// The body of a claim for `owner` over this connection.
  func claimBody(_ client: TestClient, _ owner: Owner) async throws -> String {
    let offer = try await client.ask("GET", "/v1/claim")
    #expect(offer.status == 200, "\(offer.body)")
    let device = try #require(member("deviceId", of: offer.body).flatMap { DeviceIdentifier($0) })
    let chain = try owner.sign(try #require(member("certificateRequest", of: offer.body)), device: device)
    let proof = try label.proof(device, try await client.binding(), owner)
    return "{\"ownerCertificate\":\(quoted(owner.issuer.certificate.pem)),\"certificateChain\":\(quoted(chain)),\"proof\":\"\(proof)\"}"
  }

  /// Presses the button, and waits until the device says that proofs are looked at.
  func press(_ runtime: TestRuntime, _ client: TestClient) async throws {
    await runtime.supervisor.press()
    try await eventually("the window opens") { try await client.ask("GET", "/v1/claim").body.contains("\"open\":true") }
  }

  var ownerTrust: ServerTrust { .authorityAnyName([owner.issuer.certificate]) }

  @Test func fromBlankToAStream() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)

    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    let info = try await admin.ask("GET", "/v1/info")
    #expect(info.body.contains("\"lifeCycleState\":\"owned\"") && info.body.contains("\"serialNumber\":\"HC-7\""))
    let status = try await admin.ask("GET", "/v1/status")
    #expect(status.body.contains("\"name\":\"lines\"") && status.body.contains("\"kind\":\"development\"") && status.body.contains("\"linkUp\":true"))

    let set = try await admin.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}")
    #expect(set.status == 200 && set.body == "{\"name\":\"relay\",\"on\":true,\"safe\":false}")
    #expect(try await runtime.supervisor.value(of: "relay"))
    #expect(runtime.board.read("gpio/relay") == "1\n")
    #expect(try await admin.ask("GET", "/v1/actuators/relay").body.contains("\"on\":true"))

    let viewer = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    #expect(try await viewer.ask("PUT", "/v1/actuators/relay", body: "{\"on\":false}").status == 403)
    #expect(try await viewer.ask("GET", "/v1/logs").status == 403)
    #expect(try await runtime.supervisor.value(of: "relay"))

    // Streams: readings come by themselves, a press of the button comes as an event, the log tells it.
    let readings = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    try await readings.send("GET /v1/readings HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
    try await eventually("three readings") { readings.text.split(separator: "event: reading").count > 3 }
    let events = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    try await events.send("GET /v1/events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
    try await eventually("the stream's head") { events.text.contains("text/event-stream") }
    runtime.board.write("1\n", to: "gpio/button")
    try await eventually("the press of the button") { events.text.contains("\"active\":true,\"changedMicroseconds\":") }
    #expect(try await viewer.ask("GET", "/v1/inputs").body.contains("\"active\":true"))
    let logs = try await admin.ask("GET", "/v1/logs")
    #expect(logs.body.contains("set relay on") && logs.body.contains("the bench is set"))
    #expect(try await viewer.ask("GET", "/v1/events").body.contains("\"kind\":\"input\""))

    try await eventually("heartbeats") { await runtime.supervisor.heartbeats > 1 }
    #expect(await runtime.supervisor.isReady)
    #expect(await runtime.supervisor.hostName?.hasPrefix("haechi-") == true)
    #expect(await runtime.supervisor.unreadable == 0)

    // An orderly end: streams end, connections close, the link last.
    try await runtime.end()
    try await eventually("all are closed") { readings.isClosed && events.isClosed && admin.isClosed }
    #expect(readings.text.hasSuffix("0\r\n\r\n"))
  }

  @Test func eachStateLetsInItsOwnAndNobodyElse() async throws {
    let runtime = try await TestRuntime(maker: maker)
    let stranger = try Maker(name: "Another maker")
    let otherOwner = try Owner()
    func isRefused(_ credentials: ClientCredentials, trust: ServerTrust) async throws -> Bool {
      let client = try await connect(runtime, credentials, trust: trust)
      try await eventually("refused or let in") { client.error != nil || client.isClosed || client.handshake != nil }
      // In TLS 1.3 the server's verdict comes after the client's handshake: ask.
      do {
        _ = try await client.ask("GET", "/v1/info")
        return false
      } catch {
        return client.text.isEmpty && client.error?.code == "peer-alert"
      }
    }
    let nobody = ClientCredentials()
    let strangeStation = ClientCredentials(chain: [stranger.station], key: stranger.stationKey)

    #expect(try await isRefused(nobody, trust: .selfSigned))
    #expect(try await isRefused(strangeStation, trust: .selfSigned))
    #expect(try await isRefused(try claimant(), trust: .selfSigned))
    #expect(try await isRefused(try person(.admin), trust: .selfSigned))
    #expect(try await !isRefused(station, trust: .selfSigned))

    try await provision(runtime)
    let makers: ServerTrust = .authorityAnyName([maker.authority])
    #expect(try await isRefused(nobody, trust: makers))
    #expect(try await isRefused(station, trust: makers))
    #expect(try await isRefused(try person(.admin), trust: makers))
    let early = try await connect(runtime, try claimant(), trust: makers)
    #expect(try await early.ask("GET", "/v1/info").status == 200)
    #expect(try await early.ask("GET", "/v1/status").status == 403)
    #expect(try await early.ask("GET", "/v1/provisioning").status == 403)

    try await claim(runtime)
    try await eventually("the claimant that was connected is put out") { early.isClosed }
    #expect(try await isRefused(nobody, trust: ownerTrust))
    #expect(try await isRefused(station, trust: ownerTrust))
    #expect(try await isRefused(try claimant(), trust: ownerTrust))
    #expect(try await isRefused(try person(.admin, of: otherOwner), trust: ownerTrust))
    for role in Role.allCases { #expect(try await !isRefused(try person(role), trust: ownerTrust)) }
    try await runtime.end()
  }

  @Test func aResumedSessionIsJudgedAnew() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let viewer = try person(.viewer)
    let context = try TLSClientContext(chain: viewer.chain, key: viewer.key, trust: ownerTrust, clock: testClock)
    var resumed = false
    for _ in 0..<5 where !resumed {
      let client = try await TestClient.connect(port: try await runtime.port(), viewer, trust: ownerTrust, context: context)
      #expect(try await client.ask("GET", "/v1/status").status == 200)
      #expect(try await client.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}").status == 403)
      resumed = client.handshake?.resumed == true
      await client.close()
    }
    #expect(resumed)
    try await runtime.end()
  }

  @Test func theStateOutlivesTheRuntime() async throws {
    let first = try await TestRuntime(maker: maker)
    try await provision(first)
    try await claim(first)
    try await first.end()
    let second = try await TestRuntime(maker: maker, identity: first.identity, folder: first.folder)
    let admin = try await connect(second, try person(.admin), trust: ownerTrust)
    let info = try await admin.ask("GET", "/v1/info")
    #expect(info.body.contains("\"lifeCycleState\":\"owned\"") && info.body.contains("\"ownerId\":\"\(owner.identifier)\""))
    try await second.end()

    // A state that no longer fits: damaged, served to stations alone, and never blank.
    first.folder.remove("operational.key")
    let third = try await TestRuntime(maker: maker, identity: first.identity, folder: first.folder)
    let tester = try await connect(third, station, trust: .selfSigned)
    let damaged = try await tester.ask("GET", "/v1/info")
    #expect(damaged.body.contains("\"lifeCycleState\":\"damaged\"") && damaged.body.contains("the operational key is missing"))
    // It waits for its station, who can make it whole again, without an owner.
    try await provision(third)
    let early = try await connect(third, try claimant(), trust: .authorityAnyName([maker.authority]))
    #expect(try await early.ask("GET", "/v1/info").body.contains("\"lifeCycleState\":\"provisioned\""))
    #expect(first.folder.read("owner.json") == nil && first.folder.read("cloud.json") == nil)
    try await third.end()
  }

  @Test func tooManyConnectionsAreClosedAtOnce() async throws {
    var limits = ConnectionLimits.patient
    limits.maximumConnectionsFromLoopback = 2
    let runtime = try await TestRuntime(maker: maker, limits: limits)
    let one = try await connect(runtime, station, trust: .selfSigned)
    let two = try await connect(runtime, station, trust: .selfSigned)
    #expect(try await one.ask("GET", "/v1/info").status == 200)
    #expect(try await two.ask("GET", "/v1/info").status == 200)
    let three = try await connect(runtime, station, trust: .selfSigned)
    try await eventually("the third is closed") { three.isClosed }
    #expect(three.handshake == nil && three.text.isEmpty)
    await one.close()
    // A place is free again.
    try await eventually("a fourth is served") {
      let four = try await connect(runtime, station, trust: .selfSigned)
      do { return try await four.ask("GET", "/v1/info").status == 200 } catch { return false }
    }
    try await runtime.end()
  }

  @Test func silentHandshakeIsGivenUp() async throws {
    var limits = ConnectionLimits()
    // Long enough to say something first, mostly.
    limits.handshakeDeadline_ms = 1_000
    let runtime = try await TestRuntime(maker: maker, limits: limits)
    let client = try await PlainClient.connect(port: try await runtime.port())
    try await eventually("closed") { client.isClosed }
    var talker = try await PlainClient.connect(port: try await runtime.port())
    // A busy machine may come too late for the deadline: then once more.
    while (try? await talker.send("GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n")) == nil {
      talker = try await PlainClient.connect(port: try await runtime.port())
    }
    let said = talker
    try await eventually("closed") { said.isClosed }
    #expect(!String(decoding: said.bytes, as: UTF8.self).contains("HTTP"))
    try await runtime.end()
  }

  @Test func aHandAtTheButtonIsHeard() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    // Without an owner it asks for nothing.
    await runtime.supervisor.send(.wipeWanted)
    try await claim(runtime)
    #expect(await runtime.supervisor.wipesAsked == 0)
    await runtime.supervisor.send(.wipeWanted)
    let claimant = try claimant()
    try await eventually("nobody's") {
      let client = try await connect(runtime, claimant, trust: .authorityAnyName([maker.authority]))
      do { return try await client.ask("GET", "/v1/info").body.contains("\"lifeCycleState\":\"provisioned\"") } catch { return false }
    }
    #expect(await runtime.supervisor.wipesAsked == 1 && runtime.folder.contents().isEmpty)
    try await runtime.end()
  }

  @Test func aSilentSupervisorIsNoHang() async throws {
    let runtime = try await TestRuntime(maker: maker, supervisorAnswer_ms: 2_000)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    await runtime.supervisor.beSilent(true)
    let answer = try await admin.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}")
    #expect(answer.status == 503 && answer.body.contains("did not answer"), "\(answer.body)")
    #expect(try await admin.ask("GET", "/v1/actuators/relay").body.contains("\"on\":false"))
    await runtime.supervisor.beSilent(false)
    // What is no message is dropped and noted.
    await runtime.supervisor.sendRaw([1, 2, 3])
    try await eventually("noted") { try await admin.ask("GET", "/v1/logs").body.contains("a packet of the supervisor was dropped") }
    try await runtime.end()
  }

  @Test func aFloodOfRequestsDoesNotFloodTheSupervisor() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    var refused = 0
    for turn in 0..<400 {
      let status = try await admin.ask("PUT", "/v1/actuators/relay", body: "{\"on\":\(turn % 2 == 0)}").status
      #expect(status == 200 || status == 429)
      if status == 429 { refused += 1 }
    }
    #expect(await runtime.supervisor.requests + refused >= 400)
    try await runtime.end()
  }

  @Test func aProductThatFailsEndsTheRuntime() async throws {
    let runtime = try await TestRuntime(maker: maker, product: BenchProduct(fails: true))
    await #expect(throws: RuntimeError.self) { try await runtime.task.value }
    await runtime.serving.value
    #expect(await runtime.supervisor.logs.contains { $0.contains("the product failed") })
  }

  @Test func withoutItsSupervisorTheRuntimeEnds() async throws {
    let runtime = try await TestRuntime(maker: maker)
    _ = try await runtime.port()
    await runtime.supervisor.hangUp()
    await #expect(throws: RuntimeError.self) { try await runtime.task.value }
    await runtime.serving.value
  }
}
