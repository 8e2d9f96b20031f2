import Foundations
import Testing

@testable import LocalAPI

/// What a peer reaches, and how a device is named.
@Suite struct PeerRoutingTests {
  private static let id = "aabbccddeeff00112233"
  private let statement = "\"event\":0,\"nonce\":\"\(String(repeating: "5a", count: 32))\",\"certificate\":\"pem\",\"signature\":\"3045\""

  @Test func aPeerReachesWhatIsMadeForPeersAndNothingElse() async throws {
    for endpoint in endpointTable {
      let isForPeers = endpoint.path.hasPrefix("/v1/peer/")
      #expect(endpoint.roles.contains(.peer) == isForPeers, "\(endpoint.method) \(endpoint.path)")
      if isForPeers { #expect(endpoint.roles == [.peer]) }
      let wire = try await Wire(.peer)
      let body = endpoint.takesBody ? "{}" : nil
      let answer = try await wire.request(endpoint.method, endpoint.path.replacing("{name}", with: Self.id), [], body: body)
      #expect((answer.status == 403) == !isForPeers, "\(endpoint.method) \(endpoint.path): \(answer.status)")
      #expect(wire.device.changes.isEmpty)
    }
  }

  @Test func aHelloBringsVersionsAndCapabilities() async throws {
    let wire = try await Wire(.peer)
    let answer = try await wire.request("GET", "/v1/peer/hello?versions=1,3&capabilities=readings,orders", [], body: nil)
    #expect(answer.status == 200 && answer.text.contains("\"version\":3") && answer.text.contains("\"agreed\":[\"readings\",\"orders\"]"), "\(answer.text)")
    // Who asks is known by the certificate.
    #expect(answer.text.contains("of \(Self.id)"))
    for query in [
      "", "?versions=1", "?capabilities=readings", "?versions=&capabilities=readings", "?versions=0&capabilities=readings", "?versions=1,&capabilities=a",
      "?versions=a&capabilities=readings", "?versions=65536&capabilities=a", "?versions=-1&capabilities=a", "?versions=1&capabilities=A",
      "?versions=1&capabilities=a%20b", "?versions=\(Array(repeating: "1", count: 17).joined(separator: ","))&capabilities=a",
      "?versions=1&capabilities=\(String(repeating: "a", count: 32))",
    ] {
      let answer = try await Wire(.peer).request("GET", "/v1/peer/hello" + query, [], body: nil)
      #expect(answer.status == 400 && answer.text.contains("parameter-invalid"), "\(query): \(answer.status)")
    }
  }

  @Test func aPeerIsNamedByItsIdInOneForm() async throws {
    let wire = try await Wire(.admin)
    let put = try await wire.request("PUT", "/v1/peers/\(Self.id)", [], body: "{\"scope\":[\"readings:a\"],\(statement)}")
    #expect(put.status == 200, "\(put.text)")
    #expect(try await wire.request("DELETE", "/v1/peers/\(Self.id)", [], body: "{\(statement)}").status == 200)
    #expect(wire.device.changes == ["peer \(Self.id) may [\"readings:a\"] by admin kim", "peer \(Self.id) removed by admin kim"])
    for name in [Self.id.uppercased(), String(Self.id.dropLast()), Self.id + "0", "attic"] {
      #expect(try await wire.request("PUT", "/v1/peers/\(name)", [], body: "{\"scope\":[],\(statement)}").status == 404)
      #expect(try await wire.request("DELETE", "/v1/peers/\(name)", [], body: "{\(statement)}").status == 404)
    }
    #expect(wire.device.changes.count == 2)
  }
}
