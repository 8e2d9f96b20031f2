import Foundations
import MQTT
import Synchronization
import Testing

@testable import OperatorKit

/// The operator's client against a real broker.
@Suite(.serialized) struct BrokerTests {
  /// The first arrival of a watch, which ends then.
  private func first(_ access: BrokerAccess) async throws -> CloudArrival? {
    for try await arrival in access.watch() { return arrival }
    return nil
  }

  private let reading = #"{"name":"temperature","value":21.5,"unit":"Cel","time":"2026-11-23T12:00:01Z","simulated":true,"sequence":7}"#

  @Test func everythingThatArrivesIsShown() async throws {
    let broker = try TestBroker()
    try await broker.start()
    let device = try TestCloudDevice(broker)
    try await device.waitUntilReady()
    // Kept by the broker, so that it is there whenever the watch begins.
    device.publish("status", #"{"online":true,"grade":"normal","time":"2026-11-23T12:00:00Z"}"#, isRetained: true)
    var lines: [String] = []
    for try await arrival in try broker.access("grace").watch() {
      #expect(arrival.deviceId == device.identifier.text)
      lines.append(Sheet.arrival(arrival, name: "attic"))
      switch lines.count {
      case 1: device.publish("reading/temperature", reading)
      case 2:
        device.publish(
          "event",
          #"{"kind":"grade","grade":"restricted","cause":"authentication-failures","evidence":"40\u001b[2J","event":3,"time":"2026-11-23T12:00:02Z","sequence":8}"#
        )
      case 3: device.publish("reading/temperature", "{\u{1b}")
      case 4: device.publish("later/thing", "x")
      default: break
      }
      if lines.count == 5 { break }
    }
    #expect(
      lines == [
        "attic  12:00:00  online, grade normal  (kept by the broker)", "attic  12:00:01  temperature  21.50 °C  (simulated)",
        "attic  12:00:02  grade is restricted (authentication-failures: 40\\u{1b}[2J)",
        "haechi/\(device.identifier)/reading/temperature  {\\u{1b}", "haechi/\(device.identifier)/later/thing  x",
      ])
  }

