import Crypto
import FoundationEssentials
import Foundations
import Glibc
import Identity
import LocalAPI
import SupervisorLink
import TLS
import Testing

/// Whole runtimes in this process that reach each other over loopback.
extension EndToEndTests {
  private struct Node {
    let runtime: TestRuntime
    let id: DeviceIdentifier
    let port: Int
    let admin: TestClient
  }

  private func node() async throws -> Node {
    let runtime = try await TestRuntime(maker: maker)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    // What `signed` is about.
    let nonce = [UInt8](repeating: 0x5a, count: 32)
    await runtime.supervisor.send(.grade(GradeReport(grade: .normal, cause: .none, event: 0, at_us: 0, decay_ms: 0, nonce: nonce, evidence: "")))
    try await eventually("the nonce is known") { try await admin.ask("GET", "/v1/guard").body.contains(hexadecimal(nonce)) }
    let info = try await admin.ask("GET", "/v1/info")
    let id = try #require(member("deviceId", of: info.body).flatMap { DeviceIdentifier($0) })
    return Node(runtime: runtime, id: id, port: try await runtime.port(), admin: admin)
  }

  private func signed(nonce: UInt8 = 0x5a) throws -> String {
    let person = try owner.person("ada", .admin)
    return
      "\"event\":0,\"nonce\":\"\(hexadecimal([UInt8](repeating: nonce, count: 32)))\",\"certificate\":\(quoted(person.certificate.pem)),\"signature\":\"3045\""
  }

  private func tell(_ node: Node, of peer: DeviceIdentifier, at host: String = "127.0.0.1", port: Int? = nil, scope: [String] = []) async throws {
    let place = port.map { "\"address\":\"\(host)\",\"port\":\($0)," } ?? ""
    let answer = try await node.admin.ask(
      "PUT", "/v1/peers/\(peer)", body: "{\(place)\"scope\":[\(scope.map(quoted).joined(separator: ","))],\(try signed())}")
    #expect(answer.status == 200, "\(answer.body)")
  }

  private func peers(_ node: Node) async throws -> [PeerDocument] {
    let answer = try await node.admin.ask("GET", "/v1/peers")
    return try JSONDecoder().decode(PeersDocument.self, from: Data(answer.body.utf8)).peers
  }
  private func peer(_ id: DeviceIdentifier, of node: Node) async throws -> PeerDocument? { try await peers(node).first { $0.deviceId == id.text } }

  /// What the supervisor tells of a peer on this machine.
  private func peers(at port: Int) throws -> PeerDestinations {
    let address = try #require(NetworkAddress("127.0.0.1"))
    let place = try #require(PeerDestinations.Destination(address: address, port: UInt16(port)))
    return try #require(PeerDestinations([place]))
  }

  /// The credential of a device, as a thief of its disk would have it.
  private func credential(_ node: Node) throws -> ClientCredentials {
    let text = try #require(node.runtime.folder.read("owner.json"))
    let stored = try JSONDecoder().decode([String: JSONText].self, from: Data(text.utf8))
    let chain = try #require(stored["operationalChain"]?.text)
    let key = try #require(node.runtime.folder.read("operational.key"))
    return ClientCredentials(chain: try Certificate.chain(pem: chain), key: try PrivateKey(pem: SecretBytes(copying: Array(key.utf8))))
  }

  /// A string, or anything else.
  private struct JSONText: Decodable {
    let text: String?
    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
  }

