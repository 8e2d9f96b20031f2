public import Crypto
public import Foundations

/// The proof that a client knows the code on a device's label, over one connection and without sending the code.
///
/// It is the construction of SCRAM (RFC 5802 section 3), with scrypt in place of PBKDF2: the client makes its key of the slowly hashed code, the device
/// knows that key's SHA-256 alone. Each proof is about one device, one connection and one owner: nobody in between can pass it on.
public enum LabelProof {
  /// What both ends ask TLS for (RFC 8446 section 7.5), without a context.
  public static let exporterLabel = "EXPORTER-haechi-claim-1"
  /// Bytes of what TLS exports for it.
  public static let binding_bytes = 32
  /// Bytes of a proof, and of the key that a device stores.
  public static let proof_bytes = 32

  /// What a proof is about: `haechi-claim-1`, a zero byte, the device's id (10 bytes), the connection's exporter value, the SHA-256 of the owner
  /// CA's certificate (DER).
  ///
  /// - Parameter binding: what TLS exports for `exporterLabel`, 32 bytes.
  public static func context(device: DeviceIdentifier, binding: [UInt8], owner: Certificate) -> [UInt8] {
    Array("haechi-claim-1".utf8) + [0] + deviceBytes(device) + binding + owner.sha256Fingerprint
  }

  /// The client's proof.
  ///
  /// - Parameter clientKey: what the label's code becomes with the device's salt.
  /// - Throws: `openssl-failed`.
  public static func make(clientKey: SecretBytes, context: [UInt8]) throws(CryptoError) -> [UInt8] {
    let storedKey = clientKey.withUnsafeBytes { sha256($0) }
    let mask = try hmacSHA256(key: SecretBytes(copying: storedKey), message: context)
    return clientKey.withUnsafeBytes { zip($0, mask).map { $0 ^ $1 } }
  }

  /// Whether `proof` was made by one who knows the key whose SHA-256 is `storedKey`. Takes the same time whatever the proof is.
  ///
  /// - Throws: `openssl-failed`.
  public static func isValid(_ proof: [UInt8], storedKey: [UInt8], context: [UInt8]) throws(CryptoError) -> Bool {
    guard proof.count == proof_bytes else { return false }
    let mask = try hmacSHA256(key: SecretBytes(copying: storedKey), message: context)
    let clientKey = SecretBytes(capacity: proof_bytes) { buffer in
      for (index, (byte, mask)) in zip(proof, mask).enumerated() { buffer[index] = byte ^ mask }
      return proof_bytes
    }
    return constantTimeEqual(clientKey.withUnsafeBytes { sha256($0) }, storedKey)
  }
}

/// What a device signs with the key of its whole life, to say who it is over a connection whose own key is another (its LDevID's).
public enum IdentityProof {
  /// `haechi-identity-1`, a zero byte, the device's id (10 bytes), the connection's exporter value for `LabelProof.exporterLabel`.
  ///
  /// The words in front keep the key's other signatures (TLS, whose own begin with 64 spaces, RFC 8446 section 4.4.3) from ever being one.
  public static func signedBytes(device: DeviceIdentifier, binding: [UInt8]) -> [UInt8] {
    Array("haechi-identity-1".utf8) + [0] + deviceBytes(device) + binding
  }

  /// As above, of the request for a certificate too: `haechi-renewal-1`, a zero byte, the device's id, the exporter value, the SHA-256 of `request` (DER).
  /// Who holds no more than a former LDevID key of the device's gets no new certificate by it.
  public static func signedBytes(device: DeviceIdentifier, binding: [UInt8], request: CertificateRequest) -> [UInt8] {
    Array("haechi-renewal-1".utf8) + [0] + deviceBytes(device) + binding + sha256(request.der)
  }
}

/// A device identifier is 20 hexadecimal digits, so it always has these 10 bytes.
private func deviceBytes(_ device: DeviceIdentifier) -> [UInt8] { Foundations.bytes(hexadecimal: device.text) ?? [] }
