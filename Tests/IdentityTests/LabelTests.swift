import Crypto
import Foundations
import Identity
import Testing

private func code(_ bytes: [UInt8]) throws -> LabelCode { try #require(LabelCode(SecretBytes(copying: bytes))) }

@Suite struct LabelCodeTests {
  /// Computed by another program, which looks for the two check characters by trying all pairs.
  @Test(arguments: [
    (Array(0...15), "00041061050R3GG28A1C60T3GF6Q"), ([UInt8](repeating: 0, count: 16), "0000000000000000000000000000"),
    ([UInt8](repeating: 255, count: 16), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ0R"),
  ]) func isWritten(_ bytes: [UInt8], _ text: String) throws {
    #expect(try code(bytes).text == text)
    #expect(try LabelCode(text: text).secret.isEqual(to: SecretBytes(copying: bytes)))
  }

  @Test func readsBackAsPeopleTypeIt() throws {
    for _ in 0..<200 {
      let code = try LabelCode.random()
      for typed in [code.text, code.groupedText, code.groupedText.lowercased(), " \(code.groupedText) ", code.text.replacing0And1()] {
        #expect(try LabelCode(text: typed).secret.isEqual(to: code.secret))
      }
      #expect(code.groupedText.split(separator: "-").map(\.count) == [4, 4, 4, 4, 4, 4, 4])
    }
  }

  @Test func twoCodesDiffer() throws { #expect(try !LabelCode.random().secret.isEqual(to: LabelCode.random().secret)) }

  /// Every single wrong character, and any two that changed places, are noticed.
  @Test func typingErrorsAreNoticed() throws {
    let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    let right = Array(try LabelCode.random().text)
    for index in right.indices {
      for character in alphabet where character != right[index] {
        var wrong = right
        wrong[index] = character
        #expect(throws: LabelError.self) { try LabelCode(text: String(wrong)) }
      }
      for other in right.indices where right[other] != right[index] {
        var wrong = right
        wrong.swapAt(index, other)
        #expect(throws: LabelError.self) { try LabelCode(text: String(wrong)) }
      }
    }
  }

  @Test func twoWrongCharactersAreNoticed() throws {
    var random = SeededRandom(41)
    let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    let right = Array(try LabelCode.random().text)
    for _ in 0..<20_000 {
      var wrong = right
      for _ in 0..<2 { wrong[Int.random(in: 0..<right.count, using: &random)] = alphabet.randomElement(using: &random)! }
      guard wrong != right else { continue }
      #expect(throws: LabelError.self) { try LabelCode(text: String(wrong)) }
    }
  }

  @Test(arguments: [
    ("", "this has 0"), ("0000", "this has 4"), (String(repeating: "0", count: 29), "more"), ("000000000000000000000000000U", "without U"),
    ("000000000000000000000000000\u{e9}", "without U"), ("0000000000000000000000000001", "check characters"), ("00000000000000000000000000\u{0}0", "without U"),
  ]) func whatIsNoCodeIsRefusedWithItsReason(_ text: String, _ reason: String) {
    #expect { try LabelCode(text: text) } throws: { ($0 as? LabelError)?.reason.contains(reason) == true }
  }

  /// Whatever it takes is one code only: 130 bits of text never carry more than the 128.
  @Test func isTotal() {
    var random = SeededRandom(7)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 32...90, using: &random) }
      let text = String(decoding: bytes, as: UTF8.self)
      if let code = try? LabelCode(text: text) { #expect(code.secret.count == 16 && (try? LabelCode(text: code.text)) != nil) }
    }
  }

  @Test func isNotToldByAccident() throws {
    let code = try LabelCode.random()
    #expect(!"\(code)".contains(code.text) && !String(reflecting: code).contains(code.text))
    #expect(LabelCode(SecretBytes(copying: [1, 2, 3])) == nil)
  }
}

@Suite struct DeviceLabelTests {
  private func label(_ serial: String = "KB-000001") throws -> DeviceLabel {
    let serialNumber = try #require(LabelSerialNumber(serial))
    let code = try code(Array(0...15))
    return try #require(DeviceLabel(serialNumber: serialNumber, keyHash: Array(0..<32), code: code))
  }

  @Test func isWrittenForQRsAlphanumericMode() throws {
    let text = try label().text
    #expect(text == "HAECHI:1:KB-000001:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F:00041061050R3GG28A1C60T3GF6Q")
    let long = try label(String(repeating: "Z", count: 64)).text
    let alphanumeric = Set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
    #expect(long.allSatisfy { alphanumeric.contains($0) })
    for typed in [text, text.lowercased(), " \(text)\n"] {
      let read = try DeviceLabel(text: typed)
      #expect(read.text == text && read.deviceId.text == "00010203040506070809" && read.serialNumber.text == "KB-000001")
    }
    let told = try "\(label())"
    #expect(!told.contains("00041061050R3GG28A1C60T3GF6Q"))
  }

  @Test(arguments: [
    ("", "begins with"), ("HAECHI", "begins with"), ("WIFI:T:WPA;S:x;;", "begins with"), ("HAECHI:2:x", "another form"), ("HAECHI:1:A-1:00", "and this has 4"),
    ("HAECHI:1:A-1:00:x:y", "and this has 6"), ("HAECHI:1:A/1:00:x", "serial number"), ("HAECHI:1::00:x", "serial number"), ("HAECHI:1:A-1:00:x", "key hash"),
    ("HAECHI:1:A-1:\(String(repeating: "0", count: 64)):x", "28 characters"), (String(repeating: "\u{1}", count: 5000), "begins with"),
    ("HAECHI:1:" + String(repeating: "A", count: 100_000), "5 parts"),
  ]) func whatIsNoLabelIsRefusedWithItsReason(_ text: String, _ reason: String) {
    #expect { try DeviceLabel(text: text) } throws: { ($0 as? LabelError)?.reason.contains(reason) == true }
  }

  @Test func aKeyHashHas32Bytes() throws {
    let serial = try #require(LabelSerialNumber("A"))
    let code = try LabelCode.random()
    #expect(DeviceLabel(serialNumber: serial, keyHash: Array(0..<31), code: code) == nil)
  }

  @Test(arguments: ["", "-1", ".A", "a-1", "A 1", "A/1", "A:1", "A_1", "\u{c4}1", "A\u{0}", String(repeating: "A", count: 65)]) func isNoSerialNumber(
    _ text: String
  ) {
    #expect(LabelSerialNumber(text) == nil)
  }
}

@Suite struct LabelVerifierTests {
  /// Computed with Python's hashlib.scrypt and hmac.
  @Test func knownAnswer() throws {
    let parameters = try #require(LabelParameters(salt: Array(16..<32), n: 1 << 15, r: 8, p: 1))
    #expect(parameters.cost == LabelParameters.usualCost)
    let code = try code(Array(0...15))
    let key = try LabelVerifier.clientKey(code: code, parameters: parameters)
    #expect(key.withUnsafeBytes { hexadecimal($0) } == "3145d5fb1f1dd89f98078960ee0fb0cae8112fe7ee7405a5a6345877d4a9b133")
    let verifier = try LabelVerifier(code: code, parameters: parameters)
    #expect(hexadecimal(verifier.storedKey) == "67a4cd4a763c280e71b8ca5725a3f15b3b80ed6e5489047742827e3a439db845")
    #expect(LabelVerifier(parameters: parameters, storedKey: verifier.storedKey) == verifier)
    #expect(LabelVerifier(parameters: parameters, storedKey: []) == nil)
  }

  @Test func everyVerifierHasASaltOfItsOwn() throws {
    let (one, two) = (try LabelParameters.fresh(), try LabelParameters.fresh())
    #expect(one.salt.count == 16 && one.salt != two.salt && one.cost == two.cost)
  }

  @Test(arguments: [(16, 1 << 13, 8, 1), (16, 1 << 15, 4, 0), (15, 1 << 15, 8, 1), (17, 1 << 15, 8, 1), (16, 0, 0, 0), (16, Int.max, 8, 1)])
  func weakOrStrangeParametersAreRefused(_ salt: Int, _ n: Int, _ r: Int, _ p: Int) {
    #expect(LabelParameters(salt: [UInt8](repeating: 0, count: salt), n: n, r: r, p: p) == nil)
  }
}

extension String {
  /// What a person may read instead of 0 and 1.
  fileprivate func replacing0And1() -> String { String(map { $0 == "0" ? "o" : $0 == "1" ? "l" : $0 }) }
}