  @Test func twoDevicesOfOneOwnerExchangeAReadingAfterApproval() async throws {
    let (reader, source) = (try await node(), try await node())
    try await tell(reader, of: source.id, port: source.port)
    let statement = try #require(await reader.runtime.supervisor.statements.last)
    #expect(statement.kind == .setPeers && PeerDestinations(encoded: statement.body)?.list.map(\.description) == ["127.0.0.1:\(source.port)"])

    // It asks, and gets nothing.
    try await eventually("the source sees it ask") { try await peer(reader.id, of: source)?.state == "asking" }
    #expect(try await source.admin.ask("GET", "/v1/events").body.contains("\"state\":\"asking\""))
    try await eventually("the link stands") { try await peer(source.id, of: reader)?.link == "connected" }
    #expect(try await peer(source.id, of: reader)?.readings.isEmpty == true)
    #expect(try await peer(source.id, of: reader)?.protocolVersion == 1)

    // Approved, and no more than that.
    try await tell(source, of: reader.id, scope: ["readings:temperature"])
    try await eventually("a reading arrives") { try await peer(source.id, of: reader)?.readings.first?.name == "temperature" }
    let approved = try await peers(source)
    #expect(approved.count == 1 && approved[0].state == "approved" && approved[0].link == "none" && approved[0].scope == ["readings:temperature"])

    // Withdrawn: the connection ends at once, and the value is gone with the right to it.
    let answer = try await source.admin.ask("DELETE", "/v1/peers/\(reader.id)", body: "{\(try signed())}")
    #expect(answer.status == 200, "\(answer.body)")
    try await eventually("the exchange has stopped") { try await peer(source.id, of: reader)?.readings.isEmpty == true }
    #expect(try await source.admin.ask("GET", "/v1/events").body.contains("\"state\":\"removed\""))

    // And from the other end: who is forgotten is not connected to any more.
    #expect(try await reader.admin.ask("DELETE", "/v1/peers/\(source.id)", body: "{\(try signed())}").status == 200)
    #expect(try await peers(reader).isEmpty)
    #expect(try await reader.admin.ask("DELETE", "/v1/peers/\(source.id)", body: "{\(try signed())}").status == 404)
    for one in [reader, source] { try await one.runtime.end() }
  }

  @Test func aDeviceOfAnotherOwnerIsRefusedByBothBeforeAnyByte() async throws {
    let stranger = try EndToEndTests()
    let (ours, theirs) = (try await node(), try await stranger.node())
    try await tell(ours, of: theirs.id, port: theirs.port, scope: ["readings:temperature"])
    try await stranger.tell(theirs, of: ours.id, port: ours.port, scope: ["readings:temperature"])
    try await eventually("ours finds a stranger") { try await peer(theirs.id, of: ours)?.error?.code == "peer-wrong" }
    try await eventually("theirs finds a stranger") { try await stranger.peer(ours.id, of: theirs)?.error?.code == "peer-wrong" }
    // And a client that looks over it: refused in the handshake, with not a byte of an answer.
    let client = try await connect(ours.runtime, try stranger.credential(theirs), trust: ownerTrust)
    await #expect(throws: (any Error).self) { _ = try await client.ask("GET", "/v1/peer/hello?versions=1&capabilities=readings") }
    #expect(client.text.isEmpty && client.error?.code == "peer-alert")
    for node in [ours, theirs] { try await node.runtime.end() }
  }

  @Test func aPeerReachesItsScopeAndNothingElse() async throws {
    let (source, other) = (try await node(), try await node())
    let thief = try await connect(source.runtime, try credential(other), trust: ownerTrust)
    let hello = "/v1/peer/hello?versions=1&capabilities=readings"
    let asking = try await thief.ask("GET", hello)
    #expect(asking.status == 200 && asking.body.contains("\"state\":\"asking\"") && asking.body.contains("\"readings\":[]"), "\(asking.body)")
    #expect(try await thief.ask("GET", "/v1/peer/readings/temperature").status == 404)
    for path in ["/v1/info", "/v1/status", "/v1/readings", "/v1/logs", "/v1/peers", "/v1/guard", "/v1/credential"] {
      #expect(try await thief.ask("GET", path).status == 403, "\(path)")
    }
    #expect(try await thief.ask("PUT", "/v1/actuators/relay", body: "{\"on\":true}").status == 403)
    #expect(try await !source.runtime.supervisor.value(of: "relay"))
    let older = try await thief.ask("GET", "/v1/peer/hello?versions=7&capabilities=readings")
    #expect(older.status == 409 && older.body.contains("peer-incompatible") && older.body.contains("here 1, there 7"), "\(older.body)")

    try await tell(source, of: other.id, scope: ["readings:temperature"])
    try await eventually("a reading") { try await thief.ask("GET", "/v1/peer/readings/temperature").status == 200 }
    #expect(try await thief.ask("GET", "/v1/peer/readings/humidity").status == 404)
    // The scope shrinks under an open connection.
    try await tell(source, of: other.id)
    #expect(try await thief.ask("GET", "/v1/peer/readings/temperature").status == 404)
    // Gone: the open connection ends, whether it asks or not.
    #expect(try await source.admin.ask("DELETE", "/v1/peers/\(other.id)", body: "{\(try signed())}").status == 200)
    try await eventually("its connection ends") { thief.isClosed }
    for node in [source, other] { try await node.runtime.end() }
  }

