import Crypto
import Foundations
import Identity
import Testing

private let now_s: Int64 = 1_800_000_000

@Suite struct IdentityURITests {
  static let device = DeviceIdentifier("00112233445566778899")!
  static let owner = OwnerIdentifier("aabbccddeeff00112233")!

  @Test func readsBack() throws {
    let name = try #require(PersonName("ada.lovelace-1_x"))
    for uri in [IdentityURI.makerDevice(Self.device), .device(owner: Self.owner, Self.device), .person(owner: Self.owner, name)] {
      #expect(IdentityURI(uri.text) == uri)
    }
    #expect(IdentityURI("haechi://aabbccddeeff00112233/person/ada") == .person(owner: Self.owner, PersonName("ada")!))
  }

  @Test(arguments: [
    "", "haechi:", "haechi://", "haechi:///", "haechi://maker", "haechi://maker/device", "haechi://maker/device/", "haechi://maker/device/0011",
    "haechi://maker/device/00112233445566778899/", "haechi://maker/device/00112233445566778899?x", "haechi://maker/person/ada",
    "HAECHI://maker/device/00112233445566778899", "haechi://Maker/device/00112233445566778899", "haechi://maker/Device/00112233445566778899",
    "haechi://AABBCCDDEEFF00112233/person/ada", "haechi://aabbccddeeff00112233/device/AABBCCDDEEFF00112233", "haechi://aabbccddeeff00112233/person/Ada",
    "haechi://aabbccddeeff00112233/person/", "haechi://aabbccddeeff00112233/person/.ada", "haechi://aabbccddeeff00112233/person/a/b",
    "haechi://aabbccddeeff00112233/person/a%62", "haechi://aabbccddeeff00112233/person/caf\u{e9}", "haechi://aabbccddeeff00112233:443/person/ada",
    "haechi://aabbccddeeff00112233/admin/ada", "https://aabbccddeeff00112233/person/ada", " haechi://maker/device/00112233445566778899",
    "haechi://maker//00112233445566778899",
  ]) func isRefused(_ text: String) { #expect(IdentityURI(text) == nil) }

  @Test func aZeroByteIsRefused() { #expect(IdentityURI("haechi://maker/device/00112233445566778899\u{0}") == nil) }

  /// Whatever it takes, it writes back byte for byte: two texts never name the same holder.
  @Test func isTotalAndExact() {
    var random = SeededRandom(20)
    let alphabet = Array("haechi:/makerdvcpson0123456789abcdefABC.-_%?#@ \u{0}é".unicodeScalars)
    let seeds = [
      "haechi://maker/device/00112233445566778899", "haechi://aabbccddeeff00112233/person/ada", "haechi://aabbccddeeff00112233/device/00112233445566778899",
    ]
    for _ in 0..<20_000 {
      var scalars = Array(seeds.randomElement(using: &random)!.unicodeScalars)
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let index = Int.random(in: 0..<scalars.count, using: &random)
        switch Int.random(in: 0...2, using: &random) {
        case 0: scalars[index] = alphabet.randomElement(using: &random)!
        case 1: scalars.insert(alphabet.randomElement(using: &random)!, at: index)
        default: if scalars.count > 1 { scalars.remove(at: index) }
        }
      }
      var text = ""
      text.unicodeScalars.append(contentsOf: scalars)
      if let uri = IdentityURI(text) { #expect(Array(uri.text.utf8) == Array(text.utf8)) }
    }
  }
}

@Suite struct NameTests {
  @Test func anOwnerIsNamedAfterItsKey() throws {
    let key = try PrivateKey.generateP256()
    let authority = try OwnerAuthorityProfile.make(key: key, now_s: now_s)
    let owner = try OwnerAuthorityProfile.check(authority)
    #expect(owner.text == hexadecimal(sha256(key.publicKey.der).prefix(10)) && owner == OwnerIdentifier(publicKey: key.publicKey))
    #expect(authority.subjectCommonName == "Haechi owner \(owner)" && authority.isAuthority)
    #expect(OwnerIdentifier("AABBCCDDEEFF00112233")?.text == "aabbccddeeff00112233" && OwnerIdentifier("abc") == nil)
  }

  @Test func rolesAreOrdered() {
    #expect(Role.viewer < .operator && Role.operator < .admin && Role.allCases.sorted() == [.viewer, .operator, .admin])
    #expect(Role(rawValue: "Admin") == nil && Role(rawValue: "root") == nil)
  }

  @Test func personNames() {
    for good in ["a", "ada", "0", "a.b-c_d", String(repeating: "a", count: 32)] { #expect(PersonName(good)?.text == good) }
    for bad in ["", "A", "-a", ".a", "_a", "a b", "a/b", "é", String(repeating: "a", count: 33)] { #expect(PersonName(bad) == nil) }
  }
}

@Suite struct ProfileTests {
  let makerKey: PrivateKey
  let maker: CertificateIssuer
  let ownerKey: PrivateKey
  let owner: CertificateIssuer
  let ownerIdentifier: OwnerIdentifier

  init() throws {
    makerKey = try PrivateKey.generateP256()
    maker = try CertificateIssuer(certificate: MakerAuthorityProfile.make(name: "Maker", key: makerKey, now_s: now_s), key: makerKey)
    ownerKey = try PrivateKey.generateP256()
    owner = try CertificateIssuer(certificate: OwnerAuthorityProfile.make(key: ownerKey, now_s: now_s), key: ownerKey)
    ownerIdentifier = OwnerIdentifier(publicKey: ownerKey.publicKey)
  }

  private func verify(_ leaf: Certificate, by issuer: CertificateIssuer, _ purpose: ChainVerifier.Purpose) throws {
    _ = try ChainVerifier(authorities: [issuer.certificate], purpose: purpose).verifiedChain(leaf: leaf, intermediates: [], time_s: now_s)
  }

  @Test func aDeviceFromBlankToOwned() throws {
    let key = try PrivateKey.generateP256()
    let device = InitialDeviceProfile.identifier(key.publicKey)
    let blank = try InitialDeviceProfile.selfSigned(key: key, now_s: now_s)
    #expect(try InitialDeviceProfile.check(blank) == device)
    let request = try InitialDeviceProfile.request(key: key)
    #expect(try InitialDeviceProfile.check(request) == device)
    let initial = try maker.issue(InitialDeviceProfile.template(device: device, serialNumber: "SN1", now_s: now_s), publicKey: request.publicKey)
    #expect(try InitialDeviceProfile.check(initial) == device && initial.notAfter_s == noEnd_s && initial.subjectSerialNumber == "SN1")
    #expect(initial.sanURIs == ["haechi://maker/device/\(device)"] && initial.sanDNSNames == ["haechi-\(device)"])
    try verify(initial, by: maker, .server)
    try verify(initial, by: maker, .client)
    let operational = try PrivateKey.generateP256()
    let second = try OperationalDeviceProfile.request(key: operational, device: device)
    try OperationalDeviceProfile.check(second, device: device)
    let local = try owner.issue(OperationalDeviceProfile.template(owner: ownerIdentifier, device: device, now_s: now_s), publicKey: second.publicKey)
    let named = try OperationalDeviceProfile.check(local)
    #expect(named.owner == ownerIdentifier && named.device == device && local.sanDNSNames == ["haechi-\(device)", "haechi-\(device).local"])
    #expect(local.notAfter_s - local.notBefore_s == 90 * 86_400 && local.notBefore_s == now_s - 3600)
    try verify(local, by: owner, .server)
  }

  @Test func callersAreRecognised() throws {
    let key = try PrivateKey.generateP256()
    let station = try maker.issue(StationProfile.template(name: "bench 1", now_s: now_s), publicKey: key.publicKey)
    #expect(try StationProfile.check(station) == .station(name: "bench 1"))
    try verify(station, by: maker, .client)
    let ada = try #require(PersonName("ada"))
    for role in Role.allCases {
      let person = try owner.issue(PersonProfile.template(owner: ownerIdentifier, name: ada, role: role, now_s: now_s), publicKey: key.publicKey)
      #expect(try PersonProfile.check(person, owner: ownerIdentifier) == .person(owner: ownerIdentifier, name: ada, role: role))
      try verify(person, by: owner, .client)
    }
    let claimant = try ClaimantProfile.make(key: key, now_s: now_s)
    #expect(ClaimantProfile.check(claimant) == .claimant(fingerprint: hexadecimal(claimant.sha256Fingerprint)))
  }

  @Test func nobodyPassesForAnother() throws {
    let key = try PrivateKey.generateP256()
    let device = InitialDeviceProfile.identifier(key.publicKey)
    let ada = try #require(PersonName("ada"))
    let station = try maker.issue(StationProfile.template(name: "bench 1", now_s: now_s), publicKey: key.publicKey)
    let initial = try maker.issue(InitialDeviceProfile.template(device: device, serialNumber: "1", now_s: now_s), publicKey: key.publicKey)
    let local = try owner.issue(OperationalDeviceProfile.template(owner: ownerIdentifier, device: device, now_s: now_s), publicKey: key.publicKey)
    let person = try owner.issue(PersonProfile.template(owner: ownerIdentifier, name: ada, role: .admin, now_s: now_s), publicKey: key.publicKey)
    for other in [initial, local, person] { #expect(throws: CertificateRefusal.self) { try StationProfile.check(other) } }
    for other in [station, initial, local] { #expect(throws: CertificateRefusal.self) { try PersonProfile.check(other, owner: ownerIdentifier) } }
    for other in [station, local, person] { #expect(throws: CertificateRefusal.self) { try InitialDeviceProfile.check(other) } }
    for other in [station, initial, person] { #expect(throws: CertificateRefusal.self) { try OperationalDeviceProfile.check(other) } }
    for other in [station, initial, person, maker.certificate] { #expect(throws: CertificateRefusal.self) { try OwnerAuthorityProfile.check(other) } }
    // Another owner's person; no role; an unknown role; another device's key under this device's name.
    let stranger = OwnerIdentifier(publicKey: key.publicKey)
    #expect(throws: CertificateRefusal.self) { try PersonProfile.check(person, owner: stranger) }
    var template = PersonProfile.template(owner: ownerIdentifier, name: ada, role: .viewer, now_s: now_s)
    template.extensions = []
    let none = try owner.issue(template, publicKey: key.publicKey)
    #expect(throws: CertificateRefusal.self) { try PersonProfile.check(none, owner: ownerIdentifier) }
    template.extensions = [.init(identifier: HaechiObjectIdentifier.role, value: try #require(derUTF8String("root")), isCritical: false)]
    let unknown = try owner.issue(template, publicKey: key.publicKey)
    #expect(throws: CertificateRefusal.self) { try PersonProfile.check(unknown, owner: ownerIdentifier) }
    let other = try PrivateKey.generateP256()
    let stolen = try maker.issue(InitialDeviceProfile.template(device: device, serialNumber: "1", now_s: now_s), publicKey: other.publicKey)
    #expect(throws: CertificateRefusal.self) { try InitialDeviceProfile.check(stolen) }
  }

  @Test func authoritiesAreChecked() throws {
    try MakerAuthorityProfile.check(maker.certificate)
    let key = try PrivateKey.generateP256()
    let station = try maker.issue(StationProfile.template(name: "bench", now_s: now_s), publicKey: key.publicKey)
    #expect(throws: CertificateRefusal.self) { try MakerAuthorityProfile.check(station) }
    #expect(throws: CertificateRefusal.self) { try OwnerAuthorityProfile.check(maker.certificate) }
    let foreign = try PrivateKey.generate(.ed25519)
    let edwards = try MakerAuthorityProfile.make(name: "Maker", key: foreign, now_s: now_s)
    #expect(throws: CertificateRefusal.self) { try MakerAuthorityProfile.check(edwards) }
  }
}
