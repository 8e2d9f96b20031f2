import Crypto
import Foundations
import Identity
import SupervisorLink

/// Why a statement does not count, nil where an admin of the pinned owner signed it. For a worker: it calls OpenSSL, which PID 1 itself never does.
///
/// - Parameters:
///   - device: the 10 bytes of the device's id.
///   - owner: the owner CA's certificate, DER.
///   - revocations: the owner's revocation list, DER, or empty.
///   - clock: what time the certificates are judged by.
func refusal(of statement: SignedStatement, device: [UInt8], owner: [UInt8], revocations: [UInt8], clock: WallClock) -> String? {
  guard let device = DeviceIdentifier(hexadecimal(device)),
    let whole = OwnerStatement(kind: statement.kind.rawValue, device: device, event: statement.event, nonce: statement.nonce, body: statement.body)
  else { return "it is not whole" }
  do throws(StatementRefusal) {
    try whole.verify(owner: owner, certificate: statement.certificate, signature: statement.signature, revocations: revocations, time_s: clock.now_s())
    return nil
  } catch {
    return "\(error.code): \(error.reason)"
  }
}

/// Why a revocation list is not the owner's next, nil where it is. For a worker too.
///
/// - Parameters:
///   - list: DER.
///   - owner: the owner CA's certificate, DER.
///   - present: the list that counts now, DER, or empty.
func refusal(ofRevocations list: [UInt8], owner: [UInt8], present: [UInt8]) -> String? {
  do {
    let previous = present.isEmpty ? nil : try CertificateRevocationList(der: present)
    try OwnerRevocations.check(try CertificateRevocationList(der: list), owner: try Certificate(der: owner), after: previous)
    return nil
  } catch {
    return "\(error)"
  }
}
