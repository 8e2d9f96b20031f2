import Crypto
import Foundations
import Identity
import Testing

private let now_s: Int64 = 1_800_000_000

/// Each rule of the policy, broken one at a time.
@Suite struct LeafPolicyTests {
  let owner: CertificateIssuer
  let identifier: OwnerIdentifier
  let key: PrivateKey

  init() throws {
    let ownerKey = try PrivateKey.generateP256()
    owner = try CertificateIssuer(certificate: OwnerAuthorityProfile.make(key: ownerKey, now_s: now_s), key: ownerKey)
    identifier = OwnerIdentifier(publicKey: ownerKey.publicKey)
    key = try PrivateKey.generateP256()
  }

  private func person(_ change: (inout CertificateTemplate) -> Void = { _ in }) throws -> Certificate {
    var template = PersonProfile.template(owner: identifier, name: try #require(PersonName("ada")), role: .admin, now_s: now_s)
    change(&template)
    return try owner.issue(template, publicKey: key.publicKey)
  }

  @Test func aPersonIsAPerson() throws {
    let ada = try person()
    #expect(LeafPolicy.person.refusal(of: ada) == nil)
    #expect(LeafPolicy.station.refusal(of: ada)?.kind == .purpose && LeafPolicy.operationalDevice.refusal(of: ada)?.kind == .purpose)
    let edwards = try owner.issue(
      PersonProfile.template(owner: identifier, name: try #require(PersonName("grace")), role: .viewer, now_s: now_s),
      publicKey: try PrivateKey.generate(.ed25519).publicKey)
    #expect(LeafPolicy.person.refusal(of: edwards) == nil)
  }

  @Test func everyDeviationIsRefused() throws {
    let cases: [(String, CertificateRefusal.Kind, (inout CertificateTemplate) -> Void)] = [
      ("no usage", .purpose, { $0.extendedKeyUsages = [] }),
      ("no usage of ours", .purpose, { $0.extendedKeyUsages = [.clientAuthentication] }),
      ("of two kinds", .purpose, { $0.extendedKeyUsages.append(HaechiObjectIdentifier.deviceUsage) }),
      ("a server too", .purpose, { $0.extendedKeyUsages.append(.serverAuthentication) }),
      ("not a client", .purpose, { $0.extendedKeyUsages.removeLast() }),
      ("a usage twice", .purpose, { $0.extendedKeyUsages.append(.clientAuthentication) }),
      ("an authority", .purpose, { $0.kind = .authority(pathLength: 0) }),
      ("no name", .profile, { $0.names = [] }),
      ("a second name", .profile, { $0.names.append(.dns("ada.example")) }),
    ]
    for (what, kind, change) in cases {
      #expect(LeafPolicy.person.refusal(of: try person(change))?.kind == kind, "\(what)")
    }
  }

  @Test func aPersonIsNamedTwiceTheSame() throws {
    func refusal(_ change: (inout CertificateTemplate) -> Void) throws -> CertificateRefusal.Kind? {
      do throws(CertificateRefusal) {
        _ = try PersonProfile.check(try! person(change), owner: identifier)
        return nil
      } catch {
        return error.kind
      }
    }
    #expect(try refusal { _ in } == nil)
    #expect(try refusal { $0.subject = DistinguishedName(commonName: "grace") } == .profile)
    #expect(try refusal { $0.subject = DistinguishedName(commonName: "Ada") } == .profile)
    #expect(try refusal { $0.names = [.uri("haechi://maker/device/00112233445566778899")] } == .profile)
    #expect(try refusal { $0.extensions = [] } == .profile)
  }

  @Test func anOwnersAuthorityHasNoneBelowIt() throws {
    let key = try PrivateKey.generateP256()
    let plain = try OwnerAuthorityProfile.make(key: key, now_s: now_s)
    let wide = try CertificateIssuer.selfSigned(
      CertificateTemplate(
        kind: .authority(pathLength: 1), subject: DistinguishedName(commonName: try #require(plain.subjectCommonName)), notBefore_s: plain.notBefore_s,
        notAfter_s: plain.notAfter_s), key: key)
    #expect(throws: CertificateRefusal.self) { try OwnerAuthorityProfile.check(wide) }
    _ = try OwnerAuthorityProfile.check(plain)
  }

  @Test func listsOfAnOwnerOnlyGrow() throws {
    let serials = try (1...3).map { RevokedCertificate(serial: try #require(CertificateSerial(bytes: [$0])), revoked_s: now_s) }
    func list(_ number: UInt64, _ entries: [RevokedCertificate], _ issuer: CertificateIssuer? = nil) throws -> CertificateRevocationList {
      try (issuer ?? owner).revocationList(number: number, revoked: entries, now_s: now_s)
    }
    func kind(_ next: CertificateRevocationList, after present: CertificateRevocationList?) -> CertificateRefusal.Kind? {
      do throws(CertificateRefusal) {
        try OwnerRevocations.check(next, owner: owner.certificate, after: present)
        return nil
      } catch {
        return error.kind
      }
    }
    let two = try list(2, Array(serials.prefix(2)))
    #expect(kind(two, after: nil) == nil && kind(two, after: two) == nil)
    #expect(kind(try list(3, serials), after: two) == nil)
    #expect(kind(try list(2, serials), after: two) == .profile, "the same number")
    #expect(kind(try list(1, serials), after: two) == .profile, "an older number")
    #expect(kind(try list(3, [serials[0], serials[2]]), after: two) == .profile, "one is let in again")
    let otherKey = try PrivateKey.generateP256()
    let other = try CertificateIssuer(certificate: OwnerAuthorityProfile.make(key: otherKey, now_s: now_s), key: otherKey)
    #expect(kind(try list(3, serials, other), after: two) == .untrusted)
  }
}
