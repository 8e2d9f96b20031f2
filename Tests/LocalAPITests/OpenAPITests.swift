import FoundationEssentials
import Testing

@testable import LocalAPI

/// docs/openapi.json and the code say the same.
@Suite struct OpenAPITests {
  struct Described {
    let endpoint: Endpoint
    let operation: JSONValue
  }
  let document: JSONValue
  let checker: SchemaChecker
  let described: [Described]

  init() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    document = try JSONValue(Array(try Data(contentsOf: root.appending(path: "docs/openapi.json"))))
    checker = SchemaChecker(document: document)
    let paths = document["paths"]?.members ?? [:]
    described = endpointTable.compactMap { endpoint in
      paths[endpoint.path]?[endpoint.method.lowercased()].map { Described(endpoint: endpoint, operation: $0) }
    }
  }

  @Test func theFileHasExactlyTheTable() throws {
    #expect(document["openapi"]?.text?.hasPrefix("3.1.") == true)
    let inFile = Set((document["paths"]?.members ?? [:]).flatMap { path, methods in methods.members.keys.map { "\($0.uppercased()) \(path)" } })
    #expect(inFile == Set(endpointTable.map { "\($0.method) \($0.path)" }))
    #expect(described.count == endpointTable.count)
    #expect(Set(endpointTable.map(\.operation)) == Set(Operation.allCases))
    for item in described {
      let (endpoint, operation) = (item.endpoint, item.operation)
      #expect(operation["operationId"]?.text == endpoint.operation.rawValue)
      #expect(Set(operation["x-haechi-roles"]?.elements.compactMap(\.text) ?? []) == Set(endpoint.roles.map(\.rawValue)), "\(endpoint.path)")
      #expect(Set(operation["responses"]?.members.keys.compactMap { Int($0) } ?? []) == endpoint.allStatuses, "\(endpoint.method) \(endpoint.path)")
      #expect((operation["requestBody"] != nil) == endpoint.takesBody)
      #expect(Set(operation["responses"]?["200"]?["content"]?.members.keys.map { $0 } ?? []) == Set(endpoint.offered.map(\.rawValue)))
      let parameters = operation["parameters"]?.elements ?? []
      #expect(Set(parameters.filter { $0["in"]?.text == "query" }.compactMap { $0["name"]?.text }) == endpoint.parameters)
      #expect(parameters.contains { $0["in"]?.text == "path" } == endpoint.path.contains("{name}"))
    }
  }

  @Test func everyReferenceLeadsSomewhere() {
    func references(_ value: JSONValue) -> [String] {
      switch value {
      case .object(let members): members.flatMap { $0.key == "$ref" ? [$0.value.text ?? ""] : references($0.value) }
      case .array(let elements): elements.flatMap(references)
      default: []
      }
    }
    let all = references(document)
    #expect(all.count > 100)
    for reference in Set(all) { #expect(checker.resolve(reference) != nil, "\(reference)") }
  }

  /// The schema of a JSON body, and its example.
  private func json(_ content: JSONValue?) -> (schema: JSONValue, example: JSONValue)? {
    guard let media = content?["application/json"], let schema = media["schema"], let example = media["example"] else { return nil }
    return (schema, example)
  }

  @Test func examplesFitTheirSchemasAndTheCodesTypes() throws {
    let types: [Operation: any Decodable.Type] = [
      .getInfo: InfoDocument.self, .getStatus: StatusDocument.self, .getReadings: ReadingsDocument.self, .getActuators: ActuatorsDocument.self,
      .getActuator: ActuatorDocument.self, .putActuator: ActuatorDocument.self, .getInputs: InputsDocument.self, .getLogs: LogsDocument.self,
      .getEvents: EventsDocument.self, .getGuard: GuardDocument.self, .postRelease: GuardDocument.self, .getCloud: CloudDocument.self,
      .putCloud: CloudDocument.self, .getRevocations: RevocationsDocument.self, .putRevocations: RevocationsDocument.self,
      .getAudit: AuditDocument.self, .putAudit: AuditSetting.self,
      .getProvisioning: ProvisioningDocument.self, .putProvisioning: LifeCycleDocument.self, .postRemake: LifeCycleDocument.self,
      .getClaim: ClaimOfferDocument.self,
      .postClaim: LifeCycleDocument.self, .getReceipt: WipeReceiptDocument.self,
      .getCredential: CredentialDocument.self, .postRenewal: RenewalOfferDocument.self,
      .putRenewal: CredentialDocument.self, .postTransfer: LifeCycleDocument.self, .getRecoveryKey: RecoveryKeyDocument.self,
      .postRecoveryKey: RecoveryOfferDocument.self, .putRecoveryKey: RecoveryKeyDocument.self, .deleteRecoveryKey: RecoveryKeyDocument.self,
      .getPeers: PeersDocument.self, .putPeer: PeersDocument.self,
      .deletePeer: PeersDocument.self, .getPeerHello: PeerHelloDocument.self, .getPeerReading: ReadingDocument.self,
      .putDiscovery: DiscoveryDocument.self,
    ]
    for item in described where item.endpoint.offered.contains(.json) {
      let (schema, example) = try #require(json(item.operation["responses"]?["200"]?["content"]), "\(item.endpoint.path)")
      #expect(checker.faults(example, schema).isEmpty, "\(item.endpoint.path) \(checker.faults(example, schema))")
      let type = try #require(types[item.endpoint.operation])
      _ = try JSONDecoder().decode(type, from: Data(example.encoded.utf8))
    }
    let requests: [Operation: any RequestDocument.Type] = [
      .putActuator: ActuatorRequest.self, .postRelease: ReleaseRequest.self, .putCloud: CloudRequest.self,
      .putRevocations: RevocationsRequest.self, .putAudit: AuditSetting.self, .putProvisioning: ProvisioningRequest.self,
      .postClaim: ClaimRequest.self, .putRenewal: RenewalRequest.self, .postTransfer: StatementRequest.self, .putPeer: PeerRequest.self,
      .deletePeer: StatementRequest.self, .putDiscovery: DiscoveryRequest.self, .putRecoveryKey: RecoveryKeyRequest.self,
      .deleteRecoveryKey: StatementRequest.self,
    ]
    for item in described where item.endpoint.takesBody {
      let (schema, example) = try #require(json(item.operation["requestBody"]?["content"]))
      #expect(checker.faults(example, schema).isEmpty)
      let type = try #require(requests[item.endpoint.operation])
      _ = try decodeRequest(type, from: Array(example.encoded.utf8), limits: APILimits())
      // What the schema describes is exactly what the code knows.
      let properties = schema["$ref"]?.text.flatMap { checker.resolve($0) }?["properties"]?.members.keys.map { $0 } ?? []
      #expect(Set(properties) == type.fieldNames)
    }
  }

  @Test func answersOfTheRunningRouterFitTheFile() async throws {
    for item in described {
      let (endpoint, operation) = (item.endpoint, item.operation)
      let path = endpoint.path.replacing("{name}", with: "relay")
      let body = json(operation["requestBody"]?["content"])?.example.encoded
      for role in CallerRole.allCases {
        let wire = try await Wire(role)
        let answer = try await wire.request(endpoint.method, path, [], body: body)
        try checkAnswer(answer, operation, "\(role) \(endpoint.method) \(path)")
        for name in operation["responses"]?["200"]?["headers"]?.members.keys.map({ $0 }) ?? [] { #expect(answer[name] != nil) }
      }
    }
  }

  @Test func refusalsFitTheFile() async throws {
    for item in described {
      let (endpoint, operation) = (item.endpoint, item.operation)
      let path = endpoint.path.replacing("{name}", with: "rocket")
      let role = try #require(endpoint.roles.first)
      let big = String(repeating: "x", count: 16_385)
      let start = "\(endpoint.method) \(path)"
      for text in [
        "\(start) HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n", "\(start)?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "\(start) HTTP/1.0\r\nHost: h\r\n\r\n",
        "\(start) HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
        "\(start) HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n{}",
        "\(start) HTTP/1.1\r\nHost: h\r\nContent-Length: \(big.utf8.count)\r\n\r\n\(big)", "\(start) HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\(start) HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n", "\(start) HTTP/1.1\r\nHost: h\r\nX: \(big)\r\n\r\n",
        "BREW \(path) HTTP/1.1\r\nHost: h\r\n\r\n", "\(start)?\(big.prefix(1_100)) HTTP/1.1\r\nHost: h\r\n\r\n",
      ] {
        let wire = try await Wire(role)
        let answer = try await wire.ask(text)
        #expect(answer.status >= 400)
        try checkAnswer(answer, operation, "\(text.prefix(60))")
        #expect(wire.device.changes.isEmpty)
      }
    }
  }

  private func checkAnswer(_ answer: WireAnswer, _ operation: JSONValue, _ what: String) throws {
    guard var response = operation["responses"]?["\(answer.status)"] else {
      Issue.record("\(what): \(answer.status) is not described")
      return
    }
    if let reference = response["$ref"]?.text { response = try #require(checker.resolve(reference)) }
    let type = try #require(answer["content-type"])
    let schema = try #require(response["content"]?[type]?["schema"], "\(what): \(type) is not described for \(answer.status)")
    guard type != MediaType.eventStream.rawValue else { return }
    let faults = checker.faults(try JSONValue(answer.body), schema)
    #expect(faults.isEmpty, "\(what): \(faults)")
    if answer.status >= 400 { #expect(try JSONValue(answer.body)["status"] == .integer(answer.status)) }
  }
}
