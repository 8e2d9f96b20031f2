import Crypto
import DeviceCore
import Foundations
import Identity
import SupervisorLink
import TLS
import Testing
import Vault

/// A product with something to keep.
private struct KeepingProduct: Product {
  let description = ProductDescription(
    manufacturer: "Bench", model: "node", readings: [], actuators: [.init("relay", safe: false)], inputs: ["button"], indicator: "status-led",
    kinds: [RecordKind<String>("setting", purpose: "What the owner wants.").declaration])
  func run(_ device: ProductContext) async throws { while true { try await Task.sleep(for: .seconds(60)) } }
}

/// What the runtime tells the supervisor for the audit log, and what it gives out of it.
extension EndToEndTests {
  private func words(_ events: [AuditEvent], _ kind: AuditEvent.Kind) -> [String] {
    events.filter { $0.kind == kind }.flatMap(\.values).map {
      switch $0 {
      case .word(let word): word.text
      case .number(let number): String(number)
      }
    }
  }

  @Test func whatBelongsIntoTheAuditLogIsTold() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    // A proof of another label, with the button pressed.
    let claimant = try await connect(runtime, claimant(), trust: .authorityAnyName([maker.authority]))
    let wrong = try await claimBody(claimant, owner)
    try await press(runtime, claimant)
    let proof = try #require(member("proof", of: wrong))
    let refused = try await claimant.ask("POST", "/v1/claim", body: wrong.replacing(proof, with: String(repeating: "5a", count: proof.utf8.count / 2)))
    #expect(refused.status == 403, "\(refused.body)")
    try await eventually("it is told") { await runtime.supervisor.audited.contains { $0.kind == .claimRefused } }
    let told = await runtime.supervisor.audited
    #expect(told.map(\.kind) == [.serving, .provisioned, .claimRefused])
    #expect(words(told, .serving) == ["blank"] && words(told, .claimRefused) == ["1"])
    try await runtime.end()
  }

  @Test func theOwnersSwitchIsKeptAndTold() async throws {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    // This one has no log to give.
    #expect(try await admin.ask("GET", "/v1/audit").status == 503)
    #expect(try await admin.ask("PUT", "/v1/audit", body: "{\"export\":false}").body == "{\"export\":false}")
    let off = try await admin.ask("GET", "/v1/audit")
    #expect(off.status == 409 && off.body.contains("audit-export-off"))
    try await eventually("it is told") { await runtime.supervisor.audited.count >= 4 }
    let told = await runtime.supervisor.audited
    #expect(told.map(\.kind) == [.serving, .provisioned, .claimed, .exportSwitched] && words(told, .exportSwitched) == ["off"])
    try await runtime.end()
    let next = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder)
    let again = try await connect(next, try person(.admin), trust: ownerTrust)
    #expect(try await again.ask("GET", "/v1/audit").status == 409)
    // What cannot be read is off, and can be set anew.
    try await next.end()
    runtime.folder.write("{", to: "audit.json")
    let third = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder)
    let last = try await connect(third, try person(.admin), trust: ownerTrust)
    #expect(try await last.ask("GET", "/v1/audit").status == 409)
    #expect(try await last.ask("PUT", "/v1/audit", body: "{\"export\":true}").status == 200)
    #expect(try await last.ask("GET", "/v1/audit").status == 503)
    try await third.end()
  }

  @Test func damageIsTold() async throws {
    let runtime = try await TestRuntime(maker: maker, product: KeepingProduct())
    try await provision(runtime)
    try await claim(runtime)
    try await runtime.end()
    runtime.folder.write("not a vault", to: "product.vault")
    runtime.folder.write("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", to: "revocations.pem")
    let next = try await TestRuntime(maker: maker, product: KeepingProduct(), identity: runtime.identity, folder: runtime.folder)
    _ = try await next.port()
    try await eventually("it is told") { await next.supervisor.audited.count == 3 }
    let told = await next.supervisor.audited
    #expect(words(told, .serving) == ["owned"] && words(told, .storageDamaged) == ["product-data", "revocations"])
    try await next.end()
  }
}
