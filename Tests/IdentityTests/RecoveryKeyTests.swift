import Crypto
import Foundations
import Testing

@testable import Identity

@Suite("A recovery key")
struct RecoveryKeyTests {
  private func key(_ byte: UInt8) throws -> RecoveryKey { try #require(RecoveryKey(SecretBytes(copying: [UInt8](repeating: byte, count: 32)))) }

  @Test func hasOneTextThatIsReadAsPeopleTypeIt() throws {
    let zero = try key(0).text
    #expect(zero.hasPrefix("0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-"))
    #expect(try key(0xff).text.hasPrefix("1ZZZ-ZZZZ-ZZZZ-"))
    for _ in 0..<50 {
      let made = try RecoveryKey.random()
      let text = made.text
      #expect(text.utf8.count == 69 && text.split(separator: "-").map(\.count) == [Int](repeating: 4, count: 14))
      #expect(try RecoveryKey(text: text).secret.isEqual(to: made.secret))
      let typed = text.lowercased().replacing("-", with: " ").replacing("0", with: "o").replacing("1", with: "l") + "\n"
      #expect(try RecoveryKey(text: typed).text == text)
    }
  }

  @Test func oneWrongCharacterIsSeen() throws {
    let text = try RecoveryKey.random().text
    let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    var missed = 0
    for (place, character) in text.enumerated() where character != "-" {
      for other in alphabet where other != character {
        var changed = Array(text)
        changed[place] = other
        if (try? RecoveryKey(text: String(changed))) != nil { missed += 1 }
      }
    }
    // 1,736 texts, of which one in a million agrees by chance.
    #expect(missed == 0)
  }

  @Test(arguments: ["", "0000", String(repeating: "0", count: 57), "U" + String(repeating: "0", count: 55), String(repeating: "Z", count: 56), "해치"])
  func anythingElseIsNoKey(_ text: String) {
    let error = #expect(throws: RecoveryKeyError.self) { try RecoveryKey(text: text) }
    #expect(error?.reason.contains("ZZZ") == false)
  }

  @Test func isNamedWithoutBeingTold() throws {
    let made = try RecoveryKey.random()
    #expect(made.fingerprint.utf8.count == 16 && made.fingerprint == hexadecimal(made.fingerprintBytes))
    #expect("\(made)" == "recovery key \(made.fingerprint)")
    #expect(try RecoveryKey.random().fingerprint != made.fingerprint)
    #expect(RecoveryKey(SecretBytes(copying: [1])) == nil)
  }

  @Test func opensForTheDeviceAndTheEventThatItWasSealedFor() throws {
    let supervisor = try X25519PrivateKey.generate()
    let device = try #require(DeviceIdentifier("00112233445566778899"))
    let other = try #require(DeviceIdentifier("99112233445566778899"))
    let nonce = [UInt8](repeating: 7, count: 32)
    let made = try RecoveryKey.random()
    let sealed = try made.sealed(to: supervisor.publicKey, device: device, event: 3, nonce: nonce)
    #expect(sealed.count == RecoveryKey.sealed_bytes && sealed.count <= OwnerStatement.bodyMaximum_bytes)
    #expect(try RecoveryKey(opening: sealed, with: supervisor, device: device, event: 3, nonce: nonce)?.secret.isEqual(to: made.secret) == true)
    #expect(try RecoveryKey(opening: sealed, with: supervisor, device: other, event: 3, nonce: nonce) == nil)
    #expect(try RecoveryKey(opening: sealed, with: supervisor, device: device, event: 4, nonce: nonce) == nil)
    #expect(try RecoveryKey(opening: sealed, with: supervisor, device: device, event: 3, nonce: nonce.map { $0 + 1 }) == nil)
    #expect(try RecoveryKey(opening: sealed, with: .generate(), device: device, event: 3, nonce: nonce) == nil)
    // Whole, and not a key's length.
    let short = try HPKE.seal(SecretBytes(copying: [1, 2, 3]), to: supervisor.publicKey, information: [])
    #expect(try RecoveryKey(opening: short, with: supervisor, device: device, event: 3, nonce: nonce) == nil)
  }
}
