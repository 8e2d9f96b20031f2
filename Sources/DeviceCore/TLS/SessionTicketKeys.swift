internal import COpenSSL
internal import Crypto
internal import Foundations
internal import Synchronization

/// The keys that seal session tickets (RFC 8446 section 4.6.1): in memory only, made at random, the present one and the one before.
///
/// One object may serve several contexts after each other; a ticket of one context is never accepted by another.
public final class SessionTicketKeys: Sendable {
  /// A key is used for new tickets this long, and opens old ones as long again.
  public let rotation_ms: UInt64

  struct Key {
    /// What a ticket begins with, 16 bytes.
    let name: [UInt8]
    /// AES-256, 32 bytes.
    let encryption: SecretBytes
    /// HMAC-SHA-256, 32 bytes.
    let authentication: SecretBytes
    let made_ms: UInt64

    init(made_ms: UInt64) throws(CryptoError) {
      name = try randomBytes(16)
      encryption = try randomSecret(32)
      authentication = try randomSecret(32)
      self.made_ms = made_ms
    }
  }
  private struct State {
    var current: Key?
    var previous: Key?
  }
  private let state = Mutex(State())

  /// - Parameter rotation_ms: how long a key seals new tickets; an hour by default, so that a stolen key opens two hours at the most.
  public init(rotation_ms: UInt64 = 3_600_000) {
    precondition(rotation_ms > 0, "a ticket key is used for some time")
    self.rotation_ms = rotation_ms
  }

  /// Forgets every key at once: no ticket that was given out before opens again. Called when who is trusted changes.
  public func drop() {
    state.withLock { $0 = State() }
  }

  /// The key for new tickets; nil only where the random generator fails.
  func sealingKey(now_ms: UInt64 = BootClock.now_ms()) -> Key? {
    state.withLock { state in
      rotate(&state, now_ms)
      if state.current == nil { state.current = try? Key(made_ms: now_ms) }
      return state.current
    }
  }

  /// The key that is named so, if it is still known, and whether a new ticket should replace the old one.
  func openingKey(name: UnsafeRawBufferPointer, now_ms: UInt64 = BootClock.now_ms()) -> (key: Key, isOld: Bool)? {
    state.withLock { state in
      rotate(&state, now_ms)
      if let key = state.current, key.name.elementsEqual(name) { return (key, false) }
      if let key = state.previous, key.name.elementsEqual(name) { return (key, true) }
      return nil
    }
  }

  private func rotate(_ state: inout State, _ now_ms: UInt64) {
    if let current = state.current, now_ms >= current.made_ms + rotation_ms {
      state.previous = current
      state.current = nil
    }
    if let previous = state.previous, now_ms >= previous.made_ms + 2 * rotation_ms { state.previous = nil }
  }
}

/// OpenSSL's question for a key: fills `name` and `iv` and prepares both contexts (`sealing`), or prepares them for the key that is named.
/// Returns OpenSSL's codes: -1 error, 0 no such key, 1 done, 2 done and give out a new ticket.
func prepareTicketKey(
  _ keys: SessionTicketKeys, sealing: Bool, name: UnsafeMutablePointer<UInt8>, iv: UnsafeMutablePointer<UInt8>,
  cipher: OpaquePointer, mac: OpaquePointer
) -> CInt {
  let key: SessionTicketKeys.Key
  var result: CInt = 1
  if sealing {
    guard let current = keys.sealingKey() else { return -1 }
    key = current
    for (index, byte) in key.name.enumerated() { name[index] = byte }
    guard RAND_bytes(iv, 16) == 1 else { return -1 }
  } else {
    guard let found = keys.openingKey(name: UnsafeRawBufferPointer(start: name, count: 16)) else { return 0 }
    key = found.key
    result = found.isOld ? 2 : 1
  }
  let cipherReady = key.encryption.withUnsafeBytes { secret in
    let secret = secret.bindMemory(to: UInt8.self).baseAddress
    return sealing
      ? EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, secret, iv) : EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, secret, iv)
  }
  let macReady = key.authentication.withUnsafeBytes { secret in
    // A parameter keeps the pointers to its name and value: all three texts must live until the call is over.
    var hash = Array("SHA256".utf8CString)
    return hash.withUnsafeMutableBufferPointer { hash in
      OSSL_MAC_PARAM_KEY.withCString { keyName in
        OSSL_MAC_PARAM_DIGEST.withCString { digestName in
          let parameters = [
            OSSL_PARAM_construct_octet_string(keyName, UnsafeMutableRawPointer(mutating: secret.baseAddress), secret.count),
            OSSL_PARAM_construct_utf8_string(digestName, hash.baseAddress, 0),
            OSSL_PARAM_construct_end(),
          ]
          return EVP_MAC_CTX_set_params(mac, parameters)
        }
      }
    }
  }
  return cipherReady == 1 && macReady == 1 ? result : -1
}
