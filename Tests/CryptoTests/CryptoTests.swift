import Crypto
import Foundations
import Testing

@Suite struct DigestTests {
  /// FIPS 180-4 examples; RFC 4231 test case 2; RFC 5869 test cases 1 and 3.
  @Test func knownAnswers() throws {
    #expect(hexadecimal(sha256([UInt8]())) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(hexadecimal(sha256("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let mac = try hmacSHA256(key: SecretBytes(copying: Array("Jefe".utf8)), message: "what do ya want for nothing?".utf8)
    #expect(hexadecimal(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    let secret = SecretBytes(copying: [UInt8](repeating: 0x0b, count: 22))
    let one = try hkdfSHA256(
      secret: secret, salt: Array(0...12), information: Array(0xf0...0xf9), count: 42)
    #expect(one.withUnsafeBytes { hexadecimal($0) } == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    let three = try hkdfSHA256(secret: secret, salt: [], information: [], count: 42)
    #expect(three.withUnsafeBytes { hexadecimal($0) } == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
  }

  @Test func lengthsOutOfBoundsAreRefused() {
    let secret = SecretBytes(copying: [1])
    #expect(throws: CryptoError.self) { try hkdfSHA256(secret: secret, salt: [], information: [], count: 0) }
    #expect(throws: CryptoError.self) { try hkdfSHA256(secret: secret, salt: [], information: [], count: 8161) }
  }

  @Test func anEmptyKeyIsAKey() throws {
    let empty = SecretBytes(copying: [UInt8]())
    #expect(hexadecimal(try hmacSHA256(key: empty, message: [UInt8]())) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
  }

  @Test func randomBytesDiffer() throws {
    #expect(try randomBytes(32) != randomBytes(32))
    #expect(try randomBytes(0).isEmpty)
    #expect(try !randomSecret(32).isEqual(to: randomSecret(32)))
  }

  @Test func comparesAllBytes() {
    #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]) && constantTimeEqual([], []))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]) && !constantTimeEqual([1, 2], [1, 2, 3]))
  }
}

@Suite struct TimeTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_700_000_000, "2023-11-14T22:13:20Z"),
    (4_107_542_399, "2100-02-28T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"), (noEnd_s, "9999-12-31T23:59:59Z"),
    (noEnd_s + 1, "253402300800 s since 1970"), (Int64.min, "-9223372036854775808 s since 1970"),
  ]) func isWrittenAsRFC3339(_ time_s: Int64, _ text: String) { #expect(rfc3339(time_s) == text) }
}

@Suite struct ObjectIdentifierTests {
  @Test(arguments: ["1.2", "2.999.1", "1.3.6.1.5.5.7.3.2", "2.25.86869528671686314334224178961834048173.1.1", "0.39"]) func isTaken(_ text: String) {
    #expect(ASN1ObjectIdentifier(text)?.text == text)
  }
  @Test(arguments: ["", "1", "1.", ".1", "1..2", "3.1", "1.40", "0.40.1", "01.2", "1.02", "1.2a", "1.-2", " 1.2", String(repeating: "1.", count: 40) + "1"])
  func isRefused(_ text: String) { #expect(ASN1ObjectIdentifier(text) == nil) }

  @Test func utf8StringsReadBack() {
    #expect(utf8String(der: derUTF8String("operator")!) == "operator" && derUTF8String("")! == [12, 0])
    #expect(derUTF8String(String(repeating: "a", count: 128)) == nil)
    for wrong in [[], [12], [12, 1], [12, 1, 97, 98], [13, 1, 97], [12, 1, 0xff], [12, 0x81, 1, 97]] as [[UInt8]] { #expect(utf8String(der: wrong) == nil) }
  }
}
