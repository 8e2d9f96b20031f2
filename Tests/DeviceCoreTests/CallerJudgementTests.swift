import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink
import Testing

@testable import DeviceCore

/// What a connection's certificate is worth, asked again and again.
extension DeviceLifeCycleTests {
  @Test func callersAreJudgedByTheStateOfNow() async throws {
    let device = try await load()
    let blank = try device.credentials().generation
    let provisions = device.judge(of: maker.station, generation: blank)
    #expect(role(provisions(false)) == .station)
    try await provision(device)
    #expect(role(provisions(false)) == nil && role(device.judge(of: maker.station, generation: blank)(false)) == nil)
    let provisioned = try device.credentials().generation
    let claimant = try ClaimantProfile.make(key: try PrivateKey.generateP256(), now_s: testClock.now_s())
    #expect(role(device.judge(of: claimant, generation: provisioned)(false)) == .claimant)
    try await claim(device)
    let owned = try device.credentials().generation
    #expect(role(device.judge(of: claimant, generation: owned)(false)) == nil)
    #expect(role(device.judge(of: maker.station, generation: owned)(false)) == nil)
    // While somebody stands at the device it hears claimants, who are nothing else whatever they say of themselves.
    let boaster = try PrivateKey.generateP256()
    guard let name = PersonName("kim") else { throw CryptoError(code: "malformed-input", reason: "kim is no name") }
    let boast = try CertificateIssuer.selfSigned(
      PersonProfile.template(owner: owner.identifier, name: name, role: .admin, now_s: testClock.now_s()), key: boaster)
    // One connection each, judged again at each request.
    let claims = device.judge(of: claimant, generation: owned)
    let boasts = device.judge(of: boast, generation: owned)
    #expect(role(claims(false)) == nil && role(boasts(false)) == nil)
    device.gate.presence.press()
    #expect(role(claims(false)) == .claimant && role(boasts(false)) == .claimant)
    device.gate.presence.close()
    #expect(role(claims(false)) == nil && role(boasts(false)) == nil)
    for role in Role.allCases {
      #expect(self.role(device.judge(of: try owner.person("kim", role).certificate, generation: owned)(false)) == CallerRole(role))
      #expect(self.role(device.judge(of: try Owner().person("kim", role).certificate, generation: owned)(false)) == nil)
    }
    // The grade narrows whom the same certificates let in, at once.
    let people = try Role.allCases.map { device.judge(of: try owner.person("kim", $0).certificate, generation: owned) }
    func servedIn(_ grade: Grade) -> [CallerRole] {
      grades.take(GradeReport(grade: grade, cause: .requested, event: 1, at_us: 1, decay_ms: 0, nonce: [], evidence: ""))
      return people.compactMap { role($0(false)) }
    }
    #expect(servedIn(.restricted) == [.viewer, .operator, .admin])
    #expect(servedIn(.quarantined) == [.admin])
    // Whoever stands at it is heard; the supervisor says whether it may be wiped.
    #expect(role(claims(false)) == nil)
    device.gate.presence.press()
    #expect(role(claims(false)) == .claimant)
    let station = CallerIdentity.station(name: "line 1")
    func mayProvision(_ phase: LifeCyclePhase) -> Bool { device.rules.refusal(of: station, phase: phase, grade: .quarantined, isPresent: false) == nil }
    #expect(mayProvision(.damaged) && !mayProvision(.blank) && !mayProvision(.provisioned))
    #expect(servedIn(.locked) == [])
    #expect(role(claims(false)) == nil)
    device.gate.presence.close()
    #expect(servedIn(.normal) == [.viewer, .operator, .admin])
    // Past its end.
    let late = try await load(WallClock(floor_s: testClock.now_s() + 91 * 86_400))
    #expect(late.standing.phase == .owned)
    #expect(role(late.judge(of: try owner.person("kim", .admin).certificate, generation: 1)(false)) == nil)
  }

  @Test func anotherDeviceOfTheOwnersIsAskedAboutAtEachRequest() async throws {
    let first = try await load()
    try await provision(first)
    try await claim(first)
    let knows = NIOLockedValueBox(false)
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: folder.path), maker: maker.authority, clock: testClock, log: DeviceLog(),
      grades: grades, admitsPeer: { _, isNew in isNew || knows.withLockedValue { $0 } })
    let key = try PrivateKey.generateP256().publicKey
    let sibling = InitialDeviceProfile.identifier(key)
    func decision(_ owner: Owner, _ named: DeviceIdentifier) throws -> @Sendable (Bool) -> DeviceIdentifier? {
      let certificate = try owner.issuer.issue(
        OperationalDeviceProfile.template(owner: owner.identifier, device: named, now_s: testClock.now_s()), publicKey: key)
      let judge = device.judge(of: certificate, generation: try device.credentials().generation)
      return { if case .peer(let device) = judge($0) { device } else { nil } }
    }
    let judge = try decision(owner, sibling)
    // In its handshake it may ask to become a peer; a request of one that is not known is refused, and again once it is forgotten.
    #expect(judge(true) == sibling && judge(false) == nil)
    knows.withLockedValue { $0 = true }
    #expect(judge(false) == sibling)
    grades.take(GradeReport(grade: .restricted, cause: .requested, event: 1, at_us: 1, decay_ms: 0, nonce: [], evidence: ""))
    #expect(judge(false) == nil)
    grades.take(GradeReport(grade: .normal, cause: .requested, event: 2, at_us: 1, decay_ms: 0, nonce: [], evidence: ""))
    knows.withLockedValue { $0 = false }
    #expect(judge(false) == nil)
    knows.withLockedValue { $0 = true }
    #expect(try decision(Owner(), sibling)(true) == nil && decision(owner, device.identifier)(true) == nil)
  }

  private func role(_ decision: CallerDecision) -> CallerRole? {
    if case .allowed(let role, _, _) = decision { return role }
    return nil
  }
}
