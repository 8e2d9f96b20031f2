import Crypto
import Foundations
import Identity
import TLS
import Testing

/// A renewal over the wire: the new certificate counts once an admin's connection has accepted it.
extension EndToEndTests {
  private func serial(_ body: String) -> String? {
    body.ranges(of: "\"certificate\":").first.flatMap { member("serialNumber", of: String(body[$0.upperBound...])) }
  }

  /// A client that asks for the device's candidate by its name.
  private func connectToCandidate(_ runtime: TestRuntime, _ credentials: ClientCredentials, _ device: DeviceIdentifier) async throws -> TestClient {
    let context = try TLSClientContext(
      chain: credentials.chain, key: credentials.key, trust: ownerTrust, clock: testClock, serverName: OperationalDeviceProfile.renewalName(device))
    return try await TestClient.connect(port: try await runtime.port(), credentials, trust: ownerTrust, context: context)
  }

  @Test func aRenewalIsProvedByAnAdminsHandshake() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    let viewer = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    let before = try await viewer.ask("GET", "/v1/credential")
    #expect(before.status == 200 && before.body.contains("\"renewal\":\"none\""), "\(before.body)")
    #expect(try await viewer.ask("POST", "/v1/credential/renewal", "Content-Length: 0\r\n").status == 403)
    let offer = try await admin.ask("POST", "/v1/credential/renewal", "Content-Length: 0\r\n")
    let device = try #require(member("deviceId", of: offer.body).flatMap { DeviceIdentifier($0) })
    let chain = try owner.sign(try #require(member("certificateRequest", of: offer.body)), device: device)
    let fresh = try Certificate(pem: chain)
    #expect(try await viewer.ask("PUT", "/v1/credential/renewal", body: "{\"certificateChain\":\(quoted(chain))}").status == 403)
    let installed = try await admin.ask("PUT", "/v1/credential/renewal", body: "{\"certificateChain\":\(quoted(chain))}")
    #expect(installed.status == 200 && installed.body.contains("\"renewal\":\"proving\""), "\(installed.body)")

    // Whoever does not ask for it sees the old one; a viewer who does proves nothing.
    let usual = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    _ = try await usual.ask("GET", "/v1/info")
    #expect(usual.handshake?.peer?.publicKeyDigest != fresh.publicKeyDigest)
    let curious = try await connectToCandidate(runtime, try person(.viewer), device)
    let stillProving = try await curious.ask("GET", "/v1/credential")
    #expect(curious.handshake?.peer == fresh && stillProving.body.contains("\"renewal\":\"proving\""))

    let proof = try await connectToCandidate(runtime, try person(.admin), device)
    try await eventually("the new certificate is in use") {
      serial(try await proof.ask("GET", "/v1/credential").body) == hexadecimal(fresh.serialNumber)
    }
    #expect(proof.handshake?.peer == fresh)
    // Who was connected stays so; who comes sees the new one.
    #expect(try await admin.ask("GET", "/v1/credential").body.contains("\"previous\""))
    let late = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    _ = try await late.ask("GET", "/v1/info")
    #expect(late.handshake?.peer == fresh)
    try await runtime.end()

    let again = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder)
    let after = try await connect(again, try person(.viewer), trust: ownerTrust)
    _ = try await after.ask("GET", "/v1/info")
    #expect(after.handshake?.peer == fresh)
    try await again.end()
  }
}
