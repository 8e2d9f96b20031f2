import Crypto
import Foundations
import Testing

@Suite struct RevocationListTests {
  let authority: TestAuthority
  let leaf: Certificate

  init() throws {
    authority = try TestAuthority()
    leaf = try authority.issuer.issue(TestAuthority.template("leaf"), publicKey: try PrivateKey.generateP256().publicKey)
  }

  private func serial(_ last: UInt8) -> CertificateSerial { CertificateSerial(bytes: [0x41, last])! }

  @Test func saysWhatItWasMadeOf() throws {
    let own = try #require(leaf.serial)
    let entries = [RevokedCertificate(serial: own, revoked_s: 1_700_000_000), RevokedCertificate(serial: serial(1), revoked_s: 1_700_000_001)]
    let list = try authority.issuer.revocationList(number: .max, revoked: entries, now_s: 1_700_000_002)
    for read in [list, try CertificateRevocationList(der: list.der), try CertificateRevocationList(pem: list.pem)] {
      #expect(read == list && read.number == .max && Set(read.revoked) == Set(entries))
      #expect(read.revokes(leaf) && read.revokes(serial(1)) && !read.revokes(serial(2)))
      #expect(read.refusal(issuer: authority.issuer.certificate) == nil)
    }
    let empty = try authority.issuer.revocationList(number: 1, revoked: [], now_s: 0)
    #expect(empty.revoked.isEmpty && !empty.revokes(leaf))
  }

  @Test func anotherAuthoritysListSaysNothingHere() throws {
    let other = try TestAuthority()
    let list = try other.issuer.revocationList(number: 1, revoked: [.init(serial: try #require(leaf.serial), revoked_s: 0)], now_s: 0)
    // The same name, another key.
    #expect(list.refusal(issuer: authority.issuer.certificate)?.kind == .invalid)
    let stranger = try CertificateIssuer.selfSigned(
      CertificateTemplate(kind: .authority(pathLength: 0), subject: DistinguishedName(commonName: "stranger"), notBefore_s: 0, notAfter_s: noEnd_s),
      key: other.key)
    let strange = try CertificateIssuer(certificate: stranger, key: other.key).revocationList(
      number: 1, revoked: [.init(serial: try #require(leaf.serial), revoked_s: 0)], now_s: 0)
    #expect(strange.refusal(issuer: authority.issuer.certificate)?.kind == .untrusted && !strange.revokes(leaf))
  }

  @Test func whatIsNotUnderstoodWholeIsRefused() throws {
    let entry = RevokedCertificate(serial: serial(1), revoked_s: 0)
    #expect(throws: CryptoError.self) { try authority.issuer.revocationList(number: 0, revoked: [], now_s: 0) }
    #expect(throws: CryptoError.self) { try authority.issuer.revocationList(number: 1, revoked: [entry, entry], now_s: 0) }
    #expect(throws: CryptoError.self) { try authority.issuer.revocationList(number: 1, revoked: [], now_s: -1) }
    let many = (0..<400).map { number in
      let serial = [0x41, UInt8(number / 256), UInt8(number % 256)] + [UInt8](repeating: 7, count: 17)
      return RevokedCertificate(serial: CertificateSerial(bytes: serial)!, revoked_s: 0)
    }
    #expect(try authority.issuer.revocationList(number: 1, revoked: Array(many.prefix(270)), now_s: 0).revoked.count == 270)
    #expect(throws: CryptoError.self) { try authority.issuer.revocationList(number: 1, revoked: many, now_s: 0) }
    for text in ["", "x", leaf.pem] { #expect(throws: CryptoError.self) { try CertificateRevocationList(pem: text) } }
    #expect(throws: CryptoError.self) { try CertificateRevocationList(der: leaf.der) }
  }

  @Test func hostileEncodingsAreErrorsAndNeverCrash() throws {
    let entries = (1...5).map { RevokedCertificate(serial: serial($0), revoked_s: 1_700_000_000) }
    let list = try authority.issuer.revocationList(number: 7, revoked: entries, now_s: 1_700_000_000)
    #expect(throws: CryptoError.self) { try CertificateRevocationList(der: list.der + [0]) }
    #expect(throws: CryptoError.self) { try CertificateRevocationList(der: []) }
    var random = SeededRandom(6)
    var read = 0
    for _ in 0..<3_000 {
      let changed = random.mutation(of: list.der)
      guard changed != list.der, let parsed = try? CertificateRevocationList(der: changed) else { continue }
      read += 1
      // OpenSSL keeps the bytes that were signed: no change passes for the authority's.
      #expect(parsed.refusal(issuer: authority.issuer.certificate) != nil || parsed.der == list.der)
    }
    #expect(read > 0)
  }

  @Test func serialNumbersAreThoseOfTheStandard() {
    #expect(CertificateSerial("0a") == CertificateSerial(bytes: [10]) && CertificateSerial(bytes: [10])?.description == "0a")
    for bad in ["", "0", "00", "zz", String(repeating: "41", count: 21)] { #expect(CertificateSerial(bad) == nil) }
    #expect(leaf.version == 3 && leaf.signsOnly && leaf.pathLength == nil && leaf.signatureAlgorithm == .ecdsaWithSHA256)
    #expect(authority.issuer.certificate.pathLength != nil && !authority.issuer.certificate.signsOnly)
  }
}