  @Test func aDeviceThatAsksIsForgotten() async throws {
    let broker = try TestBroker()
    try await broker.start()
    let device = try TestCloudDevice(broker)
    try await device.waitUntilReady()
    device.publish("status", #"{"online":true}"#, isRetained: true)
    let access = try broker.access("ada")
    let forgotten = Task {
      for try await erased in access.eraseOnRequest() { return erased.deviceId }
      return ""
    }
    // Asked until the cloud listens.
    for _ in 0..<2_400 where device.answers.isEmpty {
      // Not for another, and not without a question that an answer could be to.
      device.publish("erase", "{}", replyTo: "haechi/0011/erased", correlation: [1])
      device.publish("erase", "{}", replyTo: "haechi/\(device.identifier)/erased")
      device.publish("erase", "{}", replyTo: "haechi/\(device.identifier)/erased", correlation: [7, 7])
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(try await forgotten.value == device.identifier.text)
    #expect(!device.answers.isEmpty)
    for answer in device.answers {
      #expect(answer.properties.correlationData == [7, 7] && String(decoding: answer.payload, as: UTF8.self) == #"{"erased":true}"#)
    }
    device.publish("later/thing", "x", isRetained: true)
    // Nothing that was retained is shown any more.
    #expect(try await first(try broker.access("grace"))?.topic == "haechi/\(device.identifier)/later/thing")
  }

  @Test func aCommandIsAnswered() async throws {
    let broker = try TestBroker()
    try await broker.start()
    let device = try TestCloudDevice(broker) { command in
      switch command.topic.split(separator: "/").last {
      case "relay": ("application/json", #"{"name":"relay","on":\#(String(decoding: command.payload, as: UTF8.self) == #"{"on":true}"#),"safe":false}"#)
      case "fan": ("application/problem+json", #"{"type":"urn:haechi:problem:not-in-this-grade","title":"No","status":409,"detail":"Outputs are safe."}"#)
      case "odd": ("text/plain", "on")
      default: nil
      }
    }
    try await device.waitUntilReady()
    try DeviceBook.update(broker.home) { (book) throws(OperatorError) in
      try book.remember(KnownDevice(deviceId: device.identifier.text, alias: "attic", address: "127.0.0.1:1", ownerId: broker.owner.ownerId))
    }
    let ada = try broker.access("ada")
    #expect(try await ada.send("relay", on: true, to: "attic") == Actuator(name: "relay", on: true, safe: false))
    #expect(try await ada.send("relay", on: false, to: nil) == Actuator(name: "relay", on: false, safe: false))
    let refused = try await failure { try await ada.send("fan", on: true, to: "attic") }
    #expect(refused.code == "refused-by-device" && refused.reason.hasSuffix("(not-in-this-grade): Outputs are safe"), "\(refused)")
    #expect(try await failure { try await ada.send("odd", on: true, to: "attic") }.code == "bad-answer")
    let silent = try await failure { try await ada.send("none", on: true, to: "attic", limit_s: 1) }
    #expect(silent.code == "silent" && silent.reason.contains("attic"), "\(silent)")
    #expect(try await failure { try await ada.send("a/b", on: true, to: "attic") }.code == "bad-argument")
    #expect(try await failure { try await ada.send("relay", on: true, to: "127.0.0.1:2") }.code == "unknown-device")
    // What a viewer may not do at the device, the broker does not let through either.
    let viewer = try await failure { try await broker.access("grace").send("relay", on: true, to: "attic", limit_s: 30) }
    #expect(viewer.code == "refused-by-broker" && viewer.exitCode == 77, "\(viewer)")
  }

  @Test func aWatchComesBackWithItsBroker() async throws {
    let broker = try TestBroker()
    try await broker.start()
    let device = try TestCloudDevice(broker)
    // Again and again: what is sent while one of the two is away is lost, as it should be.
    let publishing = Task { [reading] in
      while !Task.isCancelled {
        device.publish("reading/temperature", reading)
        try? await Task.sleep(for: .milliseconds(50))
      }
    }
    defer { publishing.cancel() }
    let troubles = Mutex(0)
    var count = 0
    for try await arrival in try broker.access("ada").watch(troubled: { _ in troubles.withLock { $0 += 1 } }) {
      guard case .reading = arrival.content else { continue }
      count += 1
      if count == 1 {
        await broker.stop()
        try await broker.start()
      }
      if count >= 20, troubles.withLock({ $0 }) > 0 { break }
    }
    #expect(count >= 20 && troubles.withLock { $0 } >= 1)
  }

  @Test func aWrongBrokerIsNotSpokenTo() async throws {
    let broker = try TestBroker()
    try await broker.start()
    let ca = try await failure {
      try await first(try BrokerAccess(home: broker.home, address: broker.address, authorityFile: broker.home.ownerFolder + "/ca.pem", person: "ada"))
    }
    #expect(ca.code == "tls-failed" && ca.reason.contains("not the broker that you named"), "\(ca)")
    let local = try BrokerAccess(home: broker.home, address: "localhost:\(broker.port)", authorityFile: broker.authorityFile, person: "ada")
    #expect(try await local.addresses().contains(try #require(NetworkAddress("127.0.0.1"))))
    // Another owner's person, whom the broker does not know.
    let other = OperatorHome(path: broker.folder.path + "/other")
    let stranger = try makeOwner(other.ownerFolder)
    try stranger.ensureAdmin("eve", now_s: secondsNow())
    let eve = try await failure {
      try await first(try BrokerAccess(home: other, address: broker.address, authorityFile: broker.authorityFile, person: "eve"))
    }
    #expect(eve.code == "tls-refused" && eve.reason.contains("eve"), "\(eve)")
    try await CannedServer.with(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) { server in
      let plain = try await failure {
        try await first(
          try BrokerAccess(home: broker.home, address: server.endpoint.description, authorityFile: broker.authorityFile, person: "ada"))
      }
      #expect(plain.code == "tls-failed" && plain.reason.contains("does not speak TLS"), "\(plain)")
    }
    #expect(try await failure { try BrokerAccess(home: other) }.code == "unknown-broker")
  }
}
