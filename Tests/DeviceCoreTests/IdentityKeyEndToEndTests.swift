import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import NIOPosix
import SupervisorLink
import TLS
import TestChip
import Testing

@testable import DeviceCore

/// A device whose own key is in its root of trust: the runtime asks the supervisor for each signature.
extension EndToEndTests {
  private func holdsNoPrivateKey(_ runtime: TestRuntime) -> Bool {
    runtime.identity.contents().allSatisfy { $0.key != "device.key" && !$0.value.contains("PRIVATE KEY") }
  }

  @Test func aKeyOutsideServesAWholeLife() async throws {
    let chip = try TestChip()
    let runtime = try await TestRuntime(maker: maker, chip: chip)
    try await provision(runtime)
    try await claim(runtime)
    let admin = try await connect(runtime, try person(.admin), trust: ownerTrust)
    let info = try await admin.ask("GET", "/v1/info")
    let device = try #require(DeviceIdentifier(publicKeyDigest: chip.publicKey.digest))
    #expect(info.body.contains("\"identityKey\":\"tpm\"") && info.body.contains("\"deviceId\":\"\(device)\""), "\(info.body)")
    #expect(info.body.contains("\"lifeCycleState\":\"owned\"") && holdsNoPrivateKey(runtime))

    // An owned device shows its LDevID: no handshake asks for the key.
    let before = await runtime.supervisor.signaturesAsked
    #expect(before > 0)
    let viewer = try await connect(runtime, try person(.viewer), trust: ownerTrust)
    #expect(try await viewer.ask("GET", "/v1/info").status == 200)
    #expect(await runtime.supervisor.signaturesAsked == before)

    // A renewal proves with it that it is this device that asks.
    let offer = try await admin.ask("POST", "/v1/credential/renewal", "Content-Length: 0\r\n")
    let request = try CertificateRequest(pem: try #require(member("certificateRequest", of: offer.body)))
    let signature = try #require(member("signature", of: offer.body).flatMap { bytes(hexadecimal: $0) })
    let signed = IdentityProof.signedBytes(device: device, binding: try await admin.binding(), request: request)
    #expect(chip.publicKey.isValid(signature: signature, of: signed))
    #expect(await runtime.supervisor.signaturesAsked == before + 1)
    #expect(await runtime.supervisor.unreadable == 0)
    try await runtime.end()

    // Started again it is the same device, and needs no signature to serve.
    let again = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder, chip: chip)
    let later = try await connect(again, try person(.viewer), trust: ownerTrust)
    #expect(try await later.ask("GET", "/v1/info").body.contains("\"deviceId\":\"\(device)\""))
    #expect(await again.supervisor.signaturesAsked == 0)
    try await again.end()

    // Under another key, or none, what it remembers is not its own.
    for other in [try TestChip(), nil] {
      let stranger = try await TestRuntime(maker: maker, identity: runtime.identity, folder: runtime.folder, chip: other)
      let seen = try await connect(stranger, station, trust: .selfSigned)
      #expect(try await seen.ask("GET", "/v1/info").body.contains("\"lifeCycleState\":\"damaged\""))
      try await stranger.end()
    }
  }

  /// A file that somebody put there in the runtime's name is nothing of the device's.
  @Test func aFileBesideAKeyOutsideIsNotUsed() async throws {
    let chip = try TestChip()
    let folder = TestFolder()
    let planted = try PrivateKey.generateP256()
    folder.write(try planted.pem().withUnsafeBytes { String(decoding: $0, as: UTF8.self) }, to: "device.key")
    let runtime = try await TestRuntime(maker: maker, identity: folder, chip: chip)
    let client = try await connect(runtime, station, trust: .selfSigned)
    _ = try await client.ask("GET", "/v1/info")
    #expect(client.handshake?.peer?.publicKeyDigest == chip.publicKey.digest)
    try await runtime.end()
  }

  @Test func aKeyInAFileSaysSo() async throws {
    let runtime = try await TestRuntime(maker: maker)
    let client = try await connect(runtime, station, trust: .selfSigned)
    #expect(try await client.ask("GET", "/v1/info").body.contains("\"identityKey\":\"file\""))
    #expect(runtime.identity.read("device.key") != nil)
    try await runtime.end()
  }

  /// Strangers who knock while the key is slow: a few wait, the others are refused with a line in the log, and who is connected is served meanwhile.
  @Test func aFloodOfHandshakesKeepsNobodyElseWaiting() async throws {
    let chip = try TestChip()
    let runtime = try await TestRuntime(maker: maker, chip: chip)
    try await provision(runtime)
    let trust = ServerTrust.authorityAnyName([maker.authority])
    let served = try await connect(runtime, try claimant(), trust: trust)
    #expect(try await served.ask("GET", "/v1/claim").status == 200)
    await runtime.supervisor.holdSignatures(true)
    var strangers: [TestClient] = []
    for _ in 0..<KeyThread.most + 4 { strangers.append(try await connect(runtime, try claimant(), trust: trust)) }
    let all = strangers
    try await eventually("those that are too many are refused") { all.filter(\.isClosed).count == 4 }
    try await eventually("the log says why") { await runtime.supervisor.logs.contains { $0.contains("signature-busy") } }
    #expect(try await served.ask("GET", "/v1/claim").status == 200)
    let beats = await runtime.supervisor.heartbeats
    try await eventually("its heart beats on") { await runtime.supervisor.heartbeats > beats + 2 }
    // One at a time reaches the supervisor.
    let asked = await runtime.supervisor.signaturesAsked
    await runtime.supervisor.holdSignatures(false)
    try await eventually("those that waited are served") { all.filter { $0.handshake != nil }.count == KeyThread.most }
    #expect(await runtime.supervisor.signaturesAsked == asked + KeyThread.most - 1)
    try await runtime.end()
  }

  @Test func oneThreadWaitsForTheKeyAndFewForTheThread() async throws {
    let threads = NIOThreadPool(numberOfThreads: 1)
    threads.start()
    let thread = KeyThread(threads)
    let lock = ConditionLock(value: 0)
    var taken = 0
    while thread.take({
      lock.lock(whenValue: 1)
      lock.unlock()
    }) {
      taken += 1
    }
    #expect(taken == KeyThread.most)
    await #expect(throws: Problem.self) { try await thread.run { () throws(Problem) in 7 } }
    lock.lock()
    lock.unlock(withValue: 1)
    try await eventually("there is room again") { (try? await thread.run { () throws(Problem) in 7 }) == 7 }
    try await threads.shutdownGracefully()
    // Without one, all is done where it is asked.
    #expect(try await KeyThread().run { () throws(Problem) in 7 } == 7 && !KeyThread().take({}))
  }

  @Test func aKeyThatDoesNotSignRefusesAndSaysWhy() async throws {
    let chip = try TestChip()
    let runtime = try await TestRuntime(maker: maker, chip: chip)
    let client = try await connect(runtime, station, trust: .selfSigned)
    #expect(try await client.ask("GET", "/v1/info").status == 200)
    await runtime.supervisor.answerSignatures(with: .failed)
    #expect(try await client.ask("GET", "/v1/provisioning").status == 503)
    let other = try await connect(runtime, station, trust: .selfSigned)
    try await eventually("the handshake is refused") { other.isClosed }
    try await eventually("the log says why") { await runtime.supervisor.logs.contains { $0.contains("signature-failed") && $0.contains("failed") } }
    // It is no fault of those who knock.
    #expect(await runtime.supervisor.raised.isEmpty)
    await runtime.supervisor.answerSignatures(with: .done)
    try await provision(runtime)
    try await runtime.end()
  }
}
