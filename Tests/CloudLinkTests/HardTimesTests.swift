import Crypto
import Foundations
import MQTT
import NIOConcurrencyHelpers
import TLS
import TestBroker
import Testing

@testable import CloudLink

/// Brokers that are wrong, gone, or many; and grades.
@Suite("The link, in hard times") struct HardTimesTests {
  @Test("a broker that is not the declared one: tried again with growing waits, told once, not one byte of ours") func wrongBroker() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(names: [.dns("other.test")]), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let waits = NIOLockedValueBox<[Int]>([])
    let bench = try Bench(
      world,
      delay_ms: { failures in
        waits.withLockedValue { $0.append(failures) }
        return 10
      })
    try bench.bind(proxy.port)
    bench.run()
    try await eventually("it has tried five times") { waits.withLockedValue { $0.count } >= 5 }
    #expect(bench.host.told == ["waiting certificate-profile"])
    #expect(bench.host.now.told.first?.failure?.reason.contains("127.0.0.1") == true)
    // Another reason is told: now nobody listens.
    try bench.bind(try freePort())
    try await eventually("the other reason is told") { bench.host.told.last == "waiting system-call-failed" }
    #expect(bench.host.told.count == 2)
    // Of another broker the same reason is told, too.
    try bench.bind(try freePort())
    try await eventually("the same reason of another broker is told") { bench.host.told.count == 3 }
    #expect(bench.host.told.last == "waiting system-call-failed")
    await bench.end()
    #expect(waits.withLockedValue { Array($0.prefix(5)) } == [1, 2, 3, 4, 5])
    #expect(bench.link.status.connections == 0 && bench.link.status.published == 0)
    for sent in proxy.sent { #expect(tlsRecordTypes(sent).allSatisfy { [20, 21, 22].contains($0.type) }) }
  }

  @Test("every address of a name is tried, and each is permitted before") func addresses() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let bench = try Bench(world)
    let found = (0..<3).map { NetworkAddress(ipv4: 0x7f00_0003 - UInt32($0)) }
    bench.host.state.withLockedValue { $0.names["broker.test"] = found }
    try bench.bind(broker.port, host: "Broker.Test")
    bench.run()
    // Only the last one, 127.0.0.1, has a listener.
    try await bench.connected()
    #expect(bench.host.now.permitted == [found] && bench.host.now.resolved == ["broker.test"])
    #expect(bench.host.told == ["connected -"])
    await bench.end()
  }

  @Test("quarantine: nobody is asked for names, no reading leaves, no command enters, the alert arrives; locked is silence") func grades() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    func texts(_ topic: String) -> [String] { watcher.messages.filter { $0.topic == topic }.map { String(decoding: $0.payload, as: UTF8.self) } }
    let bench = try Bench(world)
    bench.link.setGrade(.quarantined)
    bench.link.publishEvent(gradeEvent(.quarantined, 1))
    try bench.bind(broker.port, host: "broker.test")
    bench.run()
    // A name whose addresses nobody knows, and nobody may be asked.
    try await eventually("it waits") { bench.host.told == ["waiting addresses-unknown"] }
    try bench.bind(broker.port, host: "broker.test", addresses: [NetworkAddress(ipv4: 0x7f00_0001)])
    try await bench.connected()
    #expect(bench.host.now.resolved.isEmpty)
    try await eventually("the alert arrives") { texts(bench.topic("event")).count == 1 }
    #expect(
      texts(bench.topic("event")).first
        == #"{"cause":"requested","event":1,"evidence":"a test","grade":"quarantined","kind":"grade","sequence":1,"time":"2027-01-15T08:00:00Z"}"#)
    #expect(!bench.link.publishReading(reading(1)))
    #expect(!broker.log.contains(bench.topic("command/+")))

    // Released: commands again. Then back into quarantine with a live connection.
    bench.link.publishEvent(gradeEvent(.normal, 2))
    bench.link.setGrade(.normal)
    try await eventually("it listens") { broker.log.contains(bench.topic("command/+ (QoS 1)")) }
    #expect(bench.link.publishReading(reading(2)))
    try await eventually("the reading arrives") { texts(bench.topic("reading/temperature")).count == 1 }
    bench.link.publishEvent(gradeEvent(.quarantined, 3))
    bench.link.setGrade(.quarantined)
    try await eventually("the status says so") { texts(bench.topic("status")).last?.contains("quarantined") == true }
    try await eventually("it no longer listens") { broker.log.contains("Received UNSUBSCRIBE from \(bench.device.identifier)") }
    #expect(!bench.link.publishReading(reading(3)))

    bench.link.publishEvent(gradeEvent(.locked, 4))
    bench.link.setGrade(.locked)
    try await eventually("it is suspended") { bench.host.told.last == "suspended -" }
    // The last words were there before.
    try await eventually("they arrive") { texts(bench.topic("event")).count == 4 && texts(bench.topic("status")).last?.contains("locked") == true }
    #expect(texts(bench.topic("status")).last?.contains(#""online":false"#) == true)
    try await eventually("the broker has read the goodbye") { broker.log.contains("Received DISCONNECT from \(bench.device.identifier)") }
    let connections = bench.link.status.connections
    bench.link.setGrade(.normal)
    bench.host.state.withLockedValue { $0.names["broker.test"] = [NetworkAddress(ipv4: 0x7f00_0001)] }
    try await eventually("it is back") { bench.link.status.connections == connections + 1 }
    await bench.end()
    #expect(watcher.closeAndWait())
  }

  @Test("a broker that goes and comes under load: whatever was taken arrives, and nothing piles up") func restarts() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate, isPersistent: true)
    let bench = try Bench(world, delay_ms: { _ in 50 })
    let subscriber = try TestSubscriber(broker, world: world, filter: bench.topic("reading/#"))
    try await eventually("the subscriber is there") { broker.log.contains("watcher 1 \(bench.topic("reading/#"))") }
    try bench.bind(broker.port)
    bench.run()
    try await bench.connected()
    var taken: Set<UInt64> = []
    var sequence: UInt64 = 0
    for round in 1...6 {
      let goal = taken.count + 150
      try await eventually("enough is taken in round \(round)") {
        for _ in 0..<20 {
          sequence += 1
          if bench.link.publishReading(reading(sequence)) { taken.insert(sequence) }
        }
        return taken.count >= goal
      }
      guard round < 6 else { break }
      broker.stop()
      // Still under load, and nobody there: nothing is taken, or it is kept.
      try await eventually("the link notices") {
        sequence += 1
        if bench.link.publishReading(reading(sequence)) { taken.insert(sequence) }
        return bench.link.status.state != .connected
      }
      try broker.start()
      try await eventually("the link is back") { bench.link.status.connections == UInt64(round) + 1 && bench.link.status.state == .connected }
    }
    try await eventually("each is acknowledged") { bench.link.status.published == bench.link.status.acknowledged }
    func received() throws -> Set<UInt64> {
      Set(
        try subscriber.lines().compactMap { line in
          line.split(separator: ",").first { $0.hasPrefix("\"sequence\":") }.flatMap { UInt64($0.dropFirst(11)) }
        })
    }
    try await eventually("each arrives") { try received().isSuperset(of: taken) }
    #expect(try received() == taken)
    let status = bench.link.status
    #expect(status.dropped == sequence - UInt64(taken.count))
    bench.link.state.withLockedValue { state in
      #expect(state.awaited.isEmpty && state.events.isEmpty && state.client?.outstandingCount == 0)
    }
    await bench.end()
  }
}
