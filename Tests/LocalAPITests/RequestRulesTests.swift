import NIOCore
import NIOEmbedded
import Testing

@testable import LocalAPI

/// Every rule of reading a request, over the wire.
@Suite struct RequestRulesTests {
  @Test func answersOverOneConnectionAgainAndAgain() async throws {
    let wire = try await Wire()
    for _ in 0..<3 {
      let answer = try await wire.request("GET", "/v1/info")
      #expect(answer.status == 200)
      #expect(answer["content-type"] == "application/json")
      #expect(answer["strict-transport-security"] == "max-age=63072000; includeSubDomains")
      #expect(answer["cache-control"] == "no-store")
      #expect(answer["x-content-type-options"] == "nosniff")
      #expect(answer["server"] == nil && answer["date"] == nil)
      #expect(answer.text.contains("\"lifeCycleState\":\"owned\""))
    }
    #expect(wire.channel.isActive)
  }

  @Test func aRequestMayComeByteByByte() async throws {
    let wire = try await Wire()
    for byte in "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"on\":true}".utf8 {
      try await wire.send([byte])
    }
    let answer = try #require(try await wire.answer())
    #expect(answer.status == 200)
    #expect(wire.device.changes == ["set relay true by admin kim"])
  }

  static let refusedHeads: [(String, Int)] = [
    ("GET /v1/info HTTP/1.0\r\nHost: h\r\n\r\n", 400),
    ("GET /v1/info HTTP/2.0\r\nHost: h\r\n\r\n", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("GET /v1/info\r\n\r\n", 400),
    ("GET  /v1/info HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("get /v1/info HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET http://h/v1/info HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\nHost: h\n\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost : h\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nX: \u{0}\r\n\r\n", 400),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nX: é\r\n\r\n", 400),
    ("\r\nGET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /v1/info#top HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /v1/<info> HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 11, 11\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: +11\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 0x0b\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nConnection: content-length\r\nContent-Length: 11\r\n\r\n{\"on\":true}", 400),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"on\"\r\nzz\r\n", 411),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 411),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 16385\r\n\r\n", 413),
    ("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n", 413),
    ("GET /" + String(repeating: "a", count: 1024) + " HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nExpect: a-miracle\r\n\r\n", 417),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\n" + String(repeating: "X: y\r\n", count: 65) + "\r\n", 431),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "y", count: 9000) + "\r\n\r\n", 431),
    ("GET /v1/info HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "y", count: 8192), 431),
  ]

  @Test(arguments: refusedHeads.indices) func isRefusedAndClosed(_ index: Int) async throws {
    let (text, status) = Self.refusedHeads[index]
    let wire = try await Wire()
    let answer = try await wire.ask(text)
    #expect(answer.status == status, "\(text.prefix(80))")
    #expect(answer.closes)
    #expect(answer["content-type"] == "application/problem+json")
    #expect(answer.text.contains("urn:haechi:problem:"))
    // What follows is thrown away, and the connection ends soon.
    try await wire.send("GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n")
    await wire.advance(1_001)
    try await wire.drain()
    #expect(wire.received.isEmpty)
    #expect(!wire.channel.isActive)
    #expect(wire.device.changes.isEmpty)
  }

  @Test func secondRequestBeforeTheAnswerEndsTheConnection() async throws {
    let wire = try await Wire()
    let one = "GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n"
    let answer = try await wire.ask(one + one)
    #expect(answer.status == 400 && answer.closes)
    #expect(answer.text.contains("one request at a time"))
  }

  @Test func smuggledBodyIsNoRequest() async throws {
    let wire = try await Wire()
    let hidden = "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"on\":true}"
    let answer = try await wire.request("GET", "/v1/info", [], body: hidden)
    // The body was taken and thrown away: the next request is read where it begins.
    #expect(answer.status == 400 && !answer.closes)
    #expect(try await wire.request("GET", "/v1/info").status == 200)
    #expect(wire.device.changes.isEmpty)
  }

  @Test func expectContinueIsServedOnlyWhenTheBodyIsWanted() async throws {
    let wire = try await Wire()
    let head = "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"
    let first = try await wire.ask(head)
    #expect(first.status == 100)
    let second = try await wire.ask("{\"on\":true}")
    #expect(second.status == 200)
    let other = try await Wire(.viewer)
    let refused = try await other.ask(head)
    #expect(refused.status == 403 && refused.closes)
    #expect(other.device.changes.isEmpty)
  }

  @Test func slowHeadAndSlowBodyTimeOut() async throws {
    let head = try await Wire()
    try await head.send("GET /v1/info HTTP/1.1\r\n")
    await head.advance(9_999)
    try await head.drain()
    #expect(head.received.isEmpty)
    await head.advance(2)
    let first = try #require(try await head.answer())
    #expect(first.status == 408 && first.closes)

    let body = try await Wire()
    try await body.send("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{")
    await body.advance(10_001)
    let second = try #require(try await body.answer())
    #expect(second.status == 408 && second.closes)
    #expect(body.device.changes.isEmpty)
  }

  @Test func idleConnectionIsClosedWithoutAWord() async throws {
    let wire = try await Wire()
    _ = try await wire.request("GET", "/v1/info")
    await wire.advance(59_000)
    #expect(wire.channel.isActive)
    await wire.advance(1_001)
    try await wire.drain()
    #expect(!wire.channel.isActive)
    #expect(wire.received.isEmpty)
  }

  @Test func eachRequestGivesTheConnectionItsTimeAnew() async throws {
    let wire = try await Wire()
    for _ in 0..<3 {
      _ = try await wire.request("GET", "/v1/info")
      await wire.advance(59_000)
      #expect(wire.channel.isActive)
    }
    // A head that is under way is waited for as a head, and not as an idle connection.
    try await wire.send("GET /v1/info HTTP/1.1\r\n")
    await wire.advance(9_999)
    #expect(wire.channel.isActive)
    let answer = try await wire.ask("Host: h\r\n\r\n")
    #expect(answer.status == 200)
    await wire.advance(60_001)
    try await wire.drain()
    #expect(!wire.channel.isActive)
  }

  @Test func closeIsHonoured() async throws {
    let wire = try await Wire()
    let answer = try await wire.request("GET", "/v1/info", ["Connection: keep-alive, Close"])
    #expect(answer.status == 200 && answer.closes)
    await wire.channel.testingEventLoop.run()
    #expect(!wire.channel.isActive)
  }

  @Test func shutdownEndsAnIdleConnection() async throws {
    let wire = try await Wire()
    let channel = wire.channel
    try await channel.testingEventLoop.executeInContext { channel.pipeline.fireUserInboundEventTriggered(APIShutdown()) }
    await channel.testingEventLoop.run()
    #expect(!wire.channel.isActive)
  }
}
