internal import Crypto
internal import Foundations

/// Certificates and keys in files, with errors that name the file.
enum KeyFiles {
  /// The one certificate in a PEM or DER file.
  static func certificate(_ path: String) throws(OperatorError) -> Certificate {
    let content = try PrivateFiles.read(path)
    do {
      // DER begins with the tag of a SEQUENCE, which no PEM text does.
      return content.first == 0x30 ? try Certificate(der: content) : try Certificate(pem: String(decoding: content, as: UTF8.self))
    } catch {
      throw OperatorError("file-malformed", "\(path) is not one certificate in PEM or DER", cause: error)
    }
  }

  /// The certificates of a PEM file, leaf first.
  static func chain(_ path: String) throws(OperatorError) -> [Certificate] {
    let content = try PrivateFiles.read(path)
    do {
      return try Certificate.chain(pem: String(decoding: content, as: UTF8.self))
    } catch {
      throw OperatorError("file-malformed", "\(path) is not a certificate chain in PEM", cause: error)
    }
  }

  static func key(_ path: String) throws(OperatorError) -> PrivateKey {
    let content = try PrivateFiles.readSecret(path)
    do {
      return try PrivateKey(pem: content)
    } catch {
      throw OperatorError("file-malformed", "\(path) is not one unencrypted P-256 or Ed25519 private key in PEM", cause: error)
    }
  }

  /// A private key under a passphrase.
  ///
  /// - Throws: `passphrase-wrong`; `file-malformed`, also for a key that is not encrypted.
  static func key(_ path: String, passphrase: Passphrase) throws(OperatorError) -> PrivateKey {
    let content = try PrivateFiles.readSecret(path)
    guard PrivateKey.isEncrypted(pem: content) else {
      throw OperatorError("file-malformed", "\(path) is not an encrypted private key in PEM; whoever reads the file would be the owner, so it is not used")
    }
    do {
      return try PrivateKey(encryptedPEM: content, passphrase: passphrase.secret)
    } catch  where error.code == "passphrase-wrong" {
      throw OperatorError("passphrase-wrong", "the passphrase does not open \(path)", cause: nil)
    } catch {
      throw OperatorError("file-malformed", "\(path) is not one encrypted P-256 private key in PEM", cause: error)
    }
  }

  /// A certificate file and its key file, which must belong together.
  static func credential(_ chainPath: String, _ keyPath: String) throws(OperatorError) -> Credential {
    let chain = try chain(chainPath)
    let key = try key(keyPath)
    guard let leaf = chain.first, leaf.publicKeyDigest == key.publicKey.digest else {
      throw OperatorError(
        "file-malformed", "\(keyPath) is not the key of the certificate in \(chainPath); the two files come from different makings")
    }
    return Credential(chain: chain, key: key, name: chainPath)
  }

  static func issuer(_ certificatePath: String, _ keyPath: String) throws(OperatorError) -> CertificateIssuer {
    let certificate = try certificate(certificatePath)
    let key = try key(keyPath)
    do {
      return try CertificateIssuer(certificate: certificate, key: key)
    } catch {
      throw OperatorError("file-malformed", "\(certificatePath) and \(keyPath) do not make an authority", cause: error)
    }
  }

  static func write(_ certificate: Certificate, to path: String, existing: PrivateFiles.Existing = .refuse) throws(OperatorError) {
    try PrivateFiles.write(Array(certificate.pem.utf8), to: path, existing: existing, mode: 0o644)
  }

  static func write(_ key: PrivateKey, to path: String, existing: PrivateFiles.Existing = .refuse) throws(OperatorError) {
    let content: SecretBytes
    do {
      content = try key.pem()
    } catch {
      throw OperatorError("file-unwritable", "the key for \(path) could not be written as PEM", cause: error)
    }
    try PrivateFiles.write(secret: content, to: path, existing: existing)
  }

  /// Writes `key` under a passphrase, readable by its owner alone.
  static func write(_ key: PrivateKey, passphrase: Passphrase, to path: String) throws(OperatorError) {
    let content: [UInt8]
    do {
      content = try key.encryptedPEM(passphrase: passphrase.secret)
    } catch {
      throw OperatorError("file-unwritable", "the key for \(path) could not be encrypted", cause: error)
    }
    try PrivateFiles.write(content, to: path, existing: .refuse)
  }

  /// A fresh P-256 key.
  static func newKey() throws(OperatorError) -> PrivateKey {
    do {
      return try PrivateKey.generateP256()
    } catch {
      throw OperatorError("openssl-failed", "no new key could be made", cause: error)
    }
  }
}
