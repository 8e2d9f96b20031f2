import Crypto
import Foundations
import MQTT
import NIOConcurrencyHelpers
import TLS
import TestBroker
import Testing

@testable import CloudLink

/// A link at a real broker.
@Suite("The link, living") struct LivingTests {
  private func watcher(_ world: CloudWorld, _ broker: TestBroker) async throws -> TestClient {
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    return watcher
  }

  private func text(_ message: MQTTMessage?) -> String { String(decoding: message?.payload ?? [], as: UTF8.self) }

  @Test("readings, status, a command and its answer, and a goodbye without the will") func wholeDay() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    #expect(!bench.link.publishReading(reading(0)) && bench.link.status == CloudStatus())
    try bench.bind(broker.port)
    bench.run()
    try await bench.connected()
    try await eventually("its status arrives") { watcher.messages.contains { $0.topic == bench.topic("status") } }
    let status = try #require(watcher.messages.first)
    #expect(text(status).hasPrefix(#"{"grade":"normal","online":true,"time":"20"#), "\(text(status))")

    #expect(bench.link.publishReading(reading(1)))
    try await eventually("the reading arrives") { watcher.messages.contains { $0.topic == bench.topic("reading/temperature") } }
    let arrived = try #require(watcher.messages.last)
    #expect(
      text(arrived)
        == #"{"name":"temperature","sequence":1,"simulated":true,"time":"2027-01-15T08:00:00Z","unit":"Cel","value":21.5}"#)
    #expect(arrived.properties.contentType == "application/json" && arrived.quality == .atLeastOnce && !arrived.isRetained)
    #expect((1...300).contains(arrived.properties.messageExpiry_s ?? 0))
    #expect(arrived.properties.user == [MQTTUserProperty(name: "schema", value: "haechi.reading.v1")])
    // A value that JSON has no number for is not sent.
    #expect(!bench.link.publishReading(reading(2, .infinity)))

