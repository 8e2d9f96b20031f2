import Crypto
import Foundations
import Identity
import Testing

private let now_s: Int64 = 1_800_000_000

@Suite struct OwnerStatementTests {
  static let device = DeviceIdentifier("00112233445566778899")!
  let ownerKey: PrivateKey
  let owner: CertificateIssuer
  let identifier: OwnerIdentifier
  let key: PrivateKey
  let admin: Certificate
  let statement: OwnerStatement

  init() throws {
    ownerKey = try PrivateKey.generateP256()
    owner = try CertificateIssuer(certificate: OwnerAuthorityProfile.make(key: ownerKey, now_s: now_s), key: ownerKey)
    identifier = OwnerIdentifier(publicKey: ownerKey.publicKey)
    key = try PrivateKey.generateP256()
    admin = try owner.issue(
      PersonProfile.template(owner: identifier, name: PersonName("ada")!, role: .admin, now_s: now_s), publicKey: key.publicKey)
    let destination = try #require(CloudDestination(host: "broker.example", port: 8883))
    statement = try #require(
      OwnerStatement(
        kind: OwnerStatement.bindCloud, device: Self.device, event: 0x0102_0304_0506_0708, nonce: Array(0x40..<0x60),
        body: destination.encoded))
  }

  /// The code of the refusal, nil where it is accepted.
  private func refusal(
    _ statement: OwnerStatement? = nil, owner: [UInt8]? = nil, certificate: [UInt8]? = nil, signature: [UInt8], time_s: Int64 = now_s
  ) -> String? {
    do throws(StatementRefusal) {
      try (statement ?? self.statement).verify(
        owner: owner ?? self.owner.certificate.der, certificate: certificate ?? admin.der, signature: signature, time_s: time_s)
      return nil
    } catch {
      return error.code
    }
  }

  @Test func signedBytesAreThoseOfTheFormat() throws {
    let wanted =
      hexadecimal("haechi-statement-1".utf8) + "00" + "02" + "00112233445566778899" + "0102030405060708" + hexadecimal(0x40..<0x60) + "0010"
      + "22b3" + hexadecimal("broker.example".utf8)
    #expect(hexadecimal(statement.signedBytes) == wanted)
    let release = try #require(OwnerStatement(kind: OwnerStatement.release, device: Self.device, event: 0, nonce: Array(repeating: 0, count: 32)))
    #expect(hexadecimal(release.signedBytes).hasSuffix(String(repeating: "0", count: 64) + "0000"))
  }

  @Test func anAdminsStatementIsAccepted() throws {
    let name = try statement.verify(owner: owner.certificate.der, certificate: admin.der, signature: statement.sign(with: key), time_s: now_s)
    #expect(name.text == "ada")
    let edwards = try PrivateKey.generate(.ed25519)
    let certificate = try owner.issue(
      PersonProfile.template(owner: identifier, name: PersonName("grace")!, role: .admin, now_s: now_s), publicKey: edwards.publicKey)
    #expect(refusal(certificate: certificate.der, signature: try statement.sign(with: edwards)) == nil)
  }

  @Test func anotherDevicesEventNonceKindOrBodyIsRefused() throws {
    let signature = try statement.sign(with: key)
    let other = try #require(DeviceIdentifier("00112233445566778898"))
    let nonce = statement.nonce
    let others: [OwnerStatement?] = [
      OwnerStatement(kind: 2, device: other, event: statement.event, nonce: nonce, body: statement.body),
      OwnerStatement(kind: 1, device: Self.device, event: statement.event, nonce: nonce, body: statement.body),
      OwnerStatement(kind: 2, device: Self.device, event: statement.event + 1, nonce: nonce, body: statement.body),
      OwnerStatement(kind: 2, device: Self.device, event: statement.event, nonce: nonce.reversed(), body: statement.body),
      OwnerStatement(kind: 2, device: Self.device, event: statement.event, nonce: nonce, body: Array(statement.body.dropLast())),
      OwnerStatement(kind: 2, device: Self.device, event: statement.event, nonce: nonce),
    ]
    for changed in others {
      let changed = try #require(changed)
      #expect(refusal(changed, signature: signature) == "signature-invalid")
    }
    #expect(OwnerStatement(kind: 1, device: Self.device, event: 0, nonce: Array(nonce.dropLast())) == nil)
    #expect(OwnerStatement(kind: 1, device: Self.device, event: 0, nonce: nonce + [0]) == nil)
    #expect(
      OwnerStatement(kind: 2, device: Self.device, event: 0, nonce: nonce, body: Array(repeating: 65, count: OwnerStatement.bodyMaximum_bytes + 1)) == nil)
  }

  @Test func everyoneElseIsRefused() throws {
    let signature = try statement.sign(with: key)
    func person(_ role: Role, by issuer: CertificateIssuer, of identifier: OwnerIdentifier, at_s: Int64 = now_s) throws -> [UInt8] {
      try issuer.issue(PersonProfile.template(owner: identifier, name: PersonName("ada")!, role: role, now_s: at_s), publicKey: key.publicKey).der
    }
    for role in [Role.viewer, .operator] {
      #expect(refusal(certificate: try person(role, by: owner, of: identifier), signature: signature) == "not-an-admin")
    }
    let strangerKey = try PrivateKey.generateP256()
    let stranger = try CertificateIssuer(certificate: OwnerAuthorityProfile.make(key: strangerKey, now_s: now_s), key: strangerKey)
    let strange = OwnerIdentifier(publicKey: strangerKey.publicKey)
    #expect(refusal(certificate: try person(.admin, by: stranger, of: strange), signature: signature) == "certificate-untrusted")
    // A stranger's CA that calls itself this owner's, and this owner's CA that names another owner.
    #expect(refusal(certificate: try person(.admin, by: stranger, of: identifier), signature: signature) == "certificate-untrusted")
    #expect(refusal(certificate: try person(.admin, by: owner, of: strange), signature: signature) == "certificate-profile")
    #expect(refusal(owner: stranger.certificate.der, signature: signature) == "certificate-untrusted")
    #expect(refusal(signature: signature, time_s: admin.notAfter_s - 1) == nil)
    #expect(refusal(signature: signature, time_s: admin.notAfter_s + 1) == "certificate-expired")
    #expect(refusal(signature: signature, time_s: admin.notBefore_s - 1) == "certificate-not-yet-valid")
    let makerKey = try PrivateKey.generateP256()
    let maker = try CertificateIssuer(certificate: MakerAuthorityProfile.make(name: "Maker", key: makerKey, now_s: now_s), key: makerKey)
    let stations = [maker, owner]
    for issuer in stations {
      let station = try issuer.issue(StationProfile.template(name: "bench", now_s: now_s), publicKey: key.publicKey)
      #expect(refusal(certificate: station.der, signature: signature)?.hasPrefix("certificate-") == true)
    }
    let device = try owner.issue(OperationalDeviceProfile.template(owner: identifier, device: Self.device, now_s: now_s), publicKey: key.publicKey)
    #expect(refusal(certificate: device.der, signature: signature) == "certificate-purpose")
    // The owner's own CA key signs people and devices, and no statement.
    #expect(refusal(certificate: owner.certificate.der, signature: try statement.sign(with: ownerKey)) != nil)
    let claimant = try ClaimantProfile.make(key: key, now_s: now_s)
    #expect(refusal(certificate: claimant.der, signature: signature)?.hasPrefix("certificate-") == true)
    #expect(refusal(signature: try statement.sign(with: strangerKey)) == "signature-invalid")
    #expect(refusal(owner: maker.certificate.der, signature: signature) == "certificate-profile")
    #expect(refusal(owner: [], signature: signature) == "owner-malformed")
    #expect(refusal(certificate: [], signature: signature) == "certificate-malformed")
    #expect(refusal(signature: []) == "signature-invalid")
  }

  @Test func everyFlippedByteIsRefused() throws {
    let signature = try statement.sign(with: key)
    var random = SeededRandom(30)
    func flips(_ bytes: [UInt8]) -> [[UInt8]] {
      bytes.indices.flatMap { index in
        [1, UInt8(truncatingIfNeeded: random.next()) | 0x80].map { mask in
          var changed = bytes
          changed[index] ^= mask
          return changed
        }
      }
    }
    for changed in flips(signature) { #expect(refusal(signature: changed) == "signature-invalid", "\(hexadecimal(changed))") }
    for changed in flips(admin.der) { #expect(refusal(certificate: changed, signature: signature) != nil, "\(hexadecimal(changed))") }
    for changed in flips(owner.certificate.der) { #expect(refusal(owner: changed, signature: signature) != nil, "\(hexadecimal(changed))") }
    let publicKey = key.publicKey
    #expect(publicKey.isValid(signature: signature, of: statement.signedBytes))
    for changed in flips(statement.signedBytes) { #expect(!publicKey.isValid(signature: signature, of: changed), "\(hexadecimal(changed))") }
  }

  /// Two statements that differ in anything never have the same signed bytes.
  @Test func signedBytesAreExact() throws {
    var random = SeededRandom(31)
    var seen: [[UInt8]: OwnerStatement] = [:]
    for _ in 0..<5_000 {
      // Few values of each, so that many pairs differ in one place only.
      let small = { (range: ClosedRange<UInt8>) in UInt8.random(in: range, using: &random) }
      let statement = try #require(
        OwnerStatement(
          kind: small(0...2), device: DeviceIdentifier("0011223344556677889\(small(0...1))")!, event: UInt64(small(0...1)) << (small(0...1) * 56),
          nonce: Array(repeating: small(0...1), count: 32), body: Array(repeating: small(0...1), count: Int(small(0...3)))))
      if let other = seen[statement.signedBytes] { #expect(other == statement) }
      seen[statement.signedBytes] = statement
    }
    #expect(seen.count > 100)
  }

  @Test func aDestinationReadsBack() throws {
    for (host, port) in [("broker.example", UInt16(8883)), ("10.0.2.2", 1), ("fd00::1", 65_535), (String(repeating: "a", count: 63), 443)] {
      let destination = try #require(CloudDestination(host: host, port: port))
      let body = destination.encoded
      #expect(body.count <= OwnerStatement.bodyMaximum_bytes && CloudDestination(encoded: body) == destination)
    }
    for bad in [
      [], [0], [0x22, 0xb3], [0, 0] + Array("a".utf8), [1, 1] + Array("Broker".utf8), [1, 1] + Array("a b".utf8), [1, 1, 0xff],
      [1, 1] + Array("fd00:0::1".utf8),
      [1, 1] + Array(repeating: UInt8(ascii: "a"), count: 65), [1, 1] + Array("a\u{0}".utf8),
    ] as [[UInt8]] { #expect(CloudDestination(encoded: bad) == nil, "\(bad)") }
  }

  /// Whatever it takes, it writes back byte for byte.
  @Test func destinationsAreExact() {
    var random = SeededRandom(32)
    let alphabet = Array("abz09.-:A \u{0}é".utf8)
    for _ in 0..<20_000 {
      let body = (0..<Int.random(in: 0...12, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
      if let destination = CloudDestination(encoded: body) { #expect(destination.encoded == body) }
    }
  }
}
