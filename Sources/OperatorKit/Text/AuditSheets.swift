/// What the commands about the audit log print for people.
extension Sheet {
  /// A line an entry: number, time, kind and values.
  public static func auditEntries(_ report: AuditReport) -> [String] {
    table(report.entries.map { [String($0.sequence), $0.time, ([$0.kind] + $0.values).map { printable($0) }.joined(separator: " ")] })
  }

  /// What was verified, and by what.
  public static func audit(_ report: AuditReport) -> [String] {
    var lines = report.findings.map { "\($0.kind): \(printable($0.sentence))" }
    let span = report.entries.first.map { first in "entries \(first.sequence) to \(report.entries.last?.sequence ?? first.sequence)" } ?? "no entries"
    lines.append("audit log of device \(report.deviceId): \(span), signed to \(report.signedTo)\(report.isClean ? ", nothing changed" : "")")
    lines.append(report.keyWasKnown ? "  audit key  as remembered" : "  audit key  seen for the first time: from now on it is remembered")
    if let from = report.codedFrom, let to = report.codedTo {
      lines.append("  codes      entries \(from) to \(to) are each what the device wrote, checked with the owner's key")
    } else {
      lines.append("  codes      not checked: haechi audit verify --owner-key finds what whoever holds the device could sign anew")
    }
    return lines
  }
}
