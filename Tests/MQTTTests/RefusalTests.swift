import Crypto
import Foundations
import Glibc
import MQTT
import TLS
import TestBroker
import Testing

/// Brokers that a client must not speak to, and those that do not want it.
@Suite("Brokers that are refused, and that refuse") struct RefusalTests {
  /// What is wrong with a broker.
  enum Fault: CaseIterable { case authority, name, address, expired, notYetValid, oldVersion }

  @Test("not one application byte leaves, and the reason is told", arguments: Fault.allCases) func refusedBroker(fault: Fault) async throws {
    let world = try CloudWorld()
    var names: [SubjectAlternativeName] = [.dns("broker.test")]
    var expected = "certificate-profile"
    var alert: TLSAlert? = .badCertificate
    var issuer: CertificateIssuer?
    var validity: (Int64, Int64) = (-3_600, 86_400)
    switch fault {
    case .authority: (issuer, expected, alert) = (try CloudWorld.authority("somebody", world.clock), "certificate-untrusted", .unknownCA)
    case .name: names = [.dns("other.test"), .address(NetworkAddress(ipv4: 0x7f00_0001))]
    case .address: names = [.dns("broker.test"), .dns("127.0.0.1"), .address(NetworkAddress(ipv4: 0x7f00_0002))]
    case .expired: (validity, expected, alert) = ((-7_200, -3_600), "certificate-expired", .certificateExpired)
    case .notYetValid: (validity, expected) = ((3_600, 7_200), "certificate-not-yet-valid")
    case .oldVersion: (expected, alert) = ("unsupported-version", .protocolVersion)
    }
    let credential = try world.broker(names: names, from_s: validity.0, until_s: validity.1, by: issuer)
    // What mosquitto calls version 1.2 is 1.2 and later.
    let old = try fault == .oldVersion ? ScriptedServer(credential: credential, version: "-tls1_2", answer: [UInt8](repeating: 0, count: 1 << 20)) : nil
    let broker = try TestBroker(credential: credential, clients: world.owner.certificate)
    let proxy = try RecordingProxy(to: old?.port ?? broker.port)
    let device = try world.device()
    let server: SubjectAlternativeName = fault == .address ? .address(NetworkAddress(ipv4: 0x7f00_0001)) : .dns("broker.test")
    let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text), server: server)
    // Twice: the second attempt judges anew.
    for count in 1...2 {
      client.connect(proxy.port)
      try await eventually("the attempt ends") { client.ends.count == count }
      let error = try #require(client.ends.last.flatMap { $0 } as? TLSError)
      #expect(error.code == expected && error.alert == alert, "\(error)")
      #expect(error.side == (fault == .oldVersion ? .peer : .local))
    }
    #expect(client.connectedCount == 0)
    #expect(client.closeAndWait())
    // The proxy passes on what the client has sent when it gets round to it: with the alert it has all.
    try await eventually("the broker has heard of both") {
      proxy.sent.count == 2 && proxy.sent.allSatisfy { !$0.isEmpty && (fault == .oldVersion || tlsRecordTypes($0).last?.type == 21) }
    }
    for sent in proxy.sent {
      let records = tlsRecordTypes(sent)
      // Handshake, change cipher spec (for middle boxes) and alert; an encrypted record would be number 23.
      #expect(records.first?.type == 22 && records.allSatisfy { [20, 21, 22].contains($0.type) }, "\(records)")
      #expect(fault == .oldVersion || records.last?.type == 21)
    }
    #expect(!broker.log.contains("New client connected"))
  }

  @Test("the broker is asked for by its DNS name, and never by an address") func serverName() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    for (server, isNamed) in [(SubjectAlternativeName.dns("broker.test"), true), (.address(NetworkAddress(ipv4: 0x7f00_0001)), false)] {
      let proxy = try RecordingProxy(to: broker.port)
      let device = try world.device()
      let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text), server: server)
      try await client.join(proxy.port)
      let sent = String(decoding: try #require(proxy.sent.first), as: UTF8.self)
      #expect(sent.contains("broker.test") == isNamed && !sent.contains("127.0.0.1"))
      #expect(client.closeAndWait())
    }
  }

  @Test("a port where nobody listens, one that is no TLS, and a client without rights") func others() async throws {
    let world = try CloudWorld()
    let device = try world.device()
    let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
    client.connect(try freePort())
    try await eventually("the attempt ends") { client.ends.count == 1 }
    let refused = try #require(client.ends.last.flatMap { $0 } as? SystemCallError)
    #expect(refused.call == "connect" && refused.number == ECONNREFUSED, "\(refused)")

    // The broker trusts another owner's clients: in TLS 1.3 its alert comes after the client's own handshake is complete.
    let broker = try TestBroker(credential: world.broker(), clients: CloudWorld().owner.certificate)
    // A reset may overtake it where we are slow: then the next attempt hears it.
    try await eventually("the broker's alert is heard") {
      let count = client.ends.count
      client.connect(broker.port)
      try await eventually("the attempt ends") { client.ends.count > count }
      let error = try #require(client.ends.last.flatMap { $0 })
      guard let alert = error as? TLSError else {
        #expect(error.code == "connection-lost" && error.reason.contains("certificate"), "\(error)")
        return false
      }
      #expect(alert.code == "peer-alert" && alert.side == .peer && alert.alert == .unknownCA, "\(alert)")
      return true
    }
    #expect(client.connectedCount == 0)
    #expect(client.closeAndWait())
  }

  /// A client to which a server said `answer`, and whose connection has ended. The server closes as soon as it has said all, with what the client
  /// sent unread: a reset may overtake the answer where we are slow, and then the next server is heard.
  private func heard(_ answer: [UInt8], in world: CloudWorld, by device: CloudWorld.TestDevice) async throws -> TestClient {
    var attempts = 0
    while true {
      attempts += 1
      let server = try ScriptedServer(credential: world.broker(), answer: answer)
      let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
      client.connect(server.port)
      try await eventually("the connection ends") { client.ends.count == 1 }
      // As the reset came before a read, or before a write (a broken pipe).
      let isReset = ["connection-lost", "system-call-failed"].contains(client.ends.first??.code)
      guard attempts < 20, client.connectedCount == 0, isReset else { return client }
      #expect(client.closeAndWait())
    }
  }

  @Test("a broker whose packet is too large is left before it has sent it") func hugePacket() async throws {
    let world = try CloudWorld()
    // CONNACK; then a PUBLISH that says it has 256 MB less a byte, and the first megabytes of it.
    let answer: [UInt8] = [0x20, 3, 0, 0, 0, 0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61, 0] + [UInt8](repeating: 0, count: 4 << 20)
    let client = try await heard(answer, in: world, by: world.device())
    #expect(client.connectedCount == 1)
    #expect(client.ends.first??.code == "packet-too-large")
    #expect(client.closeAndWait())
  }

  @Test("a broker that uses a topic alias, of which it may none, is left") func topicAlias() async throws {
    let world = try CloudWorld()
    // CONNACK; then a PUBLISH to `a` with the alias 1.
    let answer: [UInt8] = [0x20, 3, 0, 0, 0, 0x30, 8, 0, 1, 0x61, 3, 0x23, 0, 1, 0x78]
    let client = try await heard(answer, in: world, by: world.device())
    #expect(client.connectedCount == 1 && client.messages.isEmpty, "\(client.events)")
    let end = try #require(client.ends.first.flatMap { $0 })
    #expect(end.code == "protocol-error" && end.reason.contains("alias"), "\(end)")
    #expect(client.closeAndWait())
  }

  @Test("what TLS found in one connection is not told of the next, which comes to no handshake") func noHandshake() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(names: [.dns("other.test")]), clients: world.owner.certificate)
    let device = try world.device()
    let client = try TestClient(world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text))
    client.connect(broker.port)
    try await eventually("the broker is refused") { client.ends.count == 1 }
    #expect(client.ends.first??.code == "certificate-profile")
    // The kernel connects to no broadcast address, and says so at once: nothing leaves.
    client.mqtt.connect(to: NetworkAddress(ipv4: 0xffff_ffff), port: broker.port)
    try await eventually("the attempt ends") { client.ends.count == 2 }
    let error = try #require(client.ends.last.flatMap { $0 })
    #expect(!(error is TLSError), "\(error)")
    #expect(client.closeAndWait())
  }

  @Test("the broker is told the largest packet, and sends none that is larger") func maximumPacket() async throws {
    let world = try CloudWorld()
    let broker = try TestBroker(credential: world.broker(), clients: world.owner.certificate)
    let device = try world.device()
    let client = try TestClient(
      world, device.credential, MQTTConfiguration(clientIdentifier: device.identifier.text, maximumIncomingPacket_bytes: 2_048))
    let watcher = try TestClient(world, world.person("watcher"), MQTTConfiguration(clientIdentifier: "watcher"))
    try await watcher.join(broker.port)
    try await client.join(broker.port)
    try await client.subscribe("haechi/\(device.identifier)/command/+")
    for size in [3_000, 1_000] {
      let message = MQTTMessage(topic: "haechi/\(device.identifier)/command/relay", payload: [UInt8](repeating: 1, count: size))
      let token = try #require(watcher.mqtt.publish(message))
      try await eventually("the broker has it") { watcher.acknowledged.contains(token) }
    }
    try await eventually("the small one arrives") { !client.messages.isEmpty }
    #expect(client.messages.map(\.payload.count) == [1_000] && client.connectedCount == 1)
    #expect(client.closeAndWait() && watcher.closeAndWait())
  }
}
