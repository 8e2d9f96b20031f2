import BoardAPI
import Crypto
import Foundations
import Identity
import Supervisor
import SupervisorLink

extension RecoveryKeyWork {
  /// For workers: both call OpenSSL, which PID 1 itself never does.
  static let withOpenSSL = RecoveryKeyWork(
    makeKey: {
      guard let key = try? X25519PrivateKey.generate() else { return [] }
      return key.secret.withUnsafeBytes { Array($0) } + key.publicKey
    },
    open: { (statement, device, privateKey) throws(BoardError) in
      try recoveryKeyOrder(in: statement, device: device, privateKey: privateKey, clock: WallClock(floor_s: BuildFacts.ofThisImage.built_s))
    })
}

/// The order that a statement carries, whose signature was found good.
///
/// - Parameters:
///   - device: the 10 bytes of the device's id.
///   - privateKey: of the offer that it was sealed to.
/// - Throws: `recovery-key-refused` where it does not open: it was sealed to another key than this supervisor's newest.
func recoveryKeyOrder(
  in statement: SignedStatement, device: [UInt8], privateKey: SecretBytes, clock: WallClock
) throws(BoardError) -> RecoveryKeyOrder {
  let key: RecoveryKey?
  do throws(CryptoError) {
    guard let device = DeviceIdentifier(hexadecimal(device)) else { throw CryptoError(code: "malformed-input", reason: "the device's id is none") }
    key = try RecoveryKey(
      opening: statement.body, with: try X25519PrivateKey(privateKey), device: device, event: statement.event, nonce: statement.nonce)
  } catch {
    throw BoardError(code: "recovery-key-refused", reason: "the recovery key could not be opened: \(error)")
  }
  guard let key else {
    throw BoardError(code: "recovery-key-refused", reason: "the recovery key was not sealed to what this supervisor offered last; it is dropped")
  }
  return .set(
    passphrase: SecretBytes(copying: key.text.utf8), RecoveryKeyFacts(fingerprint: key.fingerprintBytes, ordered_s: clock.now_s()))
}
