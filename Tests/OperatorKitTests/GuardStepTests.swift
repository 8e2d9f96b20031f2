import Crypto
import FoundationEssentials
import Foundations
import Identity
import Testing

@testable import OperatorKit

/// The steps that send an admin's statements, against prepared answers.
@Suite struct GuardStepTests {
  static let device = DeviceIdentifier("00112233445566778899")!
  private let folder: TemporaryFolder
  private let unlocked: UnlockedOwner
  private var owner: OwnerFolder { unlocked.owner }
  private let signer: StatementSigner

  init() throws {
    folder = try TemporaryFolder()
    unlocked = try makeOwner(folder.path + "/owner")
    try unlocked.ensureAdmin("ada", now_s: secondsNow())
    signer = try StatementSigner(try unlocked.owner.credential("ada", now_s: secondsNow()), owner: unlocked.owner.identifier, purpose: "release a device")
  }

  private func state(_ grade: String, event: Int, nonce: String) -> ScriptedServer.Answer {
    json(
      #"{"grade":"\#(grade)","cause":"\#(grade == "normal" ? "released" : "crash-loop")","evidence":"3 starts","event":\#(event),"sinceMicroseconds":5000000,"nonce":"\#(nonce)"}"#
    )
  }
  private func json(_ body: String) -> ScriptedServer.Answer { .init(status: "200 OK", type: "application/json", body: body) }
  private func problem(_ status: String, _ code: String) -> ScriptedServer.Answer {
    .init(status: status, type: "application/problem+json", body: #"{"type":"urn:haechi:problem:\#(code)","title":"T","detail":"Because."}"#)
  }
  private let one = String(repeating: "1", count: 64)
  private let two = String(repeating: "2", count: 64)

  private func over<Value: Sendable>(
    _ answers: [ScriptedServer.Answer], _ body: (DeviceClient) async throws(OperatorError) -> Value
  ) async throws -> (Value, [ScriptedServer.Request]) {
    try await ScriptedServer.with(answers) { server in
      let value = try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: .patient) { (connection) throws(OperatorError) in
        try await body(DeviceClient(connection))
      }
      return (value, server.requests)
    }
  }

  private func failure(_ answers: [ScriptedServer.Answer], _ body: (DeviceClient) async throws(OperatorError) -> some Sendable) async throws
    -> (OperatorError, [ScriptedServer.Request])
  {
    try await ScriptedServer.with(answers) { server in
      do throws(OperatorError) {
        _ = try await DeviceConnection.with(server.endpoint, security: .plain, deadlines: .patient) { (connection) throws(OperatorError) in
          try await body(DeviceClient(connection))
        }
      } catch {
        return (error, server.requests)
      }
      Issue.record("this should have been refused")
      return (OperatorError("none", ""), server.requests)
    }
  }

  private func release(_ client: DeviceClient) async throws(OperatorError) -> ReleasedDevice {
    try await GuardRelease.release(client, Self.device, signer)
  }

  /// Whether the device's supervisor would believe what a request's body says.
  private func verify(_ proof: StatementProof, _ kind: UInt8, body: [UInt8] = []) throws {
    let statement = try #require(
      OwnerStatement(kind: kind, device: Self.device, event: proof.event, nonce: bytes(hexadecimal: proof.nonce) ?? [], body: body))
    let name = try statement.verify(
      owner: owner.authority.der, certificate: try Certificate(pem: proof.certificate).der,
      signature: try #require(bytes(hexadecimal: proof.signature)), time_s: secondsNow())
    #expect(name.text == "ada")
  }

  private func proof(_ request: ScriptedServer.Request) throws -> StatementProof {
    try JSONDecoder().decode(StatementProof.self, from: Data(request.body.utf8))
  }

  @Test func aReleaseIsSignedForTheNewestEvent() async throws {
    let (done, requests) = try await over([state("quarantined", event: 7, nonce: one), state("normal", event: 8, nonce: two)], release)
    #expect(done.released && done.before.grade == "quarantined" && done.now.event == 8 && done.deviceId == Self.device.text)
    #expect(requests.map(\.line) == ["GET /v1/guard HTTP/1.1", "POST /v1/guard/release HTTP/1.1"])
    let proof = try proof(requests[1])
    #expect(proof.event == 7 && proof.nonce == one)
    try verify(proof, OwnerStatement.release)
  }

  @Test func aStatementThatCameTooLateIsSignedOnceMore() async throws {
    let stale = problem("409 Conflict", "statement-stale")
    let (done, requests) = try await over(
      [state("restricted", event: 7, nonce: one), stale, state("quarantined", event: 8, nonce: two), state("normal", event: 9, nonce: one)], release)
    #expect(done.released && done.before.event == 8)
    let second = try proof(requests[3])
    #expect(second.event == 8 && second.nonce == two)
    try verify(second, OwnerStatement.release)
    // Once more, and not for ever.
    let (error, asked) = try await failure(
      [state("restricted", event: 7, nonce: one), stale, state("restricted", event: 8, nonce: two), stale], release)
    #expect(error.code == "refused-by-device" && error.reason.contains("try again") && asked.count == 4, "\(error)")
  }

  @Test func aNormalDeviceIsLeftAlone() async throws {
    let (done, requests) = try await over([state("normal", event: 0, nonce: one)], release)
    #expect(!done.released && requests.count == 1)
  }

