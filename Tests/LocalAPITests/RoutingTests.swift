import NIOCore
import NIOEmbedded
import Testing

@testable import LocalAPI

/// Paths, methods, roles, media types and bodies.
@Suite struct RoutingTests {
  static let label = #"{"salt":"00","n":1,"r":8,"p":1,"storedKey":"00"}"#
  static let goodBodies: [Operation: String] = [
    .putActuator: #"{"on":true}"#,
    .putProvisioning: #"{"serialNumber":"HC-1","certificateChain":"pem","label":\#(label)}"#,
    .postRelease: #"{"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .putCloud: #"{"host":"broker.example","port":8883,"authority":"pem","event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .postClaim: #"{"ownerCertificate":"pem","certificateChain":"pem","proof":"00"}"#,
    .putRevocations: #"{"list":"pem"}"#,
    .putAudit: #"{"export":false}"#,
    .putRenewal: #"{"certificateChain":"pem"}"#,
    .postTransfer: #"{"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .putDiscovery: #"{"on":true,"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .putPeer: #"{"scope":[],"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .putRecoveryKey: #"{"sealedKey":"5a","event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .deleteRecoveryKey: #"{"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
    .deletePeer: #"{"event":1,"nonce":"5a","certificate":"pem","signature":"30"}"#,
  ]

  /// A target that the endpoint takes.
  static func goodTarget(_ endpoint: Endpoint) -> String {
    switch endpoint.operation {
    case .putPeer, .deletePeer: endpoint.path.replacing("{name}", with: "aabbccddeeff00112233")
    case .getPeerHello: endpoint.path + "?versions=1&capabilities=readings"
    default: endpoint.path.replacing("{name}", with: "relay")
    }
  }

