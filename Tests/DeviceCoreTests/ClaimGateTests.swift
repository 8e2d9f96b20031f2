import Crypto
import Foundations
import Identity
import LocalAPI
import Synchronization
import Testing

@testable import DeviceCore

/// A clock that moves when a test says so.
final class HandClock: Sendable {
  private let time_ms = Mutex<UInt64>(5_000_000)
  @Sendable func now_ms() -> UInt64 { time_ms.withLock { $0 } }
  func advance(_ by_ms: UInt64) { time_ms.withLock { $0 += by_ms } }
}

/// Presence and lock-out: which proofs are looked at, and what the wrong ones cost.
@Suite struct ClaimGateTests {
  let bench: DeviceLifeCycleTests
  let clock = HandClock()

  init() throws { bench = try DeviceLifeCycleTests() }

  func load() async throws -> Device { try await bench.load(testClock, Device.Surroundings(now_ms: clock.now_ms)) }

  /// Claims with `proof`; nil is the right one. The code of the refusal, nil where the device is claimed now.
  func claim(_ device: Device, proof: String? = nil) async throws -> Problem? {
    var order = try bench.order(device)
    if let proof { order.proof = proof }
    do throws(Problem) {
      try await device.claim(order, ClaimPermissions(pin: { _ in }, wipe: {}))
      return nil
    } catch {
      return error
    }
  }

  let wrong = String(repeating: "5a", count: 32)

  @Test func theWindowOpensByAPressAndClosesByItself() {
    let presence = Presence(now_ms: clock.now_ms)
    #expect(!presence.isOpen && presence.remaining_ms == 0)
    presence.press()
    #expect(presence.remaining_ms == 60_000)
    clock.advance(59_999)
    #expect(presence.remaining_ms == 1)
    clock.advance(1)
    #expect(!presence.isOpen)
    presence.press()
    clock.advance(30_000)
    presence.press()
    #expect(presence.remaining_ms == 60_000)
    presence.close()
    #expect(!presence.isOpen)
  }

  @Test func tenThousandWrongProofsWithoutTheButtonCostNothing() async throws {
    let device = try await load()
    try await bench.provision(device)
    let order = try bench.order(device)
    for turn in 0..<10_000 {
      var forged = order
      forged.proof = hexadecimal(sha256(Array("\(turn)".utf8)))
      do throws(Problem) {
        try await device.claim(forged, ClaimPermissions(pin: { _ in Issue.record("pinned") }, wipe: { Issue.record("wiped") }))
        Issue.record("claimed")
      } catch {
        #expect(error.code == "presence-needed" && error.status == 403)
      }
    }
    #expect(device.gate.lockOutDocument == LockOutDocument(failures: 0, waitMilliseconds: 0))
    #expect(bench.identity.read("lockout.json") == nil)
    device.gate.presence.press()
    #expect(try await claim(device) == nil)
    #expect(device.standing.phase == .owned)
  }

  @Test func wrongProofsWaitLongerAndLongerAndThenLock() async throws {
    var device = try await load()
    try await bench.provision(device)
    for (index, wait_s) in [1, 2, 4, 8, 16, 32, 64, 64, 64, 3_600].enumerated() {
      device.gate.presence.press()
      let refused = try await claim(device, proof: wrong)
      #expect(refused?.code == "proof-wrong" && refused?.status == 403)
      #expect(device.gate.lockOutDocument == LockOutDocument(failures: index + 1, waitMilliseconds: UInt64(wait_s) * 1_000))
      // Until then nothing is looked at, and nothing is counted: the right proof is refused as well.
      let early = try await claim(device)
      #expect(early?.code == "locked-out" && early?.status == 429 && early?.retryAfter_s == wait_s)
      clock.advance(UInt64(wait_s) * 1_000 - 1)
      device.gate.presence.press()
      #expect(try await claim(device)?.retryAfter_s == 1)
      // A restart shortens nothing: what was left when it was written down is left now.
      device = try await load()
      #expect(device.gate.lockOutDocument == LockOutDocument(failures: index + 1, waitMilliseconds: UInt64(wait_s) * 1_000))
      clock.advance(UInt64(wait_s) * 1_000)
    }
    // After the lock each further wrong proof costs another hour, and the right one takes everything back.
    device.gate.presence.press()
    #expect(try await claim(device, proof: wrong)?.code == "proof-wrong")
    #expect(device.gate.lockOutDocument == LockOutDocument(failures: 11, waitMilliseconds: 3_600_000))
    clock.advance(1_800_000)
    await device.gate.keepWait()
    device = try await load()
    #expect(device.gate.lockOutDocument.waitMilliseconds == 1_800_000)
    clock.advance(1_800_000)
    device.gate.presence.press()
    #expect(try await claim(device) == nil)
    #expect(device.gate.lockOutDocument.failures == 0 && bench.identity.read("lockout.json") == nil)
    #expect(!device.gate.presence.isOpen, "a press serves one claim")
  }