  @Test func whatGoesWrongIsTold() async throws {
    let (old, _) = try await failure([problem("404 Not Found", "not-found")], release)
    #expect(old.code == "refused-by-device" && old.reason.contains("older"), "\(old)")
    let (refused, asked) = try await failure([state("quarantined", event: 1, nonce: one), problem("403 Forbidden", "not-permitted")], release)
    #expect(refused.code == "refused-by-device" && refused.exitCode == 77 && asked.count == 2, "\(refused)")
    for nonce in ["", "11", String(repeating: "1", count: 63), String(repeating: "g", count: 64), String(repeating: "1", count: 66)] {
      let (error, requests) = try await failure([state("quarantined", event: 1, nonce: nonce)], release)
      #expect(error.code == "bad-answer" && error.reason.contains("nonce") && requests.count == 1, "\(error)")
    }
    let (again, _) = try await failure([state("quarantined", event: 1, nonce: one), state("quarantined", event: 2, nonce: two)], release)
    #expect(again.code == "bad-answer" && again.reason.contains("haechi logs"), "\(again)")
  }

  @Test func onlyAnAdminSigns() throws {
    for role in ["viewer", "operator"] {
      _ = try unlocked.addMember(role, role: role)
      let credential = try owner.credential(role, now_s: secondsNow())
      #expect {
        try StatementSigner(credential, owner: owner.identifier, purpose: "release a device")
      } throws: {
        let error = $0 as? OperatorError
        return error?.code == "not-permitted" && error?.exitCode == 77 && error?.reason.contains("only an admin may release a device") == true
          && error?.reason.contains("--as NAME") == true
      }
    }
    let stranger = try makeOwner(folder.path + "/stranger").owner
    let ada = try owner.credential("ada", now_s: secondsNow())
    #expect { try StatementSigner(ada, owner: stranger.identifier, purpose: "x") } throws: { ($0 as? OperatorError)?.code == "file-malformed" }
  }

  // MARK: the broker

  private func broker(_ address: String = "broker.example:8883") throws -> KnownBroker {
    try KnownBroker(address: address, authorityFile: folder.path + "/owner/ca.pem")
  }

  private func cloud(_ host: String, _ port: Int) -> ScriptedServer.Answer {
    json(#"{"state":"connecting","host":"\#(host)","port":\#(port),"published":0,"acknowledged":0,"dropped":0,"connections":0}"#)
  }

  @Test func aBindIsSignedForItsBroker() async throws {
    let broker = try broker("Broker.example")
    let (done, requests) = try await over([state("normal", event: 0, nonce: one), cloud("broker.example", 8883)]) {
      (client) throws(OperatorError) in
      try await CloudBinding.bind(client, Self.device, broker, signer)
    }
    #expect(done.broker == "broker.example:8883" && done.cloud.state == "connecting")
    #expect(requests.map(\.line) == ["GET /v1/guard HTTP/1.1", "PUT /v1/cloud HTTP/1.1"])
    let order = try JSONDecoder().decode(CloudOrder.self, from: Data(requests[1].body.utf8))
    #expect(order.host == "broker.example" && order.port == 8883)
    #expect(try Certificate(pem: order.authority) == owner.authority)
    let destination = try #require(CloudDestination(host: "broker.example", port: 8883))
    try verify(try proof(requests[1]), OwnerStatement.bindCloud, body: destination.encoded)
    let (strange, _) = try await failure([state("normal", event: 0, nonce: one), cloud("elsewhere.example", 8883)]) {
      (client) throws(OperatorError) in
      try await CloudBinding.bind(client, Self.device, broker, signer)
    }
    #expect(strange.code == "bad-answer" && strange.reason.contains("elsewhere.example"), "\(strange)")
  }

  @Test func theLastBrokerIsRemembered() throws {
    let home = OperatorHome(path: folder.path + "/home")
    #expect(try KnownBroker.load(home) == nil)
    for address in ["broker.example:1", "[fd00::1]:443", "127.0.0.1:8883"] {
      try broker(address).save(home)
      #expect(try KnownBroker.load(home) == broker(address) && KnownBroker.load(home)?.address == address)
      #expect(try mode(home.brokerFile) == 0o600)
    }
    for content in [
      "", "{}", #"{"version":2,"broker":"a:1","authority":""}"#, #"{"version":1,"broker":"a b","authority":""}"#,
      #"{"version":1,"broker":"a:1","authority":""}"#,
    ] {
      try PrivateFiles.write(Array(content.utf8), to: home.brokerFile, existing: .replace)
      #expect { try KnownBroker.load(home) } throws: {
        ($0 as? OperatorError)?.code == "file-malformed" && ($0 as? OperatorError)?.reason.contains(home.brokerFile) == true
      }
    }
  }

  @Test func anAuthorityThatIsNoneIsRefusedBeforeAnythingIsSent() throws {
    func refusal(_ address: String, _ file: String, now_s: Int64 = secondsNow()) -> OperatorError? {
      do throws(OperatorError) {
        _ = try KnownBroker(address: address, authorityFile: file, now_s: now_s)
        return nil
      } catch {
        return error
      }
    }
    let authority = folder.path + "/owner/ca.pem"
    #expect(refusal("broker.example", authority) == nil)
    #expect(refusal("broker.example", folder.path + "/owner/members/ada.pem")?.reason.contains("can sign no others") == true)
    #expect(refusal("broker.example", folder.path + "/owner/ca.key")?.code == "file-malformed")
    #expect(refusal("broker.example", folder.path + "/none")?.code == "file-missing")
    #expect(refusal("broker.example", authority, now_s: secondsNow() + 30 * 365 * 86_400)?.code == "certificate-expired")
    for address in ["", "broker_example", "fe80::1%eth0", "a.example:0", String(repeating: "a", count: 65), "1.2.3", "mqtts://a.example"] {
      #expect(refusal(address, authority)?.code == "bad-argument", "\(address)")
    }
  }
}
