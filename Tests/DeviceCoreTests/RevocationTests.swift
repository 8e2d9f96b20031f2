import Crypto
import DeviceCore
import Foundations
import Identity
import SupervisorLink
import TLS
import Testing

/// The owner's revocation list in the whole runtime: who is withdrawn is out at once, and stays out.
extension EndToEndTests {
  private func list(_ number: UInt64, _ people: [ClientCredentials], of owner: Owner? = nil) throws -> CertificateRevocationList {
    let entries = try people.map { RevokedCertificate(serial: try #require($0.chain.first?.serial), revoked_s: testClock.now_s()) }
    return try (owner ?? self.owner).issuer.revocationList(number: number, revoked: entries, now_s: testClock.now_s())
  }

  private func put(_ list: CertificateRevocationList, by admin: TestClient) async throws -> TestClient.Answer {
    try await admin.ask("PUT", "/v1/revocations", body: "{\"list\":\(quoted(list.pem))}")
  }

  /// Why a connection with these credentials is refused, nil where it is served.
  private func refusal(_ runtime: TestRuntime, _ credentials: ClientCredentials, context: TLSClientContext? = nil) async throws -> TLSError? {
    let client = try await TestClient.connect(port: try await runtime.port(), credentials, trust: ownerTrust, context: context)
    do {
      _ = try await client.ask("GET", "/v1/info")
      return nil
    } catch {
      #expect(client.text.isEmpty)
      return client.error
    }
  }

  @Test func aWithdrawnPersonIsOutAtOnceAndStaysOut() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let ada = try person(.admin)
    let eve = try person(.admin)
    let admin = try await connect(runtime, ada, trust: ownerTrust)
    #expect(try await admin.ask("GET", "/v1/revocations").body == "{\"number\":0,\"revoked\":[]}")

    // Eve holds a connection, a stream and a ticket.
    let context = try TLSClientContext(chain: eve.chain, key: eve.key, trust: ownerTrust, clock: testClock)
    #expect(try await refusal(runtime, eve, context: context) == nil)
    let kept = try await connect(runtime, eve, trust: ownerTrust)
    #expect(try await kept.ask("GET", "/v1/logs").status == 200)
    let stream = try await connect(runtime, eve, trust: ownerTrust)
    try await stream.send("GET /v1/logs HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
    try await eventually("the stream's head") { stream.text.contains("text/event-stream") }

    let withdrawn = try list(1, [eve])
    let done = try await put(withdrawn, by: admin)
    let serial = try #require(eve.chain.first?.serial)
    #expect(done.status == 200 && done.body == "{\"number\":1,\"revoked\":[\"\(serial)\"]}", "\(done.body)")
    try await eventually("Eve's connections are closed") { kept.isClosed && stream.isClosed }
    #expect(!stream.text.contains("brought revocation list"), "nothing is told to her after it counts")
    #expect(try await refusal(runtime, eve)?.alert == .certificateRevoked)
    #expect(try await refusal(runtime, eve, context: context)?.alert == .certificateRevoked)
    #expect(try await admin.ask("GET", "/v1/revocations").body == done.body)
    #expect(try await admin.ask("GET", "/v1/logs").body.contains("was withdrawn by its owner"))
    #expect(await runtime.supervisor.revocations == [withdrawn.der])

    // After a restart both the runtime and a supervisor that is new hear of it again.
    try await runtime.end()
    let next = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder)
    #expect(try await refusal(next, eve)?.alert == .certificateRevoked)
    #expect(try await refusal(next, ada) == nil)
    #expect(await next.supervisor.revocations == [withdrawn.der])
    try await next.end()
  }

  @Test func listsThatAreNotTheNextAreRefused() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let (ada, eve, viewer) = (try person(.admin), try person(.operator), try person(.viewer))
    let admin = try await connect(runtime, ada, trust: ownerTrust)
    #expect(try await put(try list(5, [eve]), by: admin).status == 200)
    #expect(try await put(try list(5, [eve]), by: admin).status == 409, "the same number, other bytes")

    func refused(_ list: CertificateRevocationList, _ status: Int, _ code: String) async throws {
      let answer = try await put(list, by: admin)
      #expect(answer.status == status && answer.body.contains("urn:haechi:problem:\(code)"), "\(answer.body)")
    }
    try await refused(try list(4, [eve, viewer]), 409, "list-older")
    try await refused(try list(6, [viewer]), 422, "list-refused")
    try await refused(try list(6, [eve], of: try Owner()), 422, "list-refused")
    try await refused(try list(6, [eve, ada]), 409, "list-withdraws-sender")
    let malformed = try await admin.ask("PUT", "/v1/revocations", body: "{\"list\":\"pem\"}")
    #expect(malformed.status == 422 && malformed.body.contains("list-malformed"))
    let looker = try await connect(runtime, viewer, trust: ownerTrust)
    #expect(try await put(try list(6, [eve]), by: looker).status == 403)

    // What the supervisor does not take does not count here either.
    await runtime.supervisor.answerRevocations(with: .refused)
    try await refused(try list(6, [eve, viewer]), 409, "list-refused")
    await runtime.supervisor.answerRevocations(with: .done)
    #expect(try await admin.ask("GET", "/v1/revocations").body.contains("\"number\":5"))
    #expect(try await looker.ask("GET", "/v1/info").status == 200)
    try await runtime.end()
  }

  @Test func aListThatCannotBeReadLetsNobodyIn() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    try await runtime.end()
    runtime.folder.write("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", to: "revocations.pem")
    let next = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder)
    #expect(try await refusal(next, try person(.admin))?.alert == .certificateRevoked)
    try await next.end()
  }
}
