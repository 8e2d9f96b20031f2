import Audit
import Crypto
import Foundations
import Supervisor

/// Appends a batch to the audit log in `folder`. For a worker: it writes files and calls OpenSSL, which PID 1 itself never does.
///
/// - Parameter clock: what time the entries are given; each by its distance from now.
func append(_ batch: AuditBatch, to folder: String, clock: WallClock) -> AuditOutcome {
  let now_s = clock.now_s()
  let now_us = BootClock.now_us()
  let arrivals = batch.entries.map { entry in
    AuditLog.Arrival(
      entry.event, time_s: now_s - Int64(clamping: now_us > entry.at_us ? (now_us - entry.at_us) / 1_000_000 : 0), uptime_ms: entry.at_us / 1_000)
  }
  do {
    // One that cannot be read has no key to seal for; the log goes on without.
    let owner = batch.owner.isEmpty ? nil : try? Certificate(der: batch.owner)
    try AuditLog(folder: folder).append(arrivals, device: DeviceIdentifier(hexadecimal(batch.device)), owner: owner, isSigned: batch.isSigned)
    return .appended
  } catch {
    return error.code == "audit-nameless" ? .nameless : .failed("\(error)")
  }
}
