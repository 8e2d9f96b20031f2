import Crypto
import Foundations
import MQTT
import NIOConcurrencyHelpers
import TestBroker
import Testing

@testable import CloudLink

/// Alerts and status over connections that die silently, and at brokers that do not take them.
@Suite("The link's status and events") struct DeliveryTests {
  private func watcher(_ world: CloudWorld, _ broker: TestBroker) async throws -> TestClient {
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    return watcher
  }

  private func texts(_ watcher: TestClient, _ topic: String) -> [String] {
    watcher.messages.filter { $0.topic == topic }.map { String(decoding: $0.payload, as: UTF8.self) }
  }

  private func settled(_ bench: Bench) async throws {
    try await eventually("the broker has all: \(bench.link.status)") {
      let status = bench.link.status
      return status.published > 0 && status.published == status.acknowledged
    }
  }

  @Test("a connection that was full when it died: the status and every event reach the broker on the next one") func fullClient() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    try bench.bind(proxy.port)
    bench.run()
    try await bench.connected()
    try await settled(bench)
    proxy.hold(true)
    // Readings leave room for what matters more.
    #expect((1...100).count { bench.link.publishReading(reading($0)) } == CloudLink.maximumOrdinary)
    var last: UInt64 = 0
    func outstanding() -> Int? { bench.link.state.withLockedValue { $0.client?.outstandingCount } }
    // Events that are forgotten are on the way all the same, until there is no room for the status either.
    try await eventually("the client is full") {
      last += 1
      bench.link.publishEvent(gradeEvent(.restricted, last))
      return outstanding() == CloudLink.maximumOrdinary + CloudLink.urgentReserve
    }
    last += 1
    bench.link.publishEvent(gradeEvent(.restricted, last))
    #expect(bench.link.state.withLockedValue { $0.events.last?.delivery.isDue } == true)
    proxy.cut()
    proxy.hold(false)
    try await eventually("it is connected again") { bench.link.status.connections == 2 }
    try await eventually("the newest event arrives") { texts(watcher, bench.topic("event")).contains { $0.contains(#""sequence":\#(last),"#) } }
    try await eventually("the broker knows that the device is there") {
      let status = texts(watcher, bench.topic("status"))
      return status.contains(#"{"online":false}"#) && status.last?.contains(#""online":true"#) == true
    }
    try await eventually("nothing is left") {
      bench.link.state.withLockedValue { $0.events.isEmpty && $0.presence == nil && $0.awaited.isEmpty && $0.client?.outstandingCount == 0 }
    }
    await bench.end()
    #expect(watcher.closeAndWait())
  }

  @Test("an event that is too large for the broker is tried once on each connection, and told") func tooLarge() async throws {
    let world = try CloudWorld()
    // The status and a reading are shorter than the limit, the event is longer.
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate, limits: ["max_packet_size 400"])
    let proxy = try RecordingProxy(to: broker.port)
    let bench = try Bench(world)
    try bench.bind(proxy.port)
    bench.run()
    try await bench.connected()
    try await settled(bench)
    bench.link.publishEvent(
      CloudGradeEvent(
        grade: .restricted, cause: .requested, evidence: String(repeating: "x", count: 600), event: 1, time_s: 1_800_000_000, sequence: 1))
    for connection in 1...2 as ClosedRange<UInt64> {
      try await eventually("it is told: \(bench.link.status)") {
        bench.link.status.connections == connection && bench.host.told.last == "connected events-refused"
      }
      // Whatever is tried again in between is tried before these come back.
      for number in 1...5 as ClosedRange<UInt64> {
        let acknowledged = bench.link.status.acknowledged
        #expect(bench.link.publishReading(reading(number)))
        try await eventually("the reading is acknowledged") { bench.link.status.acknowledged > acknowledged }
      }
      #expect(bench.link.status.dropped == connection && bench.link.status.state == .connected)
      #expect(bench.host.told.count { $0 == "connected events-refused" } == connection)
      #expect(bench.link.state.withLockedValue { $0.events.count { $0.delivery.isRefused } } == 1)
      if connection == 1 { proxy.cut() }
    }
    await bench.end()
  }

  @Test("an event that the broker refuses while the connection goes on waits for the next one") func refused() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    try bench.bind(proxy.port)
    bench.run()
    try await bench.connected()
    try await settled(bench)
    proxy.hold(true)
    bench.link.publishEvent(gradeEvent(.restricted, 1))
    try await eventually("it is on the way") { bench.link.state.withLockedValue { $0.events.first?.delivery.sent != nil } }
    let sent = try #require(bench.link.state.withLockedValue { $0.events.first?.delivery.sent })
    let published = bench.link.status.published
    // Said in the broker's place: mosquitto ends the connection after a refusal.
    bench.link.heard(.dropped(sent.token, MQTTReasonCode(rawValue: 0x97)), client: sent.client)
    try await eventually("it is told") { bench.host.told.last == "connected events-refused" }
    #expect(bench.link.status.failure?.reason.contains("quota exceeded") == true)
    // Another grade makes the link look again at what is due: the status is, the event is not.
    bench.link.setGrade(.restricted)
    try await eventually("the status is on the way") { bench.link.status.published > published }
    #expect(bench.link.status.published == published + 1)
    #expect(bench.link.state.withLockedValue { $0.events.count == 1 && $0.events.first?.delivery.isRefused == true })
    proxy.cut()
    proxy.hold(false)
    try await eventually("it is sent again") { bench.link.state.withLockedValue { $0.events.isEmpty } }
    try await eventually("it arrives") { !texts(watcher, bench.topic("event")).isEmpty }
    #expect(bench.link.status.connections == 2)
    await bench.end()
    #expect(watcher.closeAndWait())
  }

  @Test("readings that were on the way when the connection died are not sent once the device is quarantined") func quarantinedBetween() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let watcher = try await watcher(world, broker)
    // It does not come back by itself: a wait of an hour, which another grade ends.
    let bench = try Bench(world, delay_ms: { _ in 3_600_000 })
    try bench.bind(proxy.port)
    bench.run()
    try await bench.connected()
    try await settled(bench)
    proxy.hold(true)
    for number in 1...3 as ClosedRange<UInt64> { #expect(bench.link.publishReading(reading(number))) }
    proxy.cut()
    proxy.hold(false)
    try await eventually("the link has noticed") { bench.host.told.last == "waiting connection-lost" }
    bench.link.publishEvent(gradeEvent(.quarantined, 1))
    bench.link.setGrade(.quarantined)
    // What a client sends again by itself comes before what is published anew.
    try await eventually("the alert arrives") { texts(watcher, bench.topic("event")).count == 1 }
    #expect(texts(watcher, bench.topic("reading/temperature")).isEmpty)
    await bench.end()
    #expect(watcher.closeAndWait())
  }
}
