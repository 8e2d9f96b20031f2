import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import LocalAPI

/// Streams: what is sent, to whom, and what a slow reader costs.
@Suite struct EventStreamTests {
  func event(_ number: UInt64) throws -> StreamEvent {
    try StreamEvent(
      name: "log", identifier: number,
      document: LogDocument(sequence: number, uptimeMilliseconds: 1, level: "info", source: "core", text: "line\n\(number)"))
  }

  func open(_ wire: Wire, _ target: String, _ fields: String = "Accept: text/event-stream\r\n") async throws -> WireAnswer {
    try await wire.ask("GET \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
  }

  func text(_ wire: Wire) async throws -> String {
    await wire.channel.testingEventLoop.run()
    try await wire.drain()
    return String(decoding: wire.received, as: UTF8.self)
  }

  @Test func eventsComeAsTheyHappen() async throws {
    let wire = try await Wire()
    let head = try await open(wire, "/v1/logs?after=3")
    #expect(head.status == 200 && head["content-type"] == "text/event-stream" && head["transfer-encoding"] == "chunked")
    #expect(head["cache-control"] == "no-store" && head["content-length"] == nil)
    #expect(wire.device.state.withLockedValue { $0.feeds } == [.logs(after: 3)])
    wire.device.publish(try event(4))
    let got = try await text(wire)
    #expect(got.contains("event: log\nid: 4\ndata: {\"level\":\"info\""))
    // A line end in the text cannot forge a field of the stream.
    #expect(got.contains("line\\n4"))
    await wire.advance(15_000)
    #expect(try await text(wire).contains(": keep-alive\n\n"))
  }

  @Test func eventsThatCameTogetherKeepTheirOrder() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/logs")
    for number in 1...500 { wire.device.publish(try event(UInt64(number))) }
    let got = try await text(wire)
    let numbers = got.split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
    #expect(numbers == (1...500).map(String.init))
  }

  @Test func aReaderResumesWhereItWas() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/logs", "Accept: text/event-stream\r\nLast-Event-ID: 41\r\n")
    #expect(wire.device.state.withLockedValue { $0.feeds } == [.logs(after: 41)])
  }

  @Test func whoMayNoLongerReadIsPutOut() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/readings")
    wire.decide(.refused(reason: "Your certificate has expired."))
    wire.device.publish(try event(1))
    #expect(try await text(wire) == "0\r\n\r\n")
    #expect(!wire.channel.isActive && wire.device.followers == 0)
    // Also who is still somebody, and may not read this any more.
    let demoted = try await Wire()
    _ = try await open(demoted, "/v1/logs")
    demoted.decide(.allowed(.viewer, name: "viewer kim"))
    demoted.device.publish(try event(1))
    #expect(try await text(demoted) == "0\r\n\r\n")
    #expect(!demoted.channel.isActive && demoted.device.followers == 0)
    // Also where nothing happens.
    let quiet = try await Wire()
    _ = try await open(quiet, "/v1/events")
    quiet.decide(.refused(reason: "Your certificate has expired."))
    await quiet.advance(15_000)
    #expect(!quiet.channel.isActive && quiet.device.followers == 0)
  }

  @Test func aSlowReaderIsBoundedAndPutOut() async throws {
    var limits = APILimits()
    limits.streamQueueMaximumEvents = 8
    let wire = try await Wire(limits: limits)
    _ = try await open(wire, "/v1/logs")
    try await setWritable(wire, false)
    for number in 1...8 { wire.device.publish(try event(UInt64(number))) }
    #expect(try await text(wire).isEmpty)
    #expect(wire.channel.isActive)
    // It reads again in time: everything comes, in order.
    try await setWritable(wire, true)
    let got = try await text(wire)
    #expect(got.split(separator: "id: ").dropFirst().compactMap { $0.first.map(String.init) } == (1...8).map(String.init))
    // And not in time: nine more is one too many.
    try await setWritable(wire, false)
    for number in 1...9 { wire.device.publish(try event(UInt64(number))) }
    _ = try await text(wire)
    #expect(!wire.channel.isActive && wire.device.followers == 0)
  }

  @Test func aReaderThatTakesNothingIsPutOut() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/readings")
    try await setWritable(wire, false)
    await wire.advance(60_000)
    #expect(wire.channel.isActive)
    await wire.advance(15_001)
    #expect(!wire.channel.isActive && wire.device.followers == 0)
  }

  @Test func aStreamEndsWithItsConnection() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/readings")
    #expect(wire.device.followers == 1)
    try await wire.channel.close().get()
    await wire.channel.testingEventLoop.run()
    #expect(wire.device.followers == 0)
  }

  @Test func whoTalksDuringAStreamEndsIt() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/readings")
    try await wire.send("GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(try await text(wire) == "0\r\n\r\n")
    #expect(!wire.channel.isActive && wire.device.followers == 0)
  }

  @Test func shutdownEndsAStreamInOrder() async throws {
    let wire = try await Wire()
    _ = try await open(wire, "/v1/events")
    let channel = wire.channel
    try await channel.testingEventLoop.executeInContext { channel.pipeline.fireUserInboundEventTriggered(APIShutdown()) }
    #expect(try await text(wire) == "0\r\n\r\n")
    #expect(!channel.isActive)
  }

  private func setWritable(_ wire: Wire, _ writable: Bool) async throws {
    let channel = wire.channel
    channel.isWritable = writable
    try await channel.testingEventLoop.executeInContext { channel.pipeline.fireChannelWritabilityChanged() }
  }
}
