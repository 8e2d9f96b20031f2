import Crypto
import Foundations
import Identity
import LocalAPI
import Synchronization
import Testing

@testable import DeviceCore

/// The renewal of the LDevID with real keys, real files, and cuts.
extension DeviceLifeCycleTests {
  func owned() async throws -> Device {
    let device = try await load()
    try await provision(device)
    try await claim(device)
    return device
  }

  private static let binding = [UInt8](repeating: 7, count: 32)
  func request(_ device: Device) throws -> String { try device.renewalOffer(binding: Self.binding).certificateRequest }

  /// The certificate for a device's renewal request.
  func answer(_ device: Device, of owner: Owner? = nil, now_s: Int64 = testClock.now_s()) throws -> Certificate {
    let owner = owner ?? self.owner
    let request = try CertificateRequest(pem: try request(device))
    return try owner.issuer.issue(
      OperationalDeviceProfile.template(owner: owner.identifier, device: device.identifier, now_s: now_s), publicKey: request.publicKey)
  }

  func shown(_ device: Device) throws -> Certificate { try #require(device.operationalCredential?.chain.first) }

  @Test func aRenewalCountsOnceItIsProved() async throws {
    let device = try await owned()
    let former = try shown(device)
    #expect(try device.credential().renewal == .none)
    let fresh = try answer(device)
    #expect(try device.credential().renewal == .offered)
    #expect(fresh.publicKeyDigest != former.publicKeyDigest)
    try device.installRenewal(chainPEM: fresh.pem)
    let proving = try device.credential()
    #expect(proving.renewal == .proving && proving.candidate?.serialNumber == hexadecimal(fresh.serialNumber))
    #expect(proving.certificate.serialNumber == hexadecimal(former.serialNumber))
    #expect(try shown(device) == former)
    #expect(folder.mode(of: "renewal.key") == 0o600 && folder.mode(of: "renewal.json") == 0o600)
    // Another certificate than the one on trial proves nothing.
    device.renewalProved(former)
    #expect(try shown(device) == former)

    device.renewalProved(fresh)
    let renewed = try device.credential()
    #expect(renewed.renewal == .none && renewed.candidate == nil && renewed.certificate.serialNumber == hexadecimal(fresh.serialNumber))
    #expect(renewed.previous?.serialNumber == hexadecimal(former.serialNumber))
    #expect(folder.read("renewal.key") == nil && folder.read("renewal.json") == nil)
    _ = try device.credentials()
    #expect(try shown(try await load()) == fresh)
    // And once more.
    let third = try answer(device)
    try device.installRenewal(chainPEM: third.pem)
    device.renewalProved(third)
    #expect(try shown(try await load()) == third)
  }

  @Test func theOfferIsOfTheDevicesOwnKeyAndOfOneConnection() async throws {
    let device = try await owned()
    let offer = try device.renewalOffer(binding: Self.binding)
    let leaf = try #require(try Certificate.chain(pem: offer.identity.certificateChain).first)
    let key = try #require(leaf.publicKey)
    #expect(DeviceIdentifier(publicKeyDigest: leaf.publicKeyDigest) == device.identifier)
    let signature = try #require(bytes(hexadecimal: offer.identity.signature))
    let asked = try CertificateRequest(pem: offer.certificateRequest)
    func isValid(_ binding: [UInt8], _ request: CertificateRequest) -> Bool {
      key.isValid(signature: signature, of: IdentityProof.signedBytes(device: device.identifier, binding: binding, request: request))
    }
    #expect(isValid(Self.binding, asked))
    #expect(!isValid([UInt8](repeating: 8, count: 32), asked))
    #expect(try !isValid(Self.binding, OperationalDeviceProfile.request(key: PrivateKey.generateP256(), device: device.identifier)))
    #expect(!key.isValid(signature: signature, of: IdentityProof.signedBytes(device: device.identifier, binding: Self.binding)))
    #expect(await code { _ = try device.renewalOffer(binding: []) } == "unavailable")
  }

  @Test func whatIsNotProvedInTimeIsGivenUp() async throws {
    let device = try await owned()
    let former = try shown(device)
    try device.installRenewal(chainPEM: try answer(device).pem, now_ms: 1_000)
    device.checkRenewal(now_ms: 1_000 + Device.renewalTrial_ms - 1)
    #expect(try device.credential(now_ms: 1_000).renewal == .proving)
    device.checkRenewal(now_ms: 1_000 + Device.renewalTrial_ms)
    #expect(try device.credential().renewal == .none)
    #expect(folder.read("renewal.key") == nil && folder.read("renewal.json") == nil)
    #expect(try shown(device) == former)
    // The way is free again.
    let next = try answer(device)
    try device.installRenewal(chainPEM: next.pem)
    device.renewalProved(next)
    #expect(try shown(device) == next)
  }

  @Test func aRuntimeThatEndsGivesItsCandidateUp() async throws {
    let device = try await owned()
    let former = try shown(device)
    try device.installRenewal(chainPEM: try answer(device).pem)
    let again = try await load()
    #expect(try again.credential().renewal == .none && shown(again) == former)
    #expect(folder.read("renewal.key") == nil && folder.read("renewal.json") == nil)
  }

  @Test func wrongAnswersChangeNothing() async throws {
    let device = try await owned()
    #expect(await code { try device.installRenewal(chainPEM: "") } == "renewal-not-offered")
    let good = try answer(device)
    #expect(await code { try device.installRenewal(chainPEM: "nonsense") } == "certificate-malformed")
    #expect(await code { try device.installRenewal(chainPEM: try answer(device, of: try Owner()).pem) } == "certificate-profile")
    #expect(await code { try device.installRenewal(chainPEM: try owner.person("kim", .admin).certificate.pem) } == "certificate-profile")
    #expect(await code { try device.installRenewal(chainPEM: try shown(device).pem) } == "certificate-profile")
    let ended = try answer(device, now_s: testClock.now_s() - 100 * 86_400)
    #expect(await code { try device.installRenewal(chainPEM: ended.pem) } == "certificate-expired")
    let forged = try Owner().issuer.issue(
      OperationalDeviceProfile.template(owner: owner.identifier, device: device.identifier, now_s: testClock.now_s()),
      publicKey: try CertificateRequest(pem: try request(device)).publicKey)
    #expect(await code { try device.installRenewal(chainPEM: forged.pem) } == "certificate-untrusted")
    #expect(try device.credential().renewal == .offered && folder.read("renewal.json") == nil)
    try device.installRenewal(chainPEM: good.pem)
    let (none, nothing) = (TestFolder(), TestFolder())
    let blank = try await Device.load(
      identity: IdentityFolder(path: none.path), state: StateFolder(path: nothing.path), maker: maker.authority, clock: testClock,
      log: DeviceLog(), grades: grades)
    #expect(await code { _ = try blank.credential() } == "life-cycle-state")
    #expect(await code { _ = try request(blank) } == "life-cycle-state")
    #expect(await code { try blank.installRenewal(chainPEM: good.pem) } == "life-cycle-state")
    withExtendedLifetime((none, nothing)) {}
  }

  /// A device that lay in a drawer for a year is still its owner's: what it shows has ended, and it takes what the owner CA signs today.
  @Test func anEndedCertificateIsRenewedWithoutLoss() async throws {
    _ = try await owned()
    let later = WallClock(floor_s: testClock.now_s() + 365 * 86_400)
    let device = try await load(later)
    #expect(device.standing.phase == .owned && device.standing.owner == owner.identifier)
    let former = try shown(device)
    #expect(former.notAfter_s < later.now_s())
    _ = try device.credentials()
    let fresh = try answer(device, now_s: later.now_s())
    try device.installRenewal(chainPEM: fresh.pem)
    device.renewalProved(fresh)
    let again = try await load(later)
    #expect(try shown(again) == fresh && again.standing.owner == owner.identifier)
    // What was signed for today is refused by a device that has lost its clock: it would show what nobody accepts.
    let early = try await load(WallClock(floor_s: 0))
    let ahead = try answer(early, now_s: later.now_s())
    #expect(await code { try early.installRenewal(chainPEM: ahead.pem) } == "certificate-not-yet-valid")
  }

  // MARK: Cuts

  private final class Snapshots: Sendable {
    private let taken = Mutex<[TestFolder]>([])
    private let source: TestFolder
    init(of source: TestFolder) { self.source = source }
    var all: [TestFolder] { taken.withLock { $0 } }

    /// What a cut at this moment would leave.
    func take() {
      let copy = TestFolder()
      for name in ["operational.key", "owner.json", "renewal.key", "renewal.json"].flatMap({ [$0, $0 + ".new"] }) {
        if let content = source.read(name) { copy.write(content, to: name) }
      }
      taken.withLock { $0.append(copy) }
    }
  }

  /// The device in a folder that a cut left: owned, whole, and nothing of a renewal is left behind.
  private func revived(_ left: TestFolder, _ what: String) async throws -> Certificate {
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: left.path), maker: maker.authority, clock: testClock, log: DeviceLog(),
      grades: grades)
    #expect(device.standing.phase == .owned, "\(what): \(device.standing.damage ?? "")")
    // Certificate and key belong together, or TLS would not take them.
    _ = try device.credentials()
    #expect(left.read("renewal.json") == nil && left.read("renewal.key") == nil, "\(what)")
    return try shown(device)
  }

  @Test func aCutAtAnyStepLeavesTheOldOneOrTheNewOne() async throws {
    _ = try await owned()
    let snapshots = Snapshots(of: folder)
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: folder.path, onStep: { snapshots.take() }), maker: maker.authority,
      clock: testClock, log: DeviceLog(), grades: grades)
    let former = try shown(device)
    let fresh = try answer(device)
    try device.installRenewal(chainPEM: fresh.pem)
    let untilProved = snapshots.all.count
    device.renewalProved(fresh)
    let cuts = snapshots.all
    // Open, write, rename of four files or more, and two that are removed.
    #expect(untilProved >= 6 && cuts.count >= untilProved + 14, "\(untilProved) and \(cuts.count) steps")
    var outcomes: [Bool] = []
    for (step, cut) in cuts.enumerated() {
      let found = try await revived(cut, "cut at step \(step)")
      #expect(found == former || found == fresh, "cut at step \(step)")
      outcomes.append(found == fresh)
      if step < untilProved { #expect(found == former, "cut at step \(step), before it was proved") }
      #expect(try await revived(cut, "the start after the cut at step \(step)") == found)
    }
    // There is one moment that counts, and no way back from it.
    #expect(outcomes == outcomes.sorted { !$0 && $1 } && outcomes.last == true)
  }

  /// The start that completes a renewal is cut off as well.
  @Test func aCutOfTheStartThatCompletesItIsCompletedByTheNext() async throws {
    let device = try await owned()
    let key = try PrivateKey.generateP256()
    let fresh = try owner.issuer.issue(
      OperationalDeviceProfile.template(owner: owner.identifier, device: device.identifier, now_s: testClock.now_s()), publicKey: key.publicKey)
    let first = Snapshots(of: folder)
    try RenewalFolder(state: StateFolder(path: folder.path)).begin(key, chain: fresh.pem)
    try RenewalFolder(state: StateFolder(path: folder.path, onStep: { first.take() })).complete(key, chain: fresh.pem)
    var completed = 0
    for cut in first.all {
      let second = Snapshots(of: cut)
      let leftover = try RenewalFolder(state: StateFolder(path: cut.path, onStep: { second.take() })).settle()
      guard leftover == .completed else { continue }
      completed += 1
      for (step, left) in second.all.enumerated() { #expect(try await revived(left, "second cut at step \(step)") == fresh) }
    }
    #expect(completed >= 6)
  }

  @Test func aRenewalThatCannotBeReadIsDamage() async throws {
    _ = try await owned()
    folder.write("{", to: "renewal.json")
    #expect(try await load().standing.phase == .damaged)
    folder.write("{\"chain\":\"\",\"phase\":\"proved\",\"version\":2}", to: "renewal.json")
    #expect(try await load().standing.phase == .damaged)
    folder.write("{\"chain\":\"\",\"phase\":\"proved\",\"version\":1}", to: "renewal.json")
    #expect(try await load().standing.damage?.contains("key of a renewal") == true)
    folder.remove("renewal.json")
    #expect(try await load().standing.phase == .owned)
  }
}
