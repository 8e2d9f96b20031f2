internal import COpenSSL

extension PrivateKey {
  /// Signs a SHA-256 digest (32 bytes) where the key is, and returns an ECDSA-Sig-Value in DER (RFC 3279 section 2.2.3). It may wait, and is called on the
  /// thread that needs the signature. The reason of what it throws is that of whoever asked.
  public typealias OutsideSigner = @Sendable (_ digest: [UInt8]) throws(CryptoError) -> [UInt8]

  /// A P-256 key whose private half lies outside this process, in a TPM. It signs like any other, and cannot be exported.
  ///
  /// - Parameters:
  ///   - publicKey: its public half.
  ///   - sign: signs with it. What comes back and is no signature of this key's is refused.
  /// - Throws: `unsupported-key` where it is not P-256; `openssl-failed`.
  public convenience init(outside publicKey: PublicKey, sign: @escaping OutsideSigner) throws(CryptoError) {
    guard publicKey.algorithm == .p256 else {
      throw CryptoError(code: "unsupported-key", reason: "a key outside is P-256, not \(publicKey.algorithm.rawValue)")
    }
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    guard let outside = Outside.shared else { throw OpenSSL.failure("openssl-failed", "OpenSSL takes no key that lies outside") }
    let signer = Unmanaged.passRetained(SignerBox(sign))
    guard let handle = haechi_outside_key(publicKey.der, publicKey.der.count, outside.method, outside.index, signer.toOpaque()) else {
      signer.release()
      throw OpenSSL.failure("openssl-failed", "a key that lies outside cannot be described to OpenSSL")
    }
    // From here on OpenSSL releases the signer with the last reference to the key, which a TLS context may hold for longer than this object lives.
    try self.init(adopting: handle, isOutside: true)
  }
}

/// Keeps a signer for as long as OpenSSL has the key.
private final class SignerBox: Sendable {
  let sign: PrivateKey.OutsideSigner
  init(_ sign: @escaping PrivateKey.OutsideSigner) { self.sign = sign }
}

/// OpenSSL's way to keys that lie outside, made once.
private struct Outside: @unchecked Sendable {
  let method: OpaquePointer
  let index: CInt

  static let shared: Outside? = {
    let index = haechi_outside_index(
      { _, _, data, _, _, _ in
        // A copy of the key has the signer too.
        guard let signer = data?.pointee else { return 1 }
        _ = Unmanaged<SignerBox>.fromOpaque(signer).retain()
        return 1
      },
      { _, data, _, _, _, _ in
        if let data { Unmanaged<SignerBox>.fromOpaque(data).release() }
      })
    guard index >= 0, let method = haechi_outside_method(signOutside) else { return nil }
    return Outside(method: method, index: index)
  }()
}

/// OpenSSL's call for a signature: 1 where there is one.
private let signOutside: haechi_ec_sign = { _, digest, count, target, length, _, _, key in
  guard let digest, let target, let length, let key, let outside = Outside.shared, let data = haechi_outside_data(key, outside.index) else { return 0 }
  guard count == 32 else {
    haechi_raise("a key outside signs SHA-256 digests only")
    return 0
  }
  let signature: [UInt8]
  do throws(CryptoError) {
    signature = try Unmanaged<SignerBox>.fromOpaque(data).takeUnretainedValue().sign(Array(UnsafeBufferPointer(start: digest, count: 32)))
  } catch {
    haechi_raise(error.reason)
    return 0
  }
  // OpenSSL's room is for the longest signature of the curve (ECDSA_size).
  guard (8...72).contains(signature.count), haechi_outside_verify(digest, 32, signature, CInt(signature.count), key) == 1 else {
    haechi_raise("what came back is no signature of the key")
    return 0
  }
  for (offset, byte) in signature.enumerated() { target[offset] = byte }
  length.pointee = CUnsignedInt(signature.count)
  return 1
}