  /// The proof of another connection, of another owner and of another label is as wrong as any.
  @Test func aProofHoldsForOneConnectionAndOneOwner() async throws {
    let device = try await load()
    try await bench.provision(device)
    let other = try Owner()
    let binding = [UInt8](repeating: 7, count: 32)
    let proofs = [
      try bench.label.proof(device.identifier, [UInt8](repeating: 8, count: 32), bench.owner), try bench.label.proof(device.identifier, binding, other),
      try Label().proof(device.identifier, binding, bench.owner),
      try bench.label.proof(InitialDeviceProfile.identifier(try PrivateKey.generateP256().publicKey), binding, bench.owner),
      // What the device itself knows is not enough.
      hexadecimal(
        try LabelProof.make(
          clientKey: SecretBytes(copying: bytes(hexadecimal: bench.label.document.storedKey) ?? []),
          context: LabelProof.context(device: device.identifier, binding: binding, owner: bench.owner.issuer.certificate))),
    ]
    for proof in proofs {
      device.gate.presence.press()
      #expect(try await claim(device, proof: proof)?.code == "proof-wrong")
      clock.advance(64_000)
    }
    device.gate.presence.press()
    #expect(try await claim(device) == nil)
  }

  /// A proof that cannot be counted is not looked at: else a power cut would give free tries.
  @Test func whatCannotBeCountedIsNotLookedAt() async throws {
    let isBroken = Mutex(false)
    var surroundings = Device.Surroundings(now_ms: clock.now_ms)
    surroundings.commitIdentity = { () async throws(Problem) in
      if isBroken.withLock({ $0 }) { throw .unavailable("The seal is broken.") }
    }
    let device = try await bench.load(testClock, surroundings)
    try await bench.provision(device)
    isBroken.withLock { $0 = true }
    device.gate.presence.press()
    #expect(try await claim(device)?.code == "unavailable")
    #expect(device.standing.phase == .provisioned && device.gate.lockOutDocument.failures == 1)
    isBroken.withLock { $0 = false }
    clock.advance(1_000)
    #expect(try await claim(device) == nil)
  }

  @Test func theLabelOfAnOwnedDeviceWipesIt() async throws {
    var device = try await load()
    try await bench.provision(device)
    device.gate.presence.press()
    #expect(try await claim(device) == nil)
    bench.folder.write("{}", to: "cloud.json")
    #expect(try await claim(device)?.code == "presence-needed")
    device.gate.presence.press()
    let offer = try device.claimOffer(binding: [UInt8](repeating: 7, count: 32))
    #expect(offer.certificateRequest == nil && offer.serialNumber == "HC-0001")
    let identity = try #require(offer.identity)
    let chain = try Certificate.chain(pem: identity.certificateChain)
    let signed = IdentityProof.signedBytes(device: device.identifier, binding: [UInt8](repeating: 7, count: 32))
    #expect(chain.first?.publicKey?.isValid(signature: bytes(hexadecimal: identity.signature) ?? [], of: signed) == true)
    // The supervisor has its own eyes on the button.
    let order = try bench.order(device)
    let refused = await problem { () async throws(Problem) in
      try await device.claim(order, ClaimPermissions(pin: { _ in }, wipe: { () async throws(Problem) in throw .presenceNeeded("Not seen.") }))
    }
    #expect(refused?.code == "presence-needed" && device.standing.phase == .owned && bench.folder.read("cloud.json") != nil)
    #expect(try await claim(device, proof: wrong)?.code == "proof-wrong")
    #expect(device.standing.phase == .owned)
    clock.advance(1_000)
    #expect(try await claim(device)?.code == "wiped")
    for _ in 0..<2 {
      #expect(device.standing == Device.Standing(phase: .provisioned, serialNumber: "HC-0001"))
      for name in ["owner.json", "operational.key", "cloud.json"] { #expect(bench.folder.read(name) == nil) }
      #expect(bench.identity.read("intent.json") == nil)
      device = try await load()
    }
    device.gate.presence.press()
    #expect(try await claim(device) == nil)
  }

  @Test func eventsTellWhatBecameOfClaims() async throws {
    let device = try await load()
    try await bench.provision(device)
    let told = Mutex<[ClaimEventDocument.Outcome]>([])
    device.gate.onEvent { event in told.withLock { $0.append(event.outcome) } }
    device.gate.presence.press()
    #expect(try await claim(device, proof: wrong)?.code == "proof-wrong")
    clock.advance(1_000)
    #expect(try await claim(device) == nil)
    device.gate.presence.press()
    #expect(try await claim(device)?.code == "wiped")
    #expect(told.withLock { $0 } == [.proofWrong, .claimed, .wiped])
  }

  private func problem(_ body: () async throws(Problem) -> Void) async -> Problem? {
    do throws(Problem) {
      try await body()
      return nil
    } catch {
      return error
    }
  }
}
