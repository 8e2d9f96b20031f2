import Crypto
import Foundations
import Identity
import LocalAPI
import SupervisorLink
import Testing

@testable import DeviceCore

/// The life cycle with real keys and certificates.
@Suite struct DeviceLifeCycleTests {
  let folder = TestFolder()
  let maker: Maker
  let owner: Owner
  let grades = GradeHolder()

  init() throws {
    maker = try Maker()
    owner = try Owner()
  }

  func load() throws -> Device { try Device.load(folder: folder.path, maker: maker.authority, clock: testClock, log: DeviceLog(), grades: grades) }

  func provision(_ device: Device) throws {
    try device.provision(
      serialNumber: "HC-0001", chainPEM: try maker.sign(try device.provisioningRequest(), serialNumber: "HC-0001"), connection: 1)
  }
  func claim(_ device: Device) async throws {
    let chain = try owner.sign(try device.operationalRequest(), device: device.identifier)
    try await device.claim(ownerPEM: owner.issuer.certificate.pem, chainPEM: chain, connection: 2) { pinned in
      #expect(pinned == owner.issuer.certificate)
    }
  }
  /// A claim whose pin must never be reached.
  func refusedClaim(_ device: Device, ownerPEM: String, chainPEM: String) async -> String? {
    do {
      try await device.claim(ownerPEM: ownerPEM, chainPEM: chainPEM, connection: 1) { _ in Issue.record("pinned by a claim that is refused") }
      return nil
    } catch {
      return error.code
    }
  }

  func code(_ operation: () throws -> Void) -> String? {
    do {
      try operation()
      return nil
    } catch {
      return (error as? Problem)?.code ?? "\(error)"
    }
  }

  @Test func goesFromBlankToOwnedAndRemembersIt() async throws {
    let device = try load()
    #expect(device.standing == Device.Standing(phase: .blank))
    #expect(folder.mode(of: "device.key") == 0o600)
    try provision(device)
    #expect(device.standing == Device.Standing(phase: .provisioned, serialNumber: "HC-0001"))
    try await claim(device)
    #expect(device.standing == Device.Standing(phase: .owned, serialNumber: "HC-0001", owner: owner.identifier))
    #expect(folder.mode(of: "state.json") == 0o600 && folder.mode(of: "operational.key") == 0o600)

    let again = try load()
    #expect(again.standing == device.standing)
    #expect(again.identifier == device.identifier)
    _ = try again.credentials()
  }

  @Test func aBlankDeviceKeepsItsKey() throws {
    #expect(try load().identifier == (try load()).identifier)
  }

  @Test func eachStepHasItsTime() async throws {
    let device = try load()
    #expect(code { _ = try device.operationalRequest() } == "life-cycle-state")
    #expect(await refusedClaim(device, ownerPEM: "", chainPEM: "") == "life-cycle-state")
    try provision(device)
    #expect(code { _ = try device.provisioningRequest() } == "life-cycle-state")
    #expect(code { try device.provision(serialNumber: "X", chainPEM: "", connection: 1) } == "life-cycle-state")
    #expect(await refusedClaim(device, ownerPEM: owner.issuer.certificate.pem, chainPEM: "") == "claim-not-offered")
    try await claim(device)
    #expect(code { _ = try device.operationalRequest() } == "life-cycle-state")
  }

  @Test func wrongMakerChainsChangeNothing() throws {
    let device = try load()
    let request = try device.provisioningRequest()
    let good = try maker.sign(request, serialNumber: "HC-0001")
    let stranger = try Maker(name: "Another maker").sign(request, serialNumber: "HC-0001")
    let otherKey = try PrivateKey.generateP256()
    let otherDevice = try maker.sign(try InitialDeviceProfile.request(key: otherKey).pem, serialNumber: "HC-0001")
    #expect(code { try device.provision(serialNumber: "HC-0001", chainPEM: stranger, connection: 1) } == "certificate-untrusted")
    #expect(code { try device.provision(serialNumber: "HC-0002", chainPEM: good, connection: 1) } == "certificate-profile")
    #expect(code { try device.provision(serialNumber: "HC-0001", chainPEM: otherDevice, connection: 1) } == "certificate-profile")
    #expect(code { try device.provision(serialNumber: "HC-0001", chainPEM: "nonsense", connection: 1) } == "certificate-malformed")
    #expect(code { try device.provision(serialNumber: "HC-0001", chainPEM: maker.station.pem, connection: 1) } == "certificate-profile")
    #expect(code { try device.provision(serialNumber: "a b", chainPEM: good, connection: 1) } == "serial-number-invalid")
    #expect(code { try device.provision(serialNumber: "", chainPEM: good, connection: 1) } == "serial-number-invalid")
    #expect(device.standing.phase == .blank)
    #expect(folder.read("state.json") == nil)
  }

