import Crypto
import Foundations
import MQTT
import TLS
import TestBroker
import Testing

/// One client or two at a real broker.
@Suite("Messages, will and end") struct ExchangeTests {
  @Test("a message arrives with each of its properties") func properties() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let device = try world.device()
    let sender = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    try await sender.join(broker.port)
    let message = MQTTMessage(
      topic: "haechi/\(device.identifier)/reading/temperature", payload: Array(#"{"value":21.5}"#.utf8),
      properties: MQTTProperties(
        contentType: "application/json", messageExpiry_s: 300, responseTopic: "haechi/x/reply/1", correlationData: [0, 1, 2, 255],
        user: [MQTTUserProperty(name: "schema", value: "haechi.reading.v1"), MQTTUserProperty(name: "schema", value: "second")]))
    let token = try #require(sender.mqtt.publish(message))
    try await eventually("the message is acknowledged") { sender.acknowledged == [token] }
    try await eventually("the message arrives") { watcher.messages.count == 1 }
    // A broker counts the expiry down while it holds a message.
    var received = try #require(watcher.messages.first)
    #expect((1...300).contains(try #require(received.properties.messageExpiry_s)))
    received.properties.messageExpiry_s = 300
    #expect(received == message)
    #expect(sender.mqtt.outstandingCount == 0)
    #expect(sender.closeAndWait() && watcher.closeAndWait())
    #expect(sender.isClosed && watcher.isClosed)
  }

  @Test("QoS 0 comes to an end, too, and a message outside the client's rights is told as refused") func quality() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let device = try world.device()
    let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
    try await client.join(broker.port)
    let token = try #require(client.mqtt.publish(MQTTMessage(topic: "haechi/\(device.identifier)/event", payload: [], quality: .atMostOnce)))
    try await eventually("it is written") { client.acknowledged == [token] }
    let refused = try #require(client.mqtt.publish(MQTTMessage(topic: "haechi/somebody/else", payload: [1])))
    try await eventually("the broker refuses it") { client.dropped == [refused] }
    #expect(client.mqtt.publish(MQTTMessage(topic: "haechi/+/x", payload: [])) == nil)
    #expect(client.mqtt.publish(MQTTMessage(topic: "a", payload: [UInt8](repeating: 0, count: MQTTMessage.maximum_bytes))) == nil)
    #expect(client.closeAndWait())
  }

  @Test("the will is sent where the client is cut off, and not where it says goodbye") func will() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    for isCut in [false, true] {
      let device = try world.device()
      let topic = "haechi/\(device.identifier)/status"
      let will = MQTTMessage(
        topic: topic, payload: Array(#"{"online":false}"#.utf8), isRetained: true, properties: MQTTProperties(contentType: "application/json"))
      let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text, will: will))
      try await client.join(proxy.port)
      let mark = try #require(client.mqtt.publish(MQTTMessage(topic: "haechi/\(device.identifier)/event", payload: [])))
      try await eventually("it is known to the broker") { client.acknowledged == [mark] }
      if isCut { proxy.cut() } else { #expect(client.closeAndWait()) }
      try await eventually("the broker has seen the end") { broker.log.contains("Client \(device.identifier)") && client.ends.count == 1 }
      if isCut {
        try await eventually("the will arrives") { watcher.messages.contains { $0.topic == topic } }
        let received = try #require(watcher.messages.last { $0.topic == topic })
        #expect(received.payload == will.payload && received.properties.contentType == "application/json")
        #expect(client.ends.first??.code == "connection-lost")
        #expect(client.closeAndWait())
      } else {
        try await eventually("the broker has read the goodbye") { broker.log.contains("Received DISCONNECT from \(device.identifier)") }
        // What the watcher publishes itself now comes after anything that the broker sent because of the end.
        let after = try #require(watcher.mqtt.publish(MQTTMessage(topic: "haechi/after", payload: [])))
        try await eventually("it is back") { watcher.acknowledged.contains(after) && watcher.messages.contains { $0.topic == "haechi/after" } }
        #expect(!watcher.messages.contains { $0.topic == topic })
        #expect(client.ends.count == 1 && client.ends.first.flatMap { $0 } == nil)
      }
    }
    #expect(watcher.closeAndWait())
  }

  @Test("nothing is queued without a connection, and no more than was configured with one") func bounds() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let device = try world.device()
    let client = try TestClient(
      world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text, maximumOutstanding: 8, maximumInFlight: 2))
    let message = MQTTMessage(topic: "haechi/\(device.identifier)/event", payload: [UInt8](repeating: 7, count: 4_000))
    #expect(client.mqtt.publish(message) == nil && !client.mqtt.subscribe("haechi/#"))
    try await client.join(broker.port)
    var taken = 0
    var refused = 0
    for _ in 0..<400 { if client.mqtt.publish(message) == nil { refused += 1 } else { taken += 1 } }
    #expect(client.mqtt.outstandingCount <= 8)
    try await eventually("each that was taken is acknowledged") { client.acknowledged.count == taken && client.mqtt.outstandingCount == 0 }
    #expect(refused > 0 && taken >= 8)
    client.mqtt.disconnect()
    try await eventually("the connection has ended") { client.ends.count == 1 }
    #expect(client.mqtt.publish(message) == nil)
    #expect(client.closeAndWait() && client.closeAndWait())
  }

  @Test("a message that has nothing but user properties arrives with each of them, once and in order") func userProperties() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await watcher.subscribe("haechi/#")
    let user = ["one", "two", "three"].map { MQTTUserProperty(name: $0, value: "value of \($0)") }
    #expect(watcher.mqtt.publish(MQTTMessage(topic: "haechi/x", payload: [1], properties: MQTTProperties(user: user))) != nil)
    try await eventually("the message arrives") { watcher.messages.count == 1 }
    #expect(watcher.messages.first?.properties == MQTTProperties(user: user))
    #expect(watcher.closeAndWait())
  }

  @Test("a full client still takes urgent messages, as many as were kept free for them") func urgency() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: broker.port)
    let device = try world.device()
    var configuration = MQTTConfiguration(clientIdentifier: device.identifier.text, maximumOutstanding: 8, urgentReserve: 8)
    #expect(throws: MQTTError.self) { try TestClient(world, device.credential, configuration) }
    configuration.urgentReserve = 3
    let client = try TestClient(world, device.credential, configuration)
    try await client.join(proxy.port)
    proxy.hold(true)
    let message = MQTTMessage(topic: "haechi/\(device.identifier)/event", payload: [1])
    #expect((0..<10).count { _ in client.mqtt.publish(message) != nil } == 5)
    #expect((0..<10).count { _ in client.mqtt.publish(message, isUrgent: true) != nil } == 3)
    proxy.hold(false)
    try await eventually("each is acknowledged") { client.acknowledged.count == 8 && client.mqtt.outstandingCount == 0 }
    #expect(client.closeAndWait())
  }

  @Test("a client that lives is not kept alive by its thread") func deinitialisation() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let device = try world.device()
    var client: TestClient? = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
    try await client?.join(broker.port)
    weak let gone = client?.mqtt
    client = nil
    #expect(gone == nil)
    try await eventually("it has said goodbye") { broker.log.contains("Received DISCONNECT from \(device.identifier)") }
  }
}
