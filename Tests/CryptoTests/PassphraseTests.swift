import Crypto
import Foundations
import Testing

private func secret(_ text: String) -> SecretBytes { SecretBytes(copying: Array(text.utf8)) }

@Suite struct EncryptedPrivateKeyTests {
  @Test func readsBackUnderItsPassphraseOnly() throws {
    let key = try PrivateKey.generateP256()
    let pem = SecretBytes(copying: try key.encryptedPEM(passphrase: secret("correct horse é")))
    #expect(PrivateKey.isEncrypted(pem: pem))
    #expect(try PrivateKey(encryptedPEM: pem, passphrase: secret("correct horse é")).publicKey.digest == key.publicKey.digest)
    for wrong in ["", "correct horse e", "correct horse é "] {
      #expect { try PrivateKey(encryptedPEM: pem, passphrase: secret(wrong)) } throws: { ($0 as? CryptoError)?.code == "passphrase-wrong" }
    }
    // A device's own reader never asks for a passphrase.
    #expect(throws: CryptoError.self) { try PrivateKey(pem: pem) }
  }

  /// Written by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -v2prf hmacWithSHA256`
  /// with the passphrase `haechi test`: another program's key, and PBKDF2.
  @Test func readsWhatOpenSSLWrites() throws {
    let pem = """
      -----BEGIN ENCRYPTED PRIVATE KEY-----
      MIHtMFgGCSqGSIb3DQEFDTBLMCoGCSqGSIb3DQEFDDAdBAh2C5hBW8pfeQIDCSfA
      MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBAeg75E+kS5Cy5IqZwazmBABIGQ
      +7p0OZ6zsMnxsHOTGoayHq+14VbtW47748Z1hYbWF7xF1aVAj5VeuOifc+TuF0iQ
      QY+iaQP6cOtTGIur8dwKl5nbhdkZ6t6F7WJM+VoiwYGzHmAtuBYwISG77lRm2YYa
      GLLBc6sO49L2+YGsQDZcJgUHgAk4HuVIBDM3lpCDL4IWfmMIh1beS1xevDsFu467
      -----END ENCRYPTED PRIVATE KEY-----
      """
    let key = try PrivateKey(encryptedPEM: secret(pem), passphrase: secret("haechi test"))
    #expect(hexadecimal(key.publicKey.digest) == "922c296d39a3a91ff4ffa77d4a0eb1088f3a0dbbac91acb1905df13e3ddb7d0e")
  }

  @Test func whatIsNotEncryptedIsRefused() throws {
    let plain = try PrivateKey.generateP256().pem()
    #expect(!PrivateKey.isEncrypted(pem: plain))
    for wrong in [plain, secret(""), secret("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")] {
      #expect { try PrivateKey(encryptedPEM: wrong, passphrase: secret("x")) } throws: { ($0 as? CryptoError)?.code == "malformed-input" }
    }
    #expect(throws: CryptoError.self) { try PrivateKey.generateP256().encryptedPEM(passphrase: SecretBytes(copying: [UInt8](repeating: 65, count: 1025))) }
  }
}

@Suite struct PassphraseBoxTests {
  /// Sealed once for all tests: each key derivation takes 128 MiB.
  private static let content = Array("a small archive".utf8)
  private static let box = try? PassphraseBox.seal(content, title: "test 1", passphrase: secret("correct horse"))

  @Test func readsBackUnderItsPassphraseAndTitleOnly() throws {
    let box = try #require(Self.box)
    #expect(try PassphraseBox.open(box, title: "test 1", passphrase: secret("correct horse")) == Self.content)
    #expect { try PassphraseBox.open(box, title: "test 1", passphrase: secret("correct horsf")) } throws: { ($0 as? CryptoError)?.code == "passphrase-wrong" }
    #expect { try PassphraseBox.open(box, title: "test 2", passphrase: secret("correct horse")) } throws: { ($0 as? CryptoError)?.code == "malformed-input" }
  }

  /// A bit of each part: title, cost, salt, nonce, content, tag. The cost is a byte before the salt: another one is refused or gives another key.
  @Test(arguments: [0, 7, 8, 9, 10, 30, 38, 45, -1]) func aChangedByteIsNoticed(_ index: Int) throws {
    var box = try #require(Self.box)
    box[index < 0 ? box.count + index : index] ^= index == 7 ? 0x40 : 1
    #expect(throws: CryptoError.self) { try PassphraseBox.open(box, title: "test 1", passphrase: secret("correct horse")) }
  }

  @Test func aFileThatWasCutOffIsNamedSo() throws {
    let box = try #require(Self.box)
    for count in [0, 3, 7, 20, 53] {
      #expect { try PassphraseBox.open(Array(box.prefix(count)), title: "test 1", passphrase: secret("x")) } throws: {
        ($0 as? CryptoError)?.code == "malformed-input"
      }
    }
  }

  @Test func twoBoxesDiffer() throws {
    let box = try #require(Self.box)
    #expect(try PassphraseBox.seal(Self.content, title: "test 1", passphrase: secret("correct horse")) != box)
  }
}