  @Test func quarantineEndsEveryExchange() async throws {
    let (reader, source) = (try await node(), try await node())
    try await tell(source, of: reader.id, scope: ["readings:temperature"])
    try await tell(reader, of: source.id, port: source.port)
    try await eventually("a reading arrives") { try await peer(source.id, of: reader)?.readings.isEmpty == false }
    let report = GradeReport(
      grade: .quarantined, cause: .requested, event: 1, at_us: 7, decay_ms: 0, nonce: [UInt8](repeating: 1, count: 32), evidence: "the bench says so")
    await source.runtime.supervisor.send(.grade(report))
    try await eventually("a quarantined source serves no peer") { try await peer(source.id, of: reader)?.link == "refused" }
    await reader.runtime.supervisor.send(.grade(report))
    try await eventually("a quarantined reader asks nobody") { try await peer(source.id, of: reader)?.link == "undeclared" }
    // Released: it goes nowhere until the supervisor has opened the way.
    let released = GradeReport(
      grade: .normal, cause: .released, event: 2, at_us: 8, decay_ms: 0, nonce: [UInt8](repeating: 2, count: 32), evidence: "")
    await source.runtime.supervisor.send(.grade(released))
    await reader.runtime.supervisor.send(.grade(released))
    try await eventually("the reader hears of it") { try await reader.admin.ask("GET", "/v1/guard").body.contains("\"grade\":\"normal\"") }
    #expect(try await peer(source.id, of: reader)?.link == "undeclared")
    await reader.runtime.supervisor.send(.peers(try peers(at: source.port)))
    try await eventually("the exchange goes on") { try await peer(source.id, of: reader)?.readings.isEmpty == false }
    for node in [reader, source] { try await node.runtime.end() }
  }

  @Test func statementsThatTheSupervisorRefusesChangeNoPeer() async throws {
    let one = try await node()
    let other = try #require(DeviceIdentifier("aabbccddeeff00112233"))
    await one.runtime.supervisor.answerStatements(with: .notPermitted)
    let refused = try await one.admin.ask("PUT", "/v1/peers/\(other)", body: "{\"scope\":[],\(try signed())}")
    #expect(refused.status == 422 && refused.body.contains("statement-refused"))
    #expect(try await peers(one).isEmpty && one.runtime.folder.read("peers.json") == nil)
    // About another nonce: nobody is asked, neither the cloud nor the supervisor.
    let asked = await one.runtime.supervisor.statements.count
    let stale = try await one.admin.ask("POST", "/v1/transfer", body: "{\(try signed(nonce: 0x5b))}")
    #expect(stale.status == 409 && stale.body.contains("statement-stale"))
    #expect(await one.runtime.supervisor.statements.count == asked)
    let transfer = try await one.admin.ask("POST", "/v1/transfer", body: "{\(try signed())}")
    #expect(transfer.status == 422 && one.runtime.folder.read("owner.json") != nil)
    #expect(try await one.admin.ask("GET", "/v1/info").body.contains("owned"))
    try await one.runtime.end()
  }

