import Foundations
import Identity
import SupervisorLink

/// Why a statement does not count, nil where an admin of the pinned owner signed it. For a worker: it calls OpenSSL, which PID 1 itself never does.
///
/// - Parameters:
///   - device: the 10 bytes of the device's id.
///   - owner: the owner CA's certificate, DER.
///   - clock: what time the certificates are judged by.
func refusal(of statement: SignedStatement, device: [UInt8], owner: [UInt8], clock: WallClock) -> String? {
  guard let device = DeviceIdentifier(hexadecimal(device)),
    let whole = OwnerStatement(kind: statement.kind.rawValue, device: device, event: statement.event, nonce: statement.nonce, body: statement.body)
  else { return "it is not whole" }
  do throws(StatementRefusal) {
    try whole.verify(owner: owner, certificate: statement.certificate, signature: statement.signature, time_s: clock.now_s())
    return nil
  } catch {
    return "\(error.code): \(error.reason)"
  }
}
