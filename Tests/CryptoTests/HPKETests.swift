import Foundations
import Testing

@testable import Crypto

/// RFC 9180 with the vector of exactly this suite: the CFRG's test-vectors.json, mode 0, kem_id 32, kdf_id 1, aead_id 2, its first encryption. (The
/// RFC's Appendix A prints those of other AEADs only.)
@Suite("HPKE")
struct HPKETests {
  private static func bytes(_ digits: String) -> [UInt8] { Foundations.bytes(hexadecimal: digits) ?? [] }
  private let information = bytes("4f6465206f6e2061204772656369616e2055726e")
  private let ephemeral = bytes("179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11")
  private let receiver = bytes("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d")
  private let publicKey = bytes("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c")
  private let encapsulated = bytes("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256")
  private let sharedSecret = bytes("3101c54c3a4f87439eaac080699ed9bbcc726ffe44e860c0424ccb7e3e2ead7b")
  private let key = bytes("f50b0609186798729ed0564b36ef2ef8044f1f9d05636874d1f46c819c7a669f")
  private let nonce = bytes("151d9929e2449747889bc923")
  private let associated = bytes("436f756e742d30")
  private let plaintext = bytes("4265617574792069732074727574682c20747275746820626561757479")
  private let ciphertext = bytes("e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a")

  private func key(_ bytes: [UInt8]) throws -> X25519PrivateKey { try X25519PrivateKey(SecretBytes(copying: bytes)) }

  @Test func theVectorOfThisSuiteStepByStep() throws {
    let sender = try key(ephemeral)
    #expect(sender.publicKey == encapsulated)
    #expect(try key(receiver).publicKey == publicKey)
    let secret = try HPKE.sharedSecret(try sender.agreement(with: publicKey), encapsulated: encapsulated, receiver: publicKey)
    #expect(secret.isEqual(to: SecretBytes(copying: sharedSecret)))
    let schedule = try HPKE.schedule(secret, information: information)
    #expect(schedule.key.isEqual(to: SecretBytes(copying: key)) && schedule.nonce == nonce)
    let sealed = try HPKE.seal(
      SecretBytes(copying: plaintext), to: publicKey, information: information, associatedData: associated, ephemeral: sender)
    #expect(sealed == encapsulated + ciphertext)
    let opened = try HPKE.open(encapsulated + ciphertext, with: try key(receiver), information: information, associatedData: associated)
    #expect(opened?.isEqual(to: SecretBytes(copying: plaintext)) == true)
  }

  @Test func whatWasChangedAnywhereOrIsForAnotherDoesNotOpen() throws {
    let mine = try X25519PrivateKey.generate()
    let secret = SecretBytes(copying: (0..<32).map { UInt8($0) })
    let sealed = try HPKE.seal(secret, to: mine.publicKey, information: information)
    #expect(sealed.count == 32 + HPKE.overhead_bytes)
    #expect(try HPKE.open(sealed, with: mine, information: information)?.isEqual(to: secret) == true)
    #expect(try HPKE.seal(secret, to: mine.publicKey, information: information) != sealed, "each has an ephemeral key of its own")
    for index in sealed.indices {
      var changed = sealed
      changed[index] ^= 1
      #expect(try HPKE.open(changed, with: mine, information: information) == nil)
    }
    for count in 0..<sealed.count { #expect(try HPKE.open(Array(sealed.prefix(count)), with: mine, information: information) == nil) }
    #expect(try HPKE.open(sealed, with: mine, information: information + [0]) == nil)
    #expect(try HPKE.open(sealed, with: mine, information: information, associatedData: [0]) == nil)
    #expect(try HPKE.open(sealed, with: try .generate(), information: information) == nil)
  }

  @Test func whatIsNoKeyIsRefused() throws {
    let mine = try X25519PrivateKey.generate()
    // Of small order: it would agree on zeros with everyone.
    let zero = [UInt8](repeating: 0, count: 32)
    for other in [zero, [1] + zero.dropLast(), [], Array(zero.dropLast())] {
      let error = #expect(throws: CryptoError.self) { try mine.agreement(with: other) }
      #expect(error?.code == "malformed-input")
    }
    #expect(try HPKE.open(zero + [UInt8](repeating: 7, count: 48), with: mine, information: []) == nil)
    #expect(throws: CryptoError.self) { try X25519PrivateKey(SecretBytes(copying: [1, 2, 3])) }
    #expect("\(mine)" == "private key (X25519)")
  }
}
