import LocalAPI
import SupervisorLink

extension StorageReport {
  /// What makes the device `damaged` whatever its folders hold: they are not those of the last boot. nil where the storage is open, or there is none.
  var damage: String? {
    switch state {
    case .open, .volatile: nil
    case .damaged, .locked: reason
    }
  }
}

extension StatusDocument.Storage {
  init(_ report: StorageReport, _ health: StorageHealth.State?) {
    let state =
      switch report.state {
      case .volatile: "volatile"
      case .open: "open"
      case .damaged: "damaged"
      case .locked: "locked"
      }
    self.init(
      state: state, cipher: report.cipher.isEmpty ? nil : report.cipher, rootOfTrust: report.rootOfTrust.word,
      reason: report.reason.isEmpty ? nil : report.reason,
      fault: health.map { Fault(code: $0.fault.rawValue, reason: $0.fault.reason, uptimeMilliseconds: $0.since_ms) })
  }
}
