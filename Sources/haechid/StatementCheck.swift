import Foundations
import Identity
import SupervisorLink

/// Whether an admin of the pinned owner signed a statement. For a worker: it calls OpenSSL, which PID 1 itself never does.
///
/// - Parameters:
///   - device: the 10 bytes of the device's id.
///   - owner: the owner CA's certificate, DER.
///   - clock: what time the certificates are judged by.
func isOwnersStatement(_ statement: SignedStatement, device: [UInt8], owner: [UInt8], clock: WallClock) -> Bool {
  guard let device = DeviceIdentifier(hexadecimal(device)),
    let whole = OwnerStatement(kind: statement.kind.rawValue, device: device, event: statement.event, nonce: statement.nonce, body: statement.body)
  else { return false }
  do throws(StatementRefusal) {
    try whole.verify(owner: owner, certificate: statement.certificate, signature: statement.signature, time_s: clock.now_s())
    return true
  } catch {
    // The supervisor says in its log that it was refused; where there is a console, it shows why.
    complain("statement: \(error)")
    return false
  }
}
