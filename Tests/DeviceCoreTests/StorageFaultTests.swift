import Crypto
import DeviceCore
import Foundations
import Identity
import SupervisorLink
import TLS
import Testing
import Vault

/// The whole runtime on a storage that takes nothing: what is to be kept is refused in clear words, and the rest goes on.
extension EndToEndTests {
  private func storageEvents(_ client: TestClient) async throws -> [String] {
    let body = try await client.ask("GET", "/v1/events").body
    return ["storage-full", "storage-read-only", "storage-failing", "storage-writable"].flatMap { word in
      Array(repeating: word, count: body.components(of: "\"state\":\"\(word)\""))
    }
  }

  private func list(_ number: UInt64, _ people: [ClientCredentials]) throws -> String {
    let entries = try people.map { RevokedCertificate(serial: try #require($0.chain.first?.serial), revoked_s: testClock.now_s()) }
    return "{\"list\":\(quoted(try owner.issuer.revocationList(number: number, revoked: entries, now_s: testClock.now_s()).pem))}"
  }

  @Test(.enabled(if: SmallVolume.isPossible)) func aFullStorageRefusesWhatIsToBeKeptAndServesTheRest() async throws {
    let volume = try #require(SmallVolume())
    let runtime = try await TestRuntime(maker: maker, folder: volume.folder)
    try await provision(runtime)

    // A claim is refused as a whole, and works when there is room.
    volume.fill()
    let claimant = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    let body = try await claimBody(claimant, owner)
    try await press(runtime, claimant)
    let refused = try await claimant.ask("POST", "/v1/claim", body: body)
    #expect(refused.status == 507 && refused.body.contains("urn:haechi:problem:storage-full") && refused.body.contains("goes on as it was"), "\(refused.body)")
    volume.makeRoom()
    try await claim(runtime)

    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    let eve = try person(.operator)
    let watched = try await connect(runtime, eve, trust: ownerTrust)
    #expect(try await watched.ask("GET", "/v1/info").status == 200)
    try await eventually("the storage is well again") { try await admin.ask("GET", "/v1/status").body.contains("fault") == false }
    volume.fill()
    for _ in 0..<3 {
      let answer = try await admin.ask("PUT", "/v1/audit", body: "{\"export\":false}")
      #expect(answer.status == 507 && answer.body.contains("urn:haechi:problem:storage-full") && answer.body.contains("become less"), "\(answer.body)")
    }
    // Whom the owner withdraws is out whatever the storage does; the same list again is written once it can be.
    let withdrawal = try list(1, [eve])
    let unwritten = try await admin.ask("PUT", "/v1/revocations", body: withdrawal)
    #expect(unwritten.status == 507 && unwritten.body.contains("The list counts now"), "\(unwritten.body)")
    try await eventually("Eve is out") { watched.isClosed }
    #expect(try await admin.ask("PUT", "/v1/revocations", body: withdrawal).status == 507)

    // What needs no storage goes on.
    #expect(try await admin.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}").status == 200)
    #expect(try await admin.ask("GET", "/v1/readings").body.contains("temperature"))
    let status = try await admin.ask("GET", "/v1/status").body
    #expect(status.contains("\"fault\":{\"code\":\"storage-full\""), "\(status)")
    // One line and one event for each time, however many requests there were.
    #expect(try await storageEvents(admin) == ["storage-full", "storage-full", "storage-writable"])
    #expect(try await admin.ask("GET", "/v1/logs").body.components(of: "nothing is kept until") == 2)

    // Nobody asks for anything, and it is noticed.
    volume.makeRoom()
    try await eventually("the storage is well again") { try await storageEvents(admin).count == 4 }
    #expect(try await admin.ask("GET", "/v1/status").body.contains("fault") == false)
    #expect(try await admin.ask("PUT", "/v1/revocations", body: withdrawal).status == 200)
    #expect(volume.folder.read("revocations.pem")?.isEmpty == false && volume.folder.read("probe") == nil)
    try await runtime.end()
  }

  @Test(.enabled(if: SmallVolume.isPossible)) func aDeviceStartsOnAStorageThatIsReadOnlyAndIsNotDamaged() async throws {
    let volume = try #require(SmallVolume())
    let first = try await TestRuntime(maker: maker, folder: volume.folder)
    try await provision(first)
    try await claim(first)
    let ada = try person(.admin)
    let admin = try await connect(first, ada, trust: ownerTrust)
    // A renewal that nobody proved is given up by the next start, which cannot do it now.
    let offer = try await admin.ask("POST", "/v1/credential/renewal")
    let device = try #require(member("deviceId", of: offer.body).flatMap { DeviceIdentifier($0) })
    let chain = try owner.sign(try #require(member("certificateRequest", of: offer.body)), device: device)
    #expect(try await admin.ask("PUT", "/v1/credential/renewal", body: "{\"certificateChain\":\(quoted(chain))}").status == 200)
    volume.setReadOnly(true)
    try await eventually("it is noticed without a request") { try await storageEvents(admin) == ["storage-read-only"] }
    try await first.end()

    let next = try await TestRuntime(maker: maker, identity: first.identity, folder: volume.folder)
    let again = try await connect(next, ada, trust: ownerTrust)
    #expect(try await again.ask("GET", "/v1/info").body.contains("\"lifeCycleState\":\"owned\""))
    let answer = try await again.ask("PUT", "/v1/audit", body: "{\"export\":false}")
    #expect(answer.status == 503 && answer.body.contains("urn:haechi:problem:storage-read-only") && answer.body.contains("off and on"), "\(answer.body)")
    #expect(try await again.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}").status == 200)
    volume.setReadOnly(false)
    try await eventually("it is noticed") { try await again.ask("GET", "/v1/status").body.contains("fault") == false }
    #expect(try await again.ask("PUT", "/v1/audit", body: "{\"export\":false}").status == 200)
    try await next.end()
    let last = try await TestRuntime(maker: maker, identity: first.identity, folder: volume.folder)
    let kept = try await connect(last, ada, trust: ownerTrust)
    #expect(try await kept.ask("GET", "/v1/audit").body.contains("audit-export-off"))
    #expect(volume.folder.read("renewal.json") == nil)
    try await last.end()
  }
}

extension String {
  /// How often `part` is in it.
  fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