  @Test func aTransferLeavesNothingOfTheOwner() async throws {
    let one = try await node()
    let viewer = try await connect(one.runtime, try person(.viewer), trust: ownerTrust)
    try await tell(one, of: try #require(DeviceIdentifier("aabbccddeeff00112233")), scope: ["readings:temperature"])
    #expect(one.runtime.folder.read("peers.json") != nil)
    let answer = try await one.admin.ask("POST", "/v1/transfer", body: "{\(try signed())}")
    #expect(answer.status == 200 && answer.body.contains("\"lifeCycleState\":\"provisioned\"") && !answer.body.contains("ownerId"), "\(answer.body)")
    #expect(await one.runtime.supervisor.statements.last?.kind == .transfer)
    try await eventually("the former owner's people are out") { viewer.isClosed }
    for name in ["owner.json", "operational.key", "peers.json", "cloud.json"] { #expect(one.runtime.folder.read(name) == nil, "\(name)") }
    let former = try await connect(one.runtime, try person(.admin), trust: .authorityAnyName([maker.authority]))
    await #expect(throws: (any Error).self) { _ = try await former.ask("GET", "/v1/info") }
    #expect(former.error?.code == "peer-alert")
    try await one.runtime.end()

    // After the restart that the supervisor makes: another owner takes it.
    let again = try await TestRuntime(maker: maker, identity: one.runtime.identity, folder: one.runtime.folder)
    try await claim(again)
    let admin = try await connect(again, try person(.admin), trust: ownerTrust)
    #expect(try await admin.ask("GET", "/v1/peers").body == "{\"peers\":[]}")
    try await again.end()
  }

  /// The power fails in the midst of a transfer: the start that finishes it must not hand the former owner's peers to the next one.
  @Test func aTransferThatWasCutOffLeavesNoPeersEither() async throws {
    let one = try await node()
    let other = try #require(DeviceIdentifier("aabbccddeeff00112233"))
    try await tell(one, of: other, scope: ["readings:temperature"])
    try await one.runtime.end()
    // What lies there after the intent has become durable.
    one.runtime.identity.write("{\"kind\":\"wipe\",\"version\":1}", to: "intent.json")
    #expect(one.runtime.folder.read("peers.json") != nil)

    let next = try EndToEndTests()
    let again = try await TestRuntime(maker: maker, identity: one.runtime.identity, folder: one.runtime.folder)
    _ = try await again.port()
    #expect(one.runtime.folder.read("owner.json") == nil && one.runtime.folder.read("peers.json") == nil)
    try await claim(again, by: next.owner)
    let admin = try await connect(again, try next.person(.admin), trust: next.ownerTrust)
    #expect(try await admin.ask("GET", "/v1/peers").body == "{\"peers\":[]}")
    try await again.end()
  }

  /// The supervisor has agreed to a peer, and the device is wiped before the runtime hears of that.
  @Test func aPeerThatAWipeOvertakesIsNotWritten() async throws {
    let one = try await node()
    let other = try #require(DeviceIdentifier("aabbccddeeff00112233"))
    let second = try await connect(one.runtime, try person(.admin), trust: ownerTrust)
    await one.runtime.supervisor.holdPeers(true)
    let body = "{\"scope\":[],\(try signed())}"
    async let told = second.ask("PUT", "/v1/peers/\(other)", body: body)
    try await eventually("the supervisor is asked") { await one.runtime.supervisor.statements.last?.kind == .setPeers }
    #expect(try await one.admin.ask("POST", "/v1/transfer", body: "{\(try signed())}").status == 200)
    await one.runtime.supervisor.holdPeers(false)
    // Its connection ended with the owner.
    _ = try? await told
    let beats = await one.runtime.supervisor.heartbeats
    try await eventually("the runtime has gone round after it") { await one.runtime.supervisor.heartbeats > beats + 1 }
    try await one.runtime.end()
    #expect(one.runtime.folder.read("peers.json") == nil)
  }

  @Test func aRemovalCountsEvenWhereItCannotBeWritten() async throws {
    let (reader, source) = (try await node(), try await node())
    try await tell(source, of: reader.id, scope: ["readings:temperature"])
    try await tell(reader, of: source.id, port: source.port)
    try await eventually("a reading arrives") { try await peer(source.id, of: reader)?.readings.isEmpty == false }
    let obstacle = "\(source.runtime.folder.path)/peers.json.new"
    #expect(mkdir(obstacle, 0o700) == 0)
    let answer = try await source.admin.ask("DELETE", "/v1/peers/\(reader.id)", body: "{\(try signed())}")
    #expect(answer.status == 503 && answer.body.contains("Tell it again"), "\(answer.body)")
    #expect(try await peer(reader.id, of: source)?.state != "approved")
    try await eventually("it gets nothing any more") { try await peer(source.id, of: reader)?.readings.isEmpty == true }
    #expect(rmdir(obstacle) == 0)
    for node in [reader, source] { try await node.runtime.end() }
  }

  /// The owner withdraws a stolen device's certificate: whoever asks it hears nothing of it any more, over the open connection either.
  @Test func aWithdrawnPeerIsNotListenedTo() async throws {
    let (reader, source) = (try await node(), try await node())
    try await tell(source, of: reader.id, scope: ["readings:temperature"])
    try await tell(reader, of: source.id, port: source.port)
    try await eventually("a reading arrives") { try await peer(source.id, of: reader)?.readings.isEmpty == false }
    let leaf = try #require(try credential(source).chain.first)
    let list = try owner.issuer.revocationList(
      number: 1, revoked: [RevokedCertificate(serial: try #require(leaf.serial), revoked_s: testClock.now_s())], now_s: testClock.now_s())
    let answer = try await reader.admin.ask("PUT", "/v1/revocations", body: "{\"list\":\(quoted(list.pem))}")
    #expect(answer.status == 200, "\(answer.body)")
    try await eventually("the link ends") { try await peer(source.id, of: reader)?.link == "refused" }
    let after = try #require(try await peer(source.id, of: reader))
    #expect(after.readings.isEmpty && after.error?.code == "peer-wrong" && after.error?.reason.contains("withdrawn") == true, "\(after)")
    // Nor in a new handshake.
    try await reader.runtime.end()
    let again = try await TestRuntime(maker: maker, identity: reader.runtime.identity, folder: reader.runtime.folder)
    await again.supervisor.send(.peers(try peers(at: source.port)))
    let admin = try await connect(again, try person(.admin), trust: ownerTrust)
    try await eventually("it is refused in the handshake") {
      let document = try JSONDecoder().decode(PeersDocument.self, from: Data(try await admin.ask("GET", "/v1/peers").body.utf8))
      return document.peers.first?.error?.code == "peer-wrong" && document.peers.first?.error?.reason.contains("withdrawn") == true
    }
    for runtime in [again, source.runtime] { try await runtime.end() }
  }

  /// A peer that is not where it should be is found where it announces itself, once the owner lets both speak to their neighbours and the supervisor takes
  /// the place; what announces itself there as another device is not believed.
  @Test func aPeerThatMovedIsFollowed() async throws {
    let (reader, source) = (try await node(), try await node())
    try await tell(source, of: reader.id, scope: ["readings:temperature"])
    // Nobody serves there.
    try await tell(reader, of: source.id, at: "127.0.0.2", port: source.port)
    try await eventually("it is not reached") { try await peer(source.id, of: reader)?.error?.code == "peer-unreachable" }
    await reader.runtime.supervisor.answerMoved(.busy)
    for node in [reader, source] {
      let answer = try await node.admin.ask("PUT", "/v1/discovery", body: "{\"on\":true,\(try signed())}")
      #expect(answer.status == 200 && answer.body.contains("\"on\":true"), "\(answer.body)")
      try await eventually("it is announced") { try await node.admin.ask("GET", "/v1/status").body.contains("\"discovery\":\"announced\"") }
    }
    // The supervisor is asked, and what it does not take is not tried.
    try await eventually("the supervisor is asked") { await !reader.runtime.supervisor.moved.isEmpty }
    let asked = try #require(await reader.runtime.supervisor.moved.first)
    #expect(asked.from.description == "127.0.0.2:\(source.port)" && asked.to.description == "127.0.0.1")
    #expect(try await peer(source.id, of: reader)?.link != "connected")
    await reader.runtime.supervisor.answerMoved(.done)
    // Questions become rare; whoever comes back announces itself, as the source does here.
    for isOn in ["false", "true"] { _ = try await source.admin.ask("PUT", "/v1/discovery", body: "{\"on\":\(isOn),\(try signed())}") }
    try await eventually("a reading arrives from there") { try await peer(source.id, of: reader)?.readings.isEmpty == false }
    let known = try #require(try await peer(source.id, of: reader))
    #expect(known.link == "connected" && known.address == "127.0.0.2", "the owner's word stays as it was")
    // The owner's word ends it.
    _ = try await reader.admin.ask("PUT", "/v1/discovery", body: "{\"on\":false,\(try signed())}")
    try await eventually("it is not reached any more") { try await peer(source.id, of: reader)?.error?.code == "peer-unreachable" }
    for runtime in [reader.runtime, source.runtime] { try await runtime.end() }
  }

  /// However many connections a device opens, it keeps two: the others' places are the people's.
  @Test func aDeviceHoldsNoMoreThanTwoConnections() async throws {
    let (source, other) = (try await node(), try await node())
    let hello = "/v1/peer/hello?versions=1&capabilities=readings"
    var clients: [TestClient] = []
    for number in 1...4 {
      let client = try await connect(source.runtime, try credential(other), trust: ownerTrust)
      #expect(try await client.ask("GET", hello).status == 200)
      clients.append(client)
      try await eventually("the eldest is closed, after \(number)") { clients.dropLast(2).allSatisfy(\.isClosed) }
    }
    for client in clients.suffix(2) { #expect(try await client.ask("GET", hello).status == 200) }
    // People are not counted so.
    var people: [TestClient] = []
    for _ in 0..<4 {
      people.append(try await connect(source.runtime, try person(.viewer), trust: ownerTrust))
      _ = try await people[people.count - 1].ask("GET", "/v1/info")
    }
    #expect(people.allSatisfy { !$0.isClosed })
    for node in [source, other] { try await node.runtime.end() }
  }
}
