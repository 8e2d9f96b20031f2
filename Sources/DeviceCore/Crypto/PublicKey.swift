internal import COpenSSL

/// The algorithms that a key of Haechi may have.
public enum KeyAlgorithm: String, Sendable, CaseIterable {
  /// ECDSA over NIST P-256 with SHA-256 (FIPS 186-5).
  case p256 = "P-256"
  /// Ed25519 (RFC 8032).
  case ed25519 = "Ed25519"
}

/// A public key: P-256 or Ed25519 and nothing else.
public final class PublicKey: @unchecked Sendable {
  /// Owned and never changed after `init`; OpenSSL's keys may be used by several threads at once.
  let handle: OpaquePointer
  public let algorithm: KeyAlgorithm
  /// SubjectPublicKeyInfo, DER (RFC 5280 section 4.1).
  public let der: [UInt8]
  /// SHA-256 of `der`: what device and owner identifiers are made of; 32 bytes.
  public let digest: [UInt8]

  /// Takes over `handle`, also where it throws.
  init(adopting handle: OpaquePointer) throws(CryptoError) {
    guard let algorithm = keyAlgorithm(handle), let der = encode({ i2d_PUBKEY(handle, $0) }) else {
      EVP_PKEY_free(handle)
      throw OpenSSL.failure("unsupported-key", "the key is neither P-256 nor Ed25519")
    }
    self.handle = handle
    self.algorithm = algorithm
    self.der = der
    digest = sha256(der)
  }

  /// Takes a reference of its own to the key of a certificate that was parsed already: decoding it anew costs more than all the rest of it.
  init(retaining handle: OpaquePointer, algorithm: KeyAlgorithm, der: [UInt8], digest: [UInt8]) {
    EVP_PKEY_up_ref(handle)
    self.handle = handle
    self.algorithm = algorithm
    self.der = der
    self.digest = digest
  }

  /// - Parameter der: SubjectPublicKeyInfo, at most 1 KiB, nothing after it.
  /// - Throws: `malformed-input`, `too-large`, `unsupported-key`.
  public convenience init(der: [UInt8]) throws(CryptoError) {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard der.count <= 1024 else { throw CryptoError(code: "too-large", reason: "a public key has at most 1024 bytes") }
    try self.init(adopting: try decode(der, "public key") { d2i_PUBKEY(nil, $0, $1) })
  }

  deinit { EVP_PKEY_free(handle) }

  /// Whether `signature` is this key's over `message`: for P-256 an ECDSA-Sig-Value in DER (RFC 3279 section 2.2.3) over
  /// SHA-256, for Ed25519 64 bytes.
  public func isValid(signature: [UInt8], of message: [UInt8]) -> Bool {
    OpenSSL.clearErrors()
    guard signature.count <= 128, let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    let hash = algorithm == .p256 ? EVP_sha256() : nil
    let valid =
      EVP_DigestVerifyInit(context, nil, hash, nil, handle) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    OpenSSL.clearErrors()
    return valid
  }
}

/// Which of ours a key's algorithm is, nil for any other.
func keyAlgorithm(_ key: OpaquePointer) -> KeyAlgorithm? {
  switch EVP_PKEY_get_base_id(key) {
  case EVP_PKEY_ED25519: return .ed25519
  case EVP_PKEY_EC:
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    guard EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1, length < name.count else { return nil }
    let group = String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return group == "prime256v1" || group == "P-256" ? .p256 : nil
  default: return nil
  }
}

/// The DER bytes that an `i2d` function writes.
func encode(_ write: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> CInt) -> [UInt8]? {
  let count = write(nil)
  guard count > 0 else { return nil }
  var complete = false
  let bytes = [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
    var cursor = buffer.baseAddress
    complete = write(&cursor) == count
    initialized = complete ? Int(count) : 0
  }
  return complete ? bytes : nil
}

/// The handle that a `d2i` function makes of all of `der`; bytes after the structure are an error.
func decode(
  _ der: [UInt8], _ what: String, _ read: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, CLong) -> OpaquePointer?
) throws(CryptoError) -> OpaquePointer {
  var consumed = 0
  let handle = der.withUnsafeBufferPointer { buffer in
    var cursor = buffer.baseAddress
    let handle = read(&cursor, buffer.count)
    if handle != nil, let start = buffer.baseAddress, let cursor { consumed = cursor - start }
    return handle
  }
  guard let handle else { throw OpenSSL.failure("malformed-input", "the \(what) is not valid DER") }
  guard consumed == der.count else {
    throw CryptoError(code: "malformed-input", reason: "the \(what) is followed by \(der.count - consumed) bytes that do not belong to it")
  }
  return handle
}
