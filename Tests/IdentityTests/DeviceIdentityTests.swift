import Crypto
import Foundations
import Identity
import Testing

/// The IDevID as IEEE 802.1AR wants it.
@Suite struct DeviceIdentityTests {
  private let maker: CertificateIssuer
  private let key: PrivateKey
  private let device: DeviceIdentifier
  private let now_s: Int64 = 1_800_000_000

  init() throws {
    let makerKey = try PrivateKey.generateP256()
    maker = try CertificateIssuer(certificate: MakerAuthorityProfile.make(name: "Maker", key: makerKey, now_s: now_s), key: makerKey)
    key = try PrivateKey.generateP256()
    device = InitialDeviceProfile.identifier(key.publicKey)
  }

  private func issue(_ change: (inout CertificateTemplate) -> Void = { _ in }) throws -> Certificate {
    var template = InitialDeviceProfile.template(device: device, serialNumber: "KB-000001", now_s: now_s)
    change(&template)
    return try maker.issue(template, publicKey: key.publicKey)
  }

  /// The bytes of the otherName, put together by hand from RFC 4108 section 5 and RFC 5280 section 4.2.1.6.
  @Test func namesTheHardwareInDER() throws {
    let certificate = try issue { template in
      template.names = template.names.filter { if case .hardwareModule = $0 { false } else { true } }
      template.names.append(.hardwareModule(type: ASN1ObjectIdentifier(known: "1.3.6.1.4.1.32473.7"), serialNumber: Array("KB-1".utf8)))
    }
    let module: [UInt8] =
      [0x30, 0x11, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x07, 0x04, 0x04] + Array("KB-1".utf8)
    let other: [UInt8] = [0xa0, 0x1f, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x04, 0xa0, 0x13] + module
    let names = try #require(certificate.extensionValue(ASN1ObjectIdentifier(known: "2.5.29.17")))
    #expect(hexadecimal(names).contains(hexadecimal(other)))
    #expect(certificate.hardwareModule?.type.text == "1.3.6.1.4.1.32473.7")
  }

  @Test func hasItsSerialNumberTwiceAndNoEnd() throws {
    let certificate = try issue()
    #expect(try InitialDeviceProfile.check(certificate) == device)
    #expect(certificate.subjectSerialNumber == "KB-000001" && certificate.hardwareModule?.serialNumber == Array("KB-000001".utf8))
    #expect(certificate.hardwareModule?.type == HaechiObjectIdentifier.hardwareType)
    // GeneralizedTime 99991231235959Z, as section 8.7 writes "no end".
    #expect(hexadecimal(certificate.der).contains(hexadecimal(Array("99991231235959Z".utf8))))
    // The other names read as before.
    #expect(certificate.sanURIs == ["haechi://maker/device/\(device)"] && certificate.sanDNSNames == [device.hostName])
  }

  @Test func twoSerialNumbersThatDifferAreRefused() throws {
    let certificate = try issue { template in
      template.names = template.names.map {
        if case .hardwareModule(let type, _) = $0 { .hardwareModule(type: type, serialNumber: Array("KB-000002".utf8)) } else { $0 }
      }
    }
    #expect { try InitialDeviceProfile.check(certificate) } throws: { ($0 as? CertificateRefusal)?.kind == .profile }
  }

  /// Long types and serial numbers need a second byte of length.
  @Test func theLongestNamesReadBack() throws {
    let type = ASN1ObjectIdentifier(known: "2.25.86869528671686314334224178961834048173.86869528671686314334224178961834048173.3.1")
    let serial = [UInt8](repeating: UInt8(ascii: "Z"), count: 64)
    let certificate = try issue { $0.names = [.hardwareModule(type: type, serialNumber: serial)] }
    #expect(certificate.hardwareModule?.type == type && certificate.hardwareModule?.serialNumber == serial)
    for wrong in [0, 65] {
      #expect(throws: CryptoError.self) { try issue { $0.names = [.hardwareModule(type: type, serialNumber: [UInt8](repeating: 65, count: wrong))] } }
    }
  }

  @Test func twoHardwareModulesAreNone() throws {
    let certificate = try issue { template in template.names.append(.hardwareModule(type: HaechiObjectIdentifier.hardwareType, serialNumber: [65])) }
    #expect(certificate.hardwareModule == nil)
  }

  /// Whatever lies in the otherName, reading a certificate never traps.
  @Test func changedCertificatesAreReadOrRefused() throws {
    var random = SeededRandom(4108)
    let der = try issue().der
    for _ in 0..<5000 {
      var changed = der
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if let read = try? Certificate(der: changed) { #expect(read.hardwareModule.map { (1...64).contains($0.serialNumber.count) } ?? true) }
    }
  }
}