  /// Every role on every endpoint: exactly the table.
  @Test func rolesAreExactlyTheTable() async throws {
    for endpoint in endpointTable {
      for role in CallerRole.allCases {
        let wire = try await Wire(role)
        let answer = try await wire.request(endpoint.method, Self.goodTarget(endpoint), [], body: Self.goodBodies[endpoint.operation])
        #expect(answer.status == (endpoint.roles.contains(role) ? 200 : 403), "\(role) \(endpoint.method) \(endpoint.path)")
        if !endpoint.roles.contains(role) { #expect(wire.device.changes.isEmpty) }
      }
    }
  }

  @Test func refusedCallerIsTurnedAwayOnAKeptConnection() async throws {
    let wire = try await Wire(.admin)
    #expect(try await wire.request("GET", "/v1/logs").status == 200)
    wire.decide(.refused(reason: "The owner has changed."))
    let answer = try await wire.request("GET", "/v1/logs")
    #expect(answer.status == 403 && answer.closes)
    #expect(answer.text.contains("The owner has changed."))
  }

  @Test func callerIsJudgedAgainWhenTheBodyIsThere() async throws {
    let wire = try await Wire(.operator)
    try await wire.send("PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{")
    wire.decide(.allowed(.viewer, name: "viewer kim"))
    let answer = try await wire.ask("\"on\":true}")
    #expect(answer.status == 403)
    #expect(wire.device.changes.isEmpty)
  }

  @Test(arguments: [
    "/", "/v1", "/v1/", "/v1/info/", "/V1/info", "/v1//info", "/v1/../v1/info", "/v1/%69nfo", "/v1/actuators/", "/v1/actuators/a/b", "/favicon.ico",
  ])
  func unknownPaths(_ path: String) async throws {
    let wire = try await Wire()
    let answer = try await wire.request("GET", path)
    #expect(answer.status == 404 && !answer.closes)
    #expect(answer.text.contains("\"instance\":\"\(path)\""))
    #expect(try await wire.request("GET", "/v1/info").status == 200)
  }

  @Test(arguments: ["HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "POST", "BREW"]) func wrongMethods(_ method: String) async throws {
    let wire = try await Wire()
    let answer = try await wire.request(method, "/v1/actuators/relay")
    #expect(answer.status == 405)
    #expect(answer["allow"] == "GET, PUT")
    #expect(wire.device.changes.isEmpty)
  }

  @Test func acceptDecides() async throws {
    let wire = try await Wire()
    for accept in ["application/json", "*/*", "application/*;q=0.1", "text/html, application/json;q=0.9", "text/html,*/*;q=0.5"] {
      #expect(try await wire.request("GET", "/v1/info", ["Accept: \(accept)"]).status == 200, "\(accept)")
    }
    for accept in ["text/html", "application/json;q=0", "*/*;q=0", "application/json;q=0, */*", "text/event-stream", "nonsense"] {
      #expect(try await wire.request("GET", "/v1/info", ["Accept: \(accept)"]).status == 406, "\(accept)")
    }
    #expect(negotiate(["text/event-stream, */*;q=0.1"], offered: [.json, .eventStream]) == .eventStream)
    #expect(negotiate(["*/*"], offered: [.json, .eventStream]) == .json)
    #expect(negotiate(["application/json;q=0.5", "text/*"], offered: [.json, .eventStream]) == .eventStream)
  }

  @Test func contentTypeDecides() async throws {
    let body = "{\"on\":true}"
    for (fields, status) in [
      (["Content-Type: application/json"], 200), (["Content-Type: application/json; charset=UTF-8"], 200), ([], 415), (["Content-Type: text/plain"], 415),
      (["Content-Type: application/json; charset=latin1"], 415), (["Content-Type: application/json", "Content-Type: application/json"], 415),
      (["Content-Type: application/json", "Content-Encoding: gzip"], 415),
    ] {
      let wire = try await Wire()
      let all = fields + ["Host: h", "Content-Length: \(body.utf8.count)"]
      let answer = try await wire.ask("PUT /v1/actuators/relay HTTP/1.1\r\n\(all.map { $0 + "\r\n" }.joined())\r\n\(body)")
      #expect(answer.status == status, "\(fields)")
      #expect(wire.device.changes.count == (status == 200 ? 1 : 0))
    }
  }

  static let badBodies: [(String, String, String?)] = [
    (#"{"on":true"#, "json-invalid", nil), (#"{"on":tru}"#, "json-invalid", nil), (#"{"on":true}x"#, "json-invalid", nil),
    (#"{"on":true,}"#, "json-invalid", nil), (#"{on:true}"#, "json-invalid", nil), (#"{"on":01}"#, "json-invalid", nil),
    (#"{"on":"\ud800"}"#, "json-invalid", nil), ("\u{feff}{\"on\":true}", "json-invalid", nil), (#"{"on":NaN}"#, "json-invalid", nil),
    (#"{"on":true,"off":false}"#, "field-unknown", "off"), (#"{"on":true,"o\u006e":false}"#, "field-duplicate", "on"),
    (#"{"on":1}"#, "field-type", "on"), (#"{"on":"true"}"#, "field-type", "on"), (#"{"on":null}"#, "field-type", "on"),
    (#"{"on":{"on":true}}"#, "field-type", "on"), (#"{}"#, "field-missing", "on"), (#"[true]"#, "field-type", nil), (#"true"#, "field-type", nil),
    (String(repeating: "[", count: 17) + String(repeating: "]", count: 17), "json-too-deep", nil),
    (#"{"on":"# + String(repeating: "[", count: 5_000), "json-too-deep", nil),
  ]

  @Test(arguments: badBodies.indices) func badBodiesNameTheField(_ index: Int) async throws {
    let (body, code, field) = Self.badBodies[index]
    let wire = try await Wire()
    let answer = try await wire.request("PUT", "/v1/actuators/relay", [], body: body)
    #expect(answer.status == 400, "\(body.prefix(60))")
    #expect(answer.text.contains("\"type\":\"urn:haechi:problem:\(code)\""), "\(answer.text)")
    if let field { #expect(answer.text.contains("\"field\":\"\(field)\"")) }
    #expect(wire.device.changes.isEmpty)
    #expect(!answer.closes)
  }

  @Test func brokenUTF8IsRefused() async throws {
    for bytes: [UInt8] in [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]] {
      let wire = try await Wire()
      let body = Array("{\"on\":true,\"".utf8) + bytes + Array("\":1}".utf8)
      let head = "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
      try await wire.send(Array(head.utf8) + body)
      let answer = try #require(try await wire.answer())
      #expect(answer.status == 400 && answer.text.contains("UTF-8"))
      #expect(wire.device.changes.isEmpty)
    }
  }

  @Test func queriesAreStrict() async throws {
    let wire = try await Wire()
    #expect(try await wire.request("GET", "/v1/logs?after=41").text.contains("\"sequence\":42"))
    for query in ["after=", "after=-1", "after=x", "after=1&after=2", "after", "before=1", "after=1&x=y", "after=99999999999999999999", "&"] {
      #expect(try await wire.request("GET", "/v1/logs?\(query)").status == 400, "\(query)")
    }
    #expect(try await wire.request("GET", "/v1/info?x=1").status == 400)
  }

  @Test func unknownActuatorIsNamed() async throws {
    let wire = try await Wire()
    let answer = try await wire.request("GET", "/v1/actuators/rocket")
    #expect(answer.status == 404 && answer.text.contains("no actuator rocket; it has: relay"))
    #expect(try await wire.request("PUT", "/v1/actuators/rocket", [], body: "{\"on\":true}").status == 404)
  }

  @Test func aLabelHasItsMembersAndNoOthers() async throws {
    let wire = try await Wire(.station)
    for label in ["{}", "[]", "1", Self.label.replacing("}", with: #","code":"X"}"#), Self.label.replacing("1,", with: #""1","#)] {
      let answer = try await wire.request("PUT", "/v1/provisioning", [], body: #"{"serialNumber":"HC-1","certificateChain":"pem","label":\#(label)}"#)
      #expect(answer.status == 400, "\(label)")
    }
    #expect(wire.device.changes.isEmpty)
  }

  @Test func aClaimIsBoundToItsConnection() async throws {
    let wire = try await Wire(.claimant)
    let locked = try await wire.request("POST", "/v1/claim", [], body: #"{"ownerCertificate":"pem","proof":"locked"}"#)
    #expect(locked.status == 429 && locked["retry-after"] == "3600" && locked.text.contains("urn:haechi:problem:locked-out"))
    let done = try await wire.request("POST", "/v1/claim", [], body: #"{"ownerCertificate":"pem","certificateChain":"pem","proof":"00"}"#)
    #expect(done.status == 200 && done.closes && wire.device.changes.first?.hasPrefix("claim over 32 bytes of connection 7 by ") == true)
    let offer = try await Wire(.claimant).request("GET", "/v1/claim")
    #expect(offer.text.contains(String(repeating: "09", count: 32)))
  }

  @Test func lifeCycleChangesEndTheirConnection() async throws {
    let wire = try await Wire(.station)
    let answer = try await wire.request("PUT", "/v1/provisioning", [], body: #"{"serialNumber":"HC-1","certificateChain":"pem","label":\#(Self.label)}"#)
    #expect(answer.status == 200 && answer.closes)
    #expect(wire.device.changes == ["provision HC-1 by connection 7"])
  }
}