  @Test func wrongClaimsChangeNothing() async throws {
    let device = try load()
    try provision(device)
    let request = try device.operationalRequest()
    #expect(
      try device.operationalRequest() != ""
        && CertificateRequest(pem: request).publicKey.der == CertificateRequest(pem: try device.operationalRequest()).publicKey.der)
    let good = try owner.sign(request, device: device.identifier)
    let ownerPEM = owner.issuer.certificate.pem
    let stranger = try Owner()
    #expect(await refusedClaim(device, ownerPEM: stranger.issuer.certificate.pem, chainPEM: good) == "certificate-profile")
    #expect(await refusedClaim(device, ownerPEM: maker.authority.pem, chainPEM: good) == "certificate-profile")
    #expect(await refusedClaim(device, ownerPEM: maker.station.pem, chainPEM: good) == "certificate-purpose")
    #expect(await refusedClaim(device, ownerPEM: "", chainPEM: good) == "certificate-malformed")
    let person = try owner.person("kim", .admin).certificate.pem
    #expect(await refusedClaim(device, ownerPEM: ownerPEM, chainPEM: person) == "certificate-profile")
    // Signed by a stranger in the owner's name.
    let key = try CertificateRequest(pem: request).publicKey
    let forged = try stranger.issuer.issue(
      OperationalDeviceProfile.template(owner: owner.identifier, device: device.identifier, now_s: testClock.now_s()), publicKey: key)
    #expect(await refusedClaim(device, ownerPEM: ownerPEM, chainPEM: forged.pem) == "certificate-untrusted")
    #expect(device.standing.phase == .provisioned)
    #expect(folder.read("operational.key") == nil)
    try await claim(device)
  }

  /// Every way in which the folder can be wrong makes the device damaged, and never blank.
  @Test func wrongFoldersAreDamage() async throws {
    let device = try load()
    try provision(device)
    try await claim(device)
    let state = try #require(folder.read("state.json"))
    let otherKey = String(decoding: try PrivateKey.generateP256().pem().withUnsafeBytes { Array($0) }, as: UTF8.self)
    let deviceKey = try #require(folder.read("device.key"))
    let operationalKey = try #require(folder.read("operational.key"))
    func expectDamage(_ what: String, _ change: () -> Void) throws {
      change()
      let damaged = try load()
      #expect(damaged.standing.phase == .damaged, "\(what)")
      #expect(damaged.standing.damage?.isEmpty == false)
      #expect(damaged.standing.owner == nil)
      #expect(code { _ = try damaged.provisioningRequest() } == "device-damaged")
      _ = try damaged.credentials()
      folder.write(state, to: "state.json")
      folder.write(deviceKey, to: "device.key")
      folder.write(operationalKey, to: "operational.key")
      #expect(try load().standing.phase == .owned)
    }
    try expectDamage("empty state") { folder.write("", to: "state.json") }
    try expectDamage("cut state") { folder.write(String(state.prefix(state.count / 2)), to: "state.json") }
    try expectDamage("huge state") { folder.write(state + String(repeating: " ", count: 70_000), to: "state.json") }
    try expectDamage("state of a later version") { folder.write(state.replacing("\"version\":1", with: "\"version\":2"), to: "state.json") }
    try expectDamage("unknown phase") { folder.write(state.replacing("\"owned\"", with: "\"lent\""), to: "state.json") }
    try expectDamage("another serial number") { folder.write(state.replacing("HC-0001", with: "HC-0002"), to: "state.json") }
    try expectDamage("flipped certificate") { folder.write(state.replacing("MII", with: "MIJ"), to: "state.json") }
    try expectDamage("readable by others") { folder.write(state, to: "state.json", mode: 0o644) }
    try expectDamage("no device key") { folder.remove("device.key") }
    try expectDamage("another device key") { folder.write(otherKey, to: "device.key") }
    try expectDamage("broken device key") { folder.write("x", to: "device.key") }
    try expectDamage("no operational key") { folder.remove("operational.key") }
    try expectDamage("another operational key") { folder.write(otherKey, to: "operational.key") }
  }

  @Test func aKeyThatIsBrokenIsDamageAlsoWithoutAState() throws {
    folder.write("x", to: "device.key")
    let device = try load()
    #expect(device.standing.phase == .damaged)
    #expect(folder.read("device.key") == "x")
  }

  @Test func callersAreJudgedByTheStateOfNow() async throws {
    let device = try load()
    let blank = try device.credentials().generation
    #expect(role(device.judge(maker.station, generation: blank)) == .station)
    try provision(device)
    #expect(role(device.judge(maker.station, generation: blank)) == nil)
    let provisioned = try device.credentials().generation
    let claimant = try ClaimantProfile.make(key: try PrivateKey.generateP256(), now_s: testClock.now_s())
    #expect(role(device.judge(claimant, generation: provisioned)) == .claimant)
    try await claim(device)
    let owned = try device.credentials().generation
    #expect(role(device.judge(claimant, generation: owned)) == nil)
    #expect(role(device.judge(maker.station, generation: owned)) == nil)
    for role in Role.allCases {
      #expect(self.role(device.judge(try owner.person("kim", role).certificate, generation: owned)) == CallerRole(role))
      #expect(self.role(device.judge(try Owner().person("kim", role).certificate, generation: owned)) == nil)
    }
    // The grade narrows whom the same certificates let in, at once.
    func servedIn(_ grade: Grade) throws -> [CallerRole] {
      grades.take(GradeReport(grade: grade, cause: .requested, event: 1, at_us: 1, decay_ms: 0, nonce: [], evidence: ""))
      return try Role.allCases.compactMap { role(device.judge(try owner.person("kim", $0).certificate, generation: owned)) }
    }
    #expect(try servedIn(.restricted) == [.viewer, .operator, .admin])
    #expect(try servedIn(.quarantined) == [.admin])
    #expect(try servedIn(.locked) == [])
    #expect(try servedIn(.normal) == [.viewer, .operator, .admin])
    // Past its end.
    let late = try Device.load(
      folder: folder.path, maker: maker.authority, clock: WallClock(floor_s: testClock.now_s() + 91 * 86_400), log: DeviceLog(), grades: grades)
    #expect(late.standing.phase == .owned)
    #expect(role(late.judge(try owner.person("kim", .admin).certificate, generation: 1)) == nil)
  }

  @Test func aChangeIsTold() async throws {
    let device = try load()
    let told = Told()
    device.onChange { told.add($0) }
    try provision(device)
    try await claim(device)
    #expect(told.connections == [1, 2])
  }

  private func role(_ decision: CallerDecision) -> CallerRole? {
    if case .allowed(let role, _) = decision { return role }
    return nil
  }
}
