import ArgumentParser
import OperatorKit

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "A device's audit log: fetch it, verify it off-line, read it.",
    subcommands: [AuditExportCommand.self, AuditVerifyCommand.self, AuditShowCommand.self, AuditSwitchCommand.self])
}

struct AuditExportCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Fetch a device's audit log into a file, and verify it.",
    discussion: """
      Needs the role admin. The device notes the export in the log and signs it. The audit key and the end of the log are remembered in \
      HAECHI_HOME: a later export by another key, or without what was there before, is told.
      """)
  @Argument(help: ArgumentHelp("The new file.", discussion: "Default: DEVICE-ID.audit.", valueName: "file"))
  var file: String?
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let report = try await AuditExporting(options.open()).run(file: file)
    try tell(report, json: wantsJSON)
  }
}

struct AuditVerifyCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Verify an exported audit log, without the device.",
    discussion: """
      Names what was changed, removed or reordered, and ends with 1 then. Signatures alone tell a change within the entries that one of \
      them covers. With --owner-key each entry is checked by its own code, which nobody who took over the device later could make: that \
      needs the owner's passphrase, and an owner's key on P-256, as haechi owner new makes it.
      """)
  @Argument(help: ArgumentHelp("What haechi audit export wrote.", valueName: "file"))
  var file: String
  @Flag(name: .long, help: "Check each entry with the owner's key too.")
  var ownerKey = false
  @Option(name: .long, help: ArgumentHelp("The owner's folder.", discussion: "Default: owner in HAECHI_HOME.", valueName: "dir"))
  var owner: String?
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let home = try common.openHome()
    let checking = ownerKey ? try AuditChecking(home: home, ownerFolder: owner, passphrases: passphrase.source) : AuditChecking(home: home)
    try tell(try checking.run(file: file), json: wantsJSON)
  }
}

struct AuditShowCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print the entries of an exported audit log, after verifying it.")
  @Argument(help: ArgumentHelp("What haechi audit export wrote.", valueName: "file"))
  var file: String
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let report = try AuditChecking(home: try common.openHome()).run(file: file)
    if !wantsJSON { for line in Sheet.auditEntries(report) { Terminal.standardOutput.line(line) } }
    try tell(report, json: wantsJSON)
  }
}

struct AuditSwitchCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "switch", abstract: "Let a device's audit log be read over its API, or not.",
    discussion: "Needs the role admin. The log goes on either way, and the change is an entry in it.")
  enum State: String, ExpressibleByArgument, CaseIterable { case on, off }
  @Argument(help: ArgumentHelp("on or off.", valueName: "state"))
  var state: State
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await AuditExporting(options.open()).setExport(state == .on)
    try show(done, json: wantsJSON, ["the audit log \(done.export ? "can" : "cannot") be read over the API"])
  }
}

/// Prints what was found, and ends with 1 where that is no honest log.
private func tell(_ report: AuditReport, json: Bool) throws {
  try show(report, json: json, Sheet.audit(report))
  guard let first = report.findings.first else { return }
  throw OperatorError("audit-tampered", "\(report.file) is not what the device wrote: \(first.sentence)")
}
