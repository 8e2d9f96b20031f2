import Crypto
import Foundations
import Testing

@Suite struct CertificateTests {
  @Test func saysWhatItsTemplateSaid() throws {
    let authority = try TestAuthority()
    let key = try PrivateKey.generate(.ed25519)
    let oid = try #require(ASN1ObjectIdentifier("2.25.86869528671686314334224178961834048173.2.1"))
    let usage = try #require(ASN1ObjectIdentifier("2.25.86869528671686314334224178961834048173.1.2"))
    let template = CertificateTemplate(
      kind: .leaf, subject: DistinguishedName(commonName: "café", serialNumber: "SN-1"), notBefore_s: 1_600_000_000, notAfter_s: noEnd_s,
      extendedKeyUsages: [usage, .clientAuthentication], names: [.uri("haechi://a/person/b"), .dns("haechi-1.local")],
      extensions: [.init(identifier: oid, value: [12, 1, 97], isCritical: false)])
    let made = try authority.issuer.issue(template, publicKey: key.publicKey)
    for certificate in [made, try Certificate(der: made.der), try Certificate(pem: made.pem)] {
      #expect(certificate == made && certificate.subjectCommonName == "café" && certificate.subjectSerialNumber == "SN-1")
      #expect(certificate.notBefore_s == 1_600_000_000 && certificate.notAfter_s == noEnd_s)
      #expect(certificate.ekuOIDs == [usage, .clientAuthentication])
      #expect(certificate.sanURIs == ["haechi://a/person/b"] && certificate.sanDNSNames == ["haechi-1.local"])
      #expect(certificate.extensionValue(oid) == [12, 1, 97] && certificate.extensionValue(usage) == nil)
      #expect(certificate.publicKeyDigest == key.publicKey.digest && certificate.sha256Fingerprint == sha256(certificate.der))
      #expect(!certificate.isAuthority && !certificate.isSelfIssued && certificate.issuer == "CN=authority")
      #expect(certificate.isSigned(by: authority.key.publicKey) && !certificate.isSigned(by: key.publicKey))
    }
    #expect(try authority.issuer.issue(template, publicKey: key.publicKey) != made, "serial numbers differ")
  }

  @Test func templatesThatCannotBeWrittenAreRefused() throws {
    let key = try PrivateKey.generateP256()
    var template = TestAuthority.template("a")
    template.names = [.dns("a\u{0}b")]
    #expect(throws: CryptoError.self) { try CertificateIssuer.selfSigned(template, key: key) }
    template.names = [.uri("has space")]
    #expect(throws: CryptoError.self) { try CertificateIssuer.selfSigned(template, key: key) }
    for name in ["", String(repeating: "a", count: 65), "a\nb"] {
      #expect(throws: CryptoError.self) { try CertificateIssuer.selfSigned(TestAuthority.template(name), key: key) }
    }
    #expect(throws: CryptoError.self) { try CertificateIssuer.selfSigned(TestAuthority.template("a", from_s: 10, until_s: 0), key: key) }
    let leaf = try CertificateIssuer.selfSigned(TestAuthority.template("a"), key: key)
    #expect(throws: CryptoError.self) { try CertificateIssuer(certificate: leaf, key: key) }
    let authority = try TestAuthority()
    #expect(throws: CryptoError.self) { try CertificateIssuer(certificate: authority.issuer.certificate, key: key) }
  }

  @Test func hostileEncodingsAreErrorsAndNeverCrash() throws {
    let authority = try TestAuthority()
    let key = try PrivateKey.generateP256()
    var template = TestAuthority.template("leaf")
    template.names = [.uri("haechi://x/device/y"), .dns("a.b")]
    let certificate = try authority.issuer.issue(template, publicKey: key.publicKey)
    #expect(throws: CryptoError.self) { try Certificate(der: certificate.der + [0]) }
    #expect(throws: CryptoError.self) { try Certificate(der: []) }
    #expect(throws: CryptoError.self) { try Certificate(der: [UInt8](repeating: 0x30, count: 20_000)) }
    var random = SeededRandom(5)
    var read = 0
    for _ in 0..<3000 {
      let changed = random.mutation(of: certificate.der)
      guard let parsed = try? Certificate(der: changed) else { continue }
      read += 1
      // What still reads says so in its own bytes, and its signature holds only where nothing was changed.
      #expect(parsed.der == changed && (changed == certificate.der || !parsed.isSigned(by: authority.key.publicKey)))
    }
    #expect(read > 0, "some changes hit only the signature")
    for _ in 0..<500 {
      let text = String(decoding: random.mutation(of: Array(certificate.pem.utf8)), as: UTF8.self)
      _ = try? Certificate(pem: text)
      _ = try? Certificate.chain(pem: text)
    }
  }

  @Test func chainsInPEMAreBounded() throws {
    let authority = try TestAuthority()
    let leaf = try authority.issuer.issue(TestAuthority.template("leaf"), publicKey: PrivateKey.generateP256().publicKey)
    let both = leaf.pem + "\r\n" + authority.issuer.certificate.pem
    #expect(try Certificate.chain(pem: both) == [leaf, authority.issuer.certificate])
    #expect(throws: CryptoError.self) { try Certificate.chain(pem: "") }
    #expect(throws: CryptoError.self) { try Certificate.chain(pem: both, maximumCount: 1) }
    #expect(throws: CryptoError.self) { try Certificate(pem: both) }
    #expect(throws: CryptoError.self) { try Certificate.chain(pem: "words\n" + both) }
    #expect(throws: CryptoError.self) { try Certificate.chain(pem: String(leaf.pem.dropLast(30))) }
    #expect(throws: CryptoError.self) { try Certificate.chain(pem: String(repeating: "\n", count: 200_000)) }
  }

