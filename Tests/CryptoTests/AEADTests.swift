import Crypto
import Foundations
import Testing

@Suite struct AEADTests {
  struct Vector: Sendable {
    let algorithm: AEADAlgorithm
    let key: String
    let nonce: String
    let associatedData: String
    let plaintext: String
    let sealed: String
  }

  /// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16; RFC 8439 section 2.8.2.
  static let vectors = [
    Vector(
      algorithm: .aes256GCM, key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), associatedData: "", plaintext: "",
      sealed: "530f8afbc74536b9a963b4f1c4cb738b"),
    Vector(
      algorithm: .aes256GCM, key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), associatedData: "",
      plaintext: String(repeating: "00", count: 16), sealed: "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919"),
    Vector(
      algorithm: .aes256GCM, key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
      associatedData: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        + "76fc6ece0f4e1768cddf8853bb2d551b"),
    Vector(
      algorithm: .chaCha20Poly1305, key: hexadecimal(0x80...0x9f), nonce: "070000004041424344454647", associatedData: "50515253c0c1c2c3c4c5c6c7",
      plaintext: hexadecimal(
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".utf8),
      sealed: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        + "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"
        + "1ae10b594f09e26a7e902ecbd0600691"),
  ]

  private func octets(_ text: String) throws -> [UInt8] { try #require(bytes(hexadecimal: text)) }

  @Test(arguments: vectors) func knownAnswers(_ vector: Vector) throws {
    let key = try AEADKey(vector.algorithm, key: SecretBytes(copying: octets(vector.key)), nonce: octets(vector.nonce))
    let sealed = try key.seal(SecretBytes(copying: octets(vector.plaintext)), associatedData: octets(vector.associatedData))
    #expect(hexadecimal(sealed) == vector.sealed)
    let opened = try #require(try key.open(sealed[...], associatedData: octets(vector.associatedData)))
    #expect(opened.withUnsafeBytes { hexadecimal($0) } == vector.plaintext)
  }

  @Test(arguments: AEADAlgorithm.allCases) func anyChangeIsRefused(_ algorithm: AEADAlgorithm) throws {
    let key = try AEADKey(algorithm, key: randomSecret(32))
    let sealed = try key.seal(SecretBytes(copying: Array("a reading".utf8)), associatedData: [1, 2])
    for index in sealed.indices {
      var changed = sealed
      changed[index] ^= 1
      #expect(try key.open(changed[...], associatedData: [1, 2]) == nil)
    }
    for count in 0..<sealed.count { #expect(try key.open(sealed.prefix(count), associatedData: [1, 2]) == nil) }
    #expect(try key.open(sealed[...], associatedData: [1, 3]) == nil && key.open(sealed[...], associatedData: []) == nil)
    #expect(try AEADKey(algorithm, key: randomSecret(32)).open(sealed[...], associatedData: [1, 2]) == nil)
    // A slice that does not begin at 0.
    #expect(try key.open(([9, 9] + sealed)[2...], associatedData: [1, 2])?.count == 9)
  }

  @Test func otherLengthsAreRefused() {
    #expect(throws: CryptoError.self) { try AEADKey(.aes256GCM, key: SecretBytes(copying: [1])) }
    #expect(throws: CryptoError.self) { try AEADKey(.aes256GCM, key: randomSecret(32), nonce: [1]) }
  }
}
