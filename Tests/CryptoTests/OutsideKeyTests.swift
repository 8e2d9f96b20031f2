import Crypto
import Foundations
import TestChip
import Testing

/// Keys whose private half lies outside.
@Suite struct OutsideKeyTests {
  @Test func signsLikeAnyOther() throws {
    let chip = try TestChip()
    let key = try chip.outside()
    #expect(key.isOutside && key.algorithm == .p256 && key.publicKey.der == chip.publicKey.der)
    for message in [[], [1], [UInt8](repeating: 7, count: 100_000)] as [[UInt8]] {
      #expect(key.publicKey.isValid(signature: try key.signature(of: message), of: message))
    }
    #expect(chip.count == 3)
  }

  @Test func makesCertificatesAndRequests() throws {
    let chip = try TestChip()
    let key = try chip.outside()
    let request = try CertificateRequest.make(key: key, subject: .init(commonName: "device"), names: [.dns("a-device")])
    #expect(try CertificateRequest(pem: request.pem).publicKey.der == chip.publicKey.der)
    let template = CertificateTemplate(
      kind: .authority(pathLength: 0), subject: .init(commonName: "itself"), notBefore_s: 1_700_000_000, notAfter_s: 1_800_000_000)
    let certificate = try CertificateIssuer.selfSigned(template, key: key)
    #expect(certificate.publicKeyDigest == key.publicKey.digest)
    // Which its issuer checks; and it issues with the same key.
    let issued = try CertificateIssuer(certificate: certificate, key: key).issue(
      CertificateTemplate(kind: .leaf, subject: .init(commonName: "leaf"), notBefore_s: 1_700_000_000, notAfter_s: 1_800_000_000),
      publicKey: try PrivateKey.generateP256().publicKey)
    #expect(issued.issuer == certificate.subject)
    #expect(chip.count == 3)
  }

  @Test(arguments: ["pem", "der", "encrypted"]) func isNeverExported(_ how: String) throws {
    let key = try TestChip().outside()
    let error = #expect(throws: CryptoError.self) {
      switch how {
      case "pem": _ = try key.pem()
      case "der": _ = try key.der()
      default: _ = try key.encryptedPEM(passphrase: SecretBytes(copying: [1]))
      }
    }
    #expect(error?.code == "key-outside" && key.description == "private key (P-256)")
  }

  enum Wrong: CaseIterable { case nothing, zeros, tooLong, ofAnotherKey, ofAnotherDigest, trailed }

  /// Whatever comes back, it is this key's signature over this digest or an error that says why.
  @Test(arguments: Wrong.allCases) func whatIsNoSignatureIsRefused(_ wrong: Wrong) throws {
    let other = try TestChip()
    let chip = try TestChip { (chip, digest) throws(CryptoError) in
      switch wrong {
      case .nothing: []
      case .zeros: [UInt8](repeating: 0, count: 72)
      case .tooLong: [UInt8](repeating: 0x30, count: 5_000)
      case .ofAnotherKey: try other.sign(digest)
      case .ofAnotherDigest: try chip.sign(digest.reversed())
      case .trailed: try chip.sign(digest) + [0]
      }
    }
    let key = try chip.outside()
    let error = #expect(throws: CryptoError.self) { try key.signature(of: [1, 2, 3]) }
    #expect(error?.openSSLErrors.contains("what came back is no signature of the key") == true)
  }

  @Test func aChipThatDoesNotAnswerIsQuoted() throws {
    let silent = try TestChip { (_, _) throws(CryptoError) in throw CryptoError(code: "no-answer", reason: "the chip 100% %s does not answer") }
    let error = #expect(throws: CryptoError.self) { try silent.outside().signature(of: [1]) }
    #expect(error?.openSSLErrors.contains("the chip 100% %s does not answer") == true)
  }

  @Test func onlyP256() throws {
    let edwards = try PrivateKey.generate(.ed25519)
    let error = #expect(throws: CryptoError.self) { try PrivateKey(outside: edwards.publicKey) { _ in [] } }
    #expect(error?.code == "unsupported-key")
  }

  /// The signer goes with the last reference to the key, and not before.
  @Test func theSignerLivesAsLongAsTheKey() throws {
    weak var chip: TestChip?
    var key: PrivateKey?
    do {
      let made = try TestChip()
      chip = made
      key = try made.outside()
    }
    _ = try #require(key).signature(of: [1])
    #expect(chip != nil)
    key = nil
    #expect(chip == nil)
  }
}