  // MARK: chains

  @Test func verifiesAChainAndNamesWhatIsWrong() throws {
    let root = try TestAuthority(pathLength: 1)
    let middleKey = try PrivateKey.generateP256()
    let middle = try root.issuer.issue(TestAuthority.template("middle", kind: .authority(pathLength: 0)), publicKey: middleKey.publicKey)
    let issuer = try CertificateIssuer(certificate: middle, key: middleKey)
    let leaf = try issuer.issue(TestAuthority.template("leaf"), publicKey: PrivateKey.generateP256().publicKey)
    let verifier = ChainVerifier(authorities: [root.issuer.certificate], purpose: .client)
    let chain = try verifier.verifiedChain(leaf: leaf, intermediates: [middle], time_s: TestAuthority.now_s)
    #expect(chain == [leaf, middle, root.issuer.certificate])

    func kind(_ leaf: Certificate, _ intermediates: [Certificate], time_s: Int64 = TestAuthority.now_s, verifier other: ChainVerifier? = nil)
      -> CertificateRefusal.Kind?
    {
      do throws(CertificateRefusal) {
        _ = try (other ?? verifier).verifiedChain(leaf: leaf, intermediates: intermediates, time_s: time_s)
        return nil
      } catch { return error.kind }
    }
    #expect(kind(leaf, []) == .untrusted)
    #expect(kind(leaf, [middle], time_s: TestAuthority.now_s + 2000) == .expired)
    #expect(kind(leaf, [middle], time_s: TestAuthority.now_s - 2000) == .notYetValid)
    #expect(kind(leaf, [middle], verifier: ChainVerifier(authorities: [], purpose: .client)) == .untrusted)
    #expect(kind(leaf, [middle], verifier: ChainVerifier(authorities: [root.issuer.certificate], purpose: .server)) == .purpose)
    #expect(kind(leaf, [middle], verifier: ChainVerifier(authorities: [try TestAuthority().issuer.certificate], purpose: .client)) != nil)
    // Below an authority with path length 0 there is no other.
    let deepKey = try PrivateKey.generateP256()
    let deep = try issuer.issue(TestAuthority.template("deep", kind: .authority(pathLength: 0)), publicKey: deepKey.publicKey)
    let deepLeaf = try CertificateIssuer(certificate: deep, key: deepKey).issue(TestAuthority.template("leaf"), publicKey: PrivateKey.generateP256().publicKey)
    #expect(kind(deepLeaf, [middle, deep]) != nil)
    // Names that the authority may not give (RFC 5280 section 4.2.1.10): permitted are those below example.org alone.
    let permitted: [UInt8] = [0x30, 0x11, 0xa0, 0x0f, 0x30, 0x0d, 0x82, 0x0b] + Array("example.org".utf8)
    let constraints = CertificateTemplate.Extension(identifier: ASN1ObjectIdentifier(known: "2.5.29.30"), value: permitted, isCritical: true)
    var narrow = TestAuthority.template("narrow", kind: .authority(pathLength: 0))
    narrow.extensions = [constraints]
    let narrowKey = try PrivateKey.generateP256()
    let narrowIssuer = try CertificateIssuer(certificate: root.issuer.issue(narrow, publicKey: narrowKey.publicKey), key: narrowKey)
    for (name, expected) in [("a.example.org", nil), ("example.com", .invalid)] as [(String, CertificateRefusal.Kind?)] {
      var template = TestAuthority.template("leaf")
      template.names = [.dns(name)]
      let named = try narrowIssuer.issue(template, publicKey: PrivateKey.generateP256().publicKey)
      #expect(kind(named, [narrowIssuer.certificate]) == expected, "\(name)")
    }
    // A leaf is no authority.
    var bytes = leaf.der
    bytes[bytes.count - 1] ^= 1
    if let forged = try? Certificate(der: bytes) { #expect(kind(forged, [middle]) == .invalid) }
  }
}

@Suite struct CertificateRequestTests {
  @Test(arguments: KeyAlgorithm.allCases) func readsBack(_ algorithm: KeyAlgorithm) throws {
    let key = try PrivateKey.generate(algorithm)
    let names: [SubjectAlternativeName] = [.uri("haechi://maker/device/1"), .dns("haechi-1")]
    let made = try CertificateRequest.make(key: key, subject: DistinguishedName(commonName: "one"), names: names)
    for request in [try CertificateRequest(der: made.der), try CertificateRequest(pem: made.pem)] {
      #expect(request.subjectCommonName == "one" && request.publicKey.der == key.publicKey.der)
      #expect(request.sanURIs == ["haechi://maker/device/1"] && request.sanDNSNames == ["haechi-1"])
    }
    #expect(try CertificateRequest.make(key: key, subject: DistinguishedName(commonName: "one"), names: []).sanURIs.isEmpty)
  }

  @Test func aChangedRequestIsRefused() throws {
    let made = try CertificateRequest.make(key: PrivateKey.generateP256(), subject: DistinguishedName(commonName: "one"), names: [.dns("a")])
    var random = SeededRandom(9)
    for _ in 0..<2000 {
      let changed = random.mutation(of: made.der)
      if changed != made.der { #expect(throws: CryptoError.self) { try CertificateRequest(der: changed) } }
    }
    var bytes = made.der
    bytes[bytes.count - 1] ^= 1
    let error = #expect(throws: CryptoError.self) { try CertificateRequest(der: bytes) }
    #expect(error?.code == "signature-invalid")
    #expect(throws: CryptoError.self) { try CertificateRequest(der: [UInt8](repeating: 0x30, count: 9000)) }
    #expect(throws: CryptoError.self) { try CertificateRequest(pem: "") }
  }
}