    func order(_ actuator: String, _ payload: String) async throws -> MQTTMessage {
      let data = Array("order \(actuator) \(payload)".utf8)
      _ = watcher.mqtt.publish(
        MQTTMessage(
          topic: bench.topic("command/\(actuator)"), payload: Array(payload.utf8),
          properties: MQTTProperties(responseTopic: bench.topic("reply/1"), correlationData: data)))
      try await eventually("the answer arrives") { watcher.messages.contains { $0.topic == bench.topic("reply/1") && $0.properties.correlationData == data } }
      return try #require(watcher.messages.last { $0.topic == bench.topic("reply/1") })
    }
    try await eventually("the broker knows the subscription") { broker.log.contains(bench.topic("command/+ (QoS 1)")) }
    let answer = try await order("relay", #"{"on":true}"#)
    #expect(text(answer) == #"{"name":"relay","on":true,"safe":false}"# && answer.properties.contentType == "application/json")
    let unknown = try await order("siren", #"{"on":true}"#)
    #expect(unknown.properties.contentType == "application/problem+json")
    #expect(text(unknown).contains(#""status":404"#) && text(unknown).contains("urn:haechi:problem:not-found"))
    let wrong = try await order("relay", #"{"on":3}"#)
    #expect(text(wrong).contains("urn:haechi:problem:field-type"))
    #expect(bench.host.now.commands.map(\.actuator) == ["relay", "siren"])

    await bench.end()
    try await eventually("its last status arrives") { text(watcher.messages.last { $0.topic == bench.topic("status") }).contains(#""online":false"#) }
    // The device said it itself, with its grade: the will says less.
    #expect(text(watcher.messages.last { $0.topic == bench.topic("status") }).contains(#""grade":"normal""#))
    try await eventually("the broker has read the goodbye") { broker.log.contains("Received DISCONNECT from \(bench.device.identifier)") }
    #expect(bench.host.told == ["connected -"])
    let end = bench.link.status
    #expect(end.published == end.acknowledged && end.dropped == 1 && end.connections == 1, "\(end)")
    #expect(watcher.closeAndWait())
  }

  @Test("a device that is cut off is said to be gone") func lastWill() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let watcher = try await watcher(world, broker)
    // It does not come back: a wait of an hour.
    let bench = try Bench(world, delay_ms: { _ in 3_600_000 })
    try bench.bind(proxy.port)
    bench.run()
    try await bench.connected()
    try await eventually("it is known") { watcher.messages.contains { $0.topic == bench.topic("status") } }
    proxy.cut()
    try await eventually("the will arrives") { text(watcher.messages.last { $0.topic == bench.topic("status") }) == #"{"online":false}"# }
    try await eventually("the link has noticed") { bench.host.told == ["connected -", "waiting connection-lost"] }
    await bench.end()
    #expect(watcher.closeAndWait())
  }

  @Test("the cloud is asked to erase what it holds, confirms it, and hears nothing more of the device") func erasure() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    #expect(await bench.link.askForErasure(limit_ms: 10_000) == nil, "there is no cloud")
    try bench.bind(broker.port)
    #expect(await bench.link.askForErasure(limit_ms: 10_000) == false, "it is not connected")
    bench.link.stay()
    bench.run()
    try await bench.connected()
    try await eventually("its status arrives") { watcher.messages.contains { $0.topic == bench.topic("status") } }

    let link = bench.link
    let asked = Task { await link.askForErasure(limit_ms: 60_000) }
    try await eventually("it asks") { watcher.messages.contains { $0.topic == bench.topic("erase") } }
    let question = try #require(watcher.messages.last { $0.topic == bench.topic("erase") })
    #expect(question.properties.responseTopic == bench.topic("erased") && question.properties.correlationData?.count == 16)
    #expect(!link.publishReading(reading(1)), "nothing is sent that would have to be erased again")
    func answer(_ payload: String, _ correlation: [UInt8]?) {
      _ = watcher.mqtt.publish(
        MQTTMessage(topic: bench.topic("erased"), payload: Array(payload.utf8), properties: MQTTProperties(correlationData: correlation)))
    }
    // What is no answer to this question is none.
    answer(#"{"erased":true}"#, nil)
    answer(#"{"erased":true}"#, [UInt8](repeating: 1, count: 16))
    answer("{}", question.properties.correlationData)
    answer(String(repeating: " ", count: 300) + #"{"erased":true}"#, question.properties.correlationData)
    answer("\u{1}", question.properties.correlationData)
    answer(#"{"erased":true}"#, question.properties.correlationData)
    #expect(await asked.value == true)
    await bench.end()
    // What the broker had retained of it is gone, and nothing has taken its place.
    let late = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "late"))
    try await late.join(broker.port)
    try await late.subscribe("haechi/#")
    try await late.subscribe("haechi/none")
    #expect(late.messages.isEmpty)
    #expect(late.closeAndWait() && watcher.closeAndWait())
  }

  @Test("a cloud that says no, or nothing, has not confirmed; a device that stays goes on telling") func noErasure() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    try bench.bind(broker.port)
    bench.run()
    try await bench.connected()
    #expect(await bench.link.askForErasure(limit_ms: 50) == false)
    let link = bench.link
    let asked = Task { await link.askForErasure(limit_ms: 60_000) }
    try await eventually("it asks again") { watcher.messages.count { $0.topic == bench.topic("erase") } == 2 }
    let question = try #require(watcher.messages.last { $0.topic == bench.topic("erase") })
    _ = watcher.mqtt.publish(
      MQTTMessage(
        topic: bench.topic("erased"), payload: Array(#"{"erased":false}"#.utf8),
        properties: MQTTProperties(correlationData: question.properties.correlationData)))
    #expect(await asked.value == false)
    link.stay()
    #expect(link.publishReading(reading(1)))
    await bench.end()
    try await eventually("its goodbye arrives") { text(watcher.messages.last { $0.topic == bench.topic("status") }).contains(#""online":false"#) }
    #expect(watcher.closeAndWait())
  }

  @Test("a flood of commands: ten a second are carried out, the rest is told so") func flood() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try await watcher(world, broker)
    let bench = try Bench(world)
    try bench.bind(broker.port)
    bench.run()
    try await bench.connected()
    try await eventually("the broker knows the subscription") { broker.log.contains(bench.topic("command/+ (QoS 1)")) }
    let began_ms = BootClock.now_ms()
    for number in 0..<60 {
      let message = MQTTMessage(
        topic: bench.topic("command/relay"), payload: Array(#"{"on":true}"#.utf8),
        properties: MQTTProperties(responseTopic: bench.topic("reply/1"), correlationData: [UInt8(number)]))
      #expect(watcher.mqtt.publish(message) != nil)
    }
    try await eventually("each has its answer") {
      Set(watcher.messages.compactMap(\.properties.correlationData)).count == 60 && watcher.messages.count { $0.topic == bench.topic("reply/1") } >= 60
    }
    let elapsed_s = Int(BootClock.now_ms() - began_ms) / 1_000 + 1
    let carriedOut = bench.host.now.commands.count
    let refused = watcher.messages.count { text($0).contains("too-many-requests") }
    #expect(carriedOut >= 10 && carriedOut <= 10 * (elapsed_s + 1) && carriedOut + refused == 60, "\(carriedOut) and \(refused) in \(elapsed_s) s")
    await bench.end()
    #expect(watcher.closeAndWait())
  }

  @Test("a new credential connects anew; without one the link waits; without a broker it rests") func credential() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let bench = try Bench(world)
    let credential = bench.host.now.credential
    bench.host.state.withLockedValue { $0.credential = nil }
    bench.run()
    try bench.bind(broker.port)
    try await eventually("it waits for a credential") { bench.host.told == ["waiting credential-missing"] }
    bench.host.state.withLockedValue { $0.credential = credential }
    bench.link.credentialChanged()
    try await bench.connected()
    bench.link.credentialChanged()
    try await eventually("it is connected again") { bench.link.status.connections == 2 && bench.link.status.state == .connected }
    #expect(bench.host.told == ["waiting credential-missing", "connected -"])
    bench.link.bind(nil)
    try await eventually("it rests") { bench.host.told.last == "unbound -" }
    #expect(bench.link.status.destination == nil)
    await bench.end()
  }
}
