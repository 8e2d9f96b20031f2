internal import COpenSSL
public import Foundations

/// A secret for the holder of a certificate's key alone: CMS EnvelopedData (RFC 5652) with AES-256-CBC, for P-256 by key agreement (RFC 5753).
///
/// It is not authenticated: whoever opens one must check what is in it by other means. `openssl cms -decrypt` opens it too.
public enum SecretEnvelope {
  /// The largest envelope that is opened.
  public static let maximumDERBytes = 4_096

  /// DER of the envelope.
  ///
  /// - Throws: `openssl-failed`; `unsupported-key` where the certificate's key cannot agree on one (Ed25519).
  public static func seal(_ secret: SecretBytes, for certificate: Certificate) throws(CryptoError) -> [UInt8] {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard certificate.publicKey?.algorithm == .p256 else {
      throw CryptoError(code: "unsupported-key", reason: "\(certificate.subject) has no key for agreement: P-256 is needed")
    }
    guard let input = secret.withUnsafeBytes({ BIO_new_mem_buf($0.baseAddress, CInt($0.count)) }), let recipients = OPENSSL_sk_new_null() else {
      throw OpenSSL.failure("openssl-failed", "no memory for an envelope")
    }
    defer {
      BIO_free(input)
      OPENSSL_sk_free(recipients)
    }
    guard OPENSSL_sk_push(recipients, UnsafeRawPointer(certificate.handle)) == 1,
      let envelope = CMS_encrypt(recipients, input, EVP_aes_256_cbc(), CUnsignedInt(CMS_BINARY))
    else { throw OpenSSL.failure("openssl-failed", "the envelope could not be made") }
    defer { CMS_ContentInfo_free(envelope) }
    guard let der = encode({ i2d_CMS_ContentInfo(envelope, $0) }) else { throw OpenSSL.failure("openssl-failed", "the envelope could not be encoded") }
    return der
  }

  /// What is in the envelope.
  ///
  /// - Parameter maximum_bytes: the most that may be in it.
  /// - Throws: `malformed-input`, `too-large`; `openssl-failed` where it is for another key.
  public static func open(_ der: [UInt8], key: PrivateKey, certificate: Certificate, maximum_bytes: Int) throws(CryptoError) -> SecretBytes {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= maximumDERBytes else { throw CryptoError(code: "too-large", reason: "an envelope has at most \(maximumDERBytes) bytes") }
    let envelope = try decode(der, "envelope") { d2i_CMS_ContentInfo(nil, $0, $1) }
    defer { CMS_ContentInfo_free(envelope) }
    guard let output = BIO_new(BIO_s_secmem()) else { throw OpenSSL.failure("openssl-failed", "no memory for an envelope") }
    defer { BIO_free(output) }
    guard CMS_decrypt(envelope, key.handle, certificate.handle, nil, output, 0) == 1 else {
      throw OpenSSL.failure("openssl-failed", "the envelope cannot be opened with the key of \(certificate.subject)")
    }
    return try SecretBytes(capacity: maximum_bytes) { (buffer) throws(CryptoError) in
      var filled = 0
      while filled < buffer.count, let base = buffer.baseAddress {
        let count = BIO_read(output, base + filled, CInt(buffer.count - filled))
        if count <= 0 { break }
        filled += Int(count)
      }
      var more: UInt8 = 0
      guard BIO_read(output, &more, 1) <= 0 else { throw CryptoError(code: "too-large", reason: "the envelope holds more than \(maximum_bytes) bytes") }
      return filled
    }
  }
}
