import Crypto
import Foundations
import Testing

@Suite struct ScryptTests {
  /// RFC 7914 section 12, the first three.
  @Test(arguments: [
    (
      "", "", 16, 1, 1,
      "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
    ),
    (
      "password", "NaCl", 1024, 8, 16,
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
    ),
    (
      "pleaseletmein", "SodiumChloride", 16384, 8, 1,
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    ),
  ]) func knownAnswers(_ password: String, _ salt: String, _ n: Int, _ r: Int, _ p: Int, _ expected: String) throws {
    let cost = try #require(ScryptCost(n: n, r: r, p: p))
    let key = try scrypt(secret: SecretBytes(copying: Array(password.utf8)), salt: Array(salt.utf8), cost: cost, count: 64)
    #expect(key.withUnsafeBytes { hexadecimal($0) } == expected)
  }

  /// The cost may come from a device: no number of it may trap, or take all memory.
  @Test(arguments: [
    (0, 8, 1), (1, 8, 1), (3, 8, 1), (-2, 8, 1), (Int.min, 8, 1), (Int.max, 8, 1), (1 << 21, 1, 1), (1 << 20, 8, 1), (1024, 0, 1), (1024, 33, 1), (1024, 8, 0),
    (1024, 8, 17), (1024, Int.max, Int.max),
  ]) func costsOutOfBoundsAreRefused(_ n: Int, _ r: Int, _ p: Int) { #expect(ScryptCost(n: n, r: r, p: p) == nil) }

  @Test func lengthsOutOfBoundsAreRefused() throws {
    let secret = SecretBytes(copying: [1])
    let cost = try #require(ScryptCost(n: 16, r: 1, p: 1))
    for count in [0, -1, 1025] { #expect(throws: CryptoError.self) { try scrypt(secret: secret, salt: [], cost: cost, count: count) } }
    #expect(throws: CryptoError.self) { try scrypt(secret: secret, salt: [UInt8](repeating: 0, count: 1025), cost: cost, count: 32) }
  }

  /// The most memory that is allowed is really had: OpenSSL's own bound is not below it.
  @Test func theLargestCostIsComputed() throws {
    let cost = try #require(ScryptCost(n: 1 << 18, r: 8, p: 1))
    #expect(try scrypt(secret: SecretBytes(copying: [1]), salt: [2], cost: cost, count: 32).count == 32)
  }

  /// The same bytes as the functions for what is not secret (RFC 4231 test case 2, FIPS 180-4).
  @Test func secretsHaveTheSameDigests() throws {
    let derived = try derivedKey(from: SecretBytes(copying: Array("Jefe".utf8)), purpose: "what do ya want for nothing?".utf8)
    #expect(derived.withUnsafeBytes { hexadecimal($0) } == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(hexadecimal(sha256(SecretBytes(copying: Array("abc".utf8)))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}
