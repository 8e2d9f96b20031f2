import Crypto
import Foundations
import Testing

@Suite struct KeyTests {
  @Test(arguments: KeyAlgorithm.allCases) func signsAndSurvivesExport(_ algorithm: KeyAlgorithm) throws {
    let key = try PrivateKey.generate(algorithm)
    let message = Array("a statement".utf8)
    let signature = try key.signature(of: message)
    #expect(key.algorithm == algorithm && key.publicKey.isValid(signature: signature, of: message))
    #expect(!key.publicKey.isValid(signature: signature, of: message + [0]))
    #expect(try !PrivateKey.generate(algorithm).publicKey.isValid(signature: signature, of: message))
    for again in [try PrivateKey(pem: key.pem()), try PrivateKey(der: key.der())] {
      #expect(again.publicKey.der == key.publicKey.der)
      #expect(try key.publicKey.isValid(signature: again.signature(of: message), of: message))
    }
    #expect(try PublicKey(der: key.publicKey.der).digest == sha256(key.publicKey.der))
    let pem = try key.pem()
    #expect(key.description == "private key (\(algorithm.rawValue))" && "\(pem)" == "secret of \(pem.count) bytes")
  }

  @Test(arguments: KeyAlgorithm.allCases) func everyChangedBitOfASignatureCounts(_ algorithm: KeyAlgorithm) throws {
    let key = try PrivateKey.generate(algorithm)
    let signature = try key.signature(of: [1])
    for index in signature.indices {
      var changed = signature
      changed[index] ^= 1
      #expect(!key.publicKey.isValid(signature: changed, of: [1]))
    }
    #expect(!key.publicKey.isValid(signature: [], of: [1]) && !key.publicKey.isValid(signature: [UInt8](repeating: 0, count: 500), of: [1]))
  }

  /// Made once with `openssl genpkey`: the public halves of a P-384 and an X25519 key, and an Ed25519 key under a passphrase.
  @Test func otherKeysAreRefused() throws {
    let foreign = [
      "3076301006072a8648ce3d020106052b81040022036200046703da09ea76d6153aee8f15fcb475ce63e470523ca6f627a203ccec0aa6d84b22e0e9e719e5246b2b44c59a4b7c6ebf68665a54c28a326651311b345af64f35e0a3e504fa62884026d2c024dd137bd161381d68976684096c11e4fdcb45fdaf",
      "302a300506032b656e03210091748224982e3c45e4370c9df0264e885ee224262dee3d3cc3590a66089f017f",
    ]
    for text in foreign {
      let der = try #require(bytes(hexadecimal: text))
      let error = #expect(throws: CryptoError.self) { try PublicKey(der: der) }
      #expect(error?.code == "unsupported-key")
    }
    let encrypted = """
      -----BEGIN ENCRYPTED PRIVATE KEY-----
      MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgQSjP+ik90LAICCAAw
      DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFvB/VDtRU5hMG2L6blNtKAEQJtD
      kBy0P5ScnMCJunCmFUtVhhvyfOimMNvGMLhUmDLcn+wc9wRojuGvVFvXMqSscZb0
      BIZnKLIlwnmDfiSEeKI=
      -----END ENCRYPTED PRIVATE KEY-----
      """
    let error = #expect(throws: CryptoError.self) { try PrivateKey(pem: SecretBytes(copying: Array(encrypted.utf8))) }
    #expect(error?.code == "malformed-input" && error?.openSSLErrors.isEmpty == false)
    #expect(throws: CryptoError.self) { try PrivateKey(pem: SecretBytes(capacity: 20_000) { $0.count }) }
    #expect(throws: CryptoError.self) { try PublicKey(der: [UInt8](repeating: 48, count: 2000)) }
  }

  @Test func mutatedKeysNeverCrash() throws {
    var random = SeededRandom(11)
    let key = try PrivateKey.generateP256()
    let pem = try key.pem().withUnsafeBytes { Array($0) }
    let der = try key.der().withUnsafeBytes { Array($0) }
    for _ in 0..<300 {
      _ = try? PrivateKey(pem: SecretBytes(copying: random.mutation(of: pem)))
      _ = try? PrivateKey(der: SecretBytes(copying: random.mutation(of: der)))
      _ = try? PublicKey(der: random.mutation(of: key.publicKey.der))
    }
    #expect(throws: CryptoError.self) { try PrivateKey(der: SecretBytes(copying: der + [0])) }
    #expect(throws: CryptoError.self) { try PublicKey(der: key.publicKey.der + [0]) }
  }
}
