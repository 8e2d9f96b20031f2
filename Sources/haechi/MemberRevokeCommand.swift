import ArgumentParser
import OperatorKit

struct MemberRevoke: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Withdraw a member's certificates, and tell every known device.",
    discussion: """
      Every certificate of the member that has not ended is put on the owner's revocation list, which only grows; the member's \
      certificate and key are removed from the owner's folder. The list is brought to every known device of the owner: there the member's open \
      connections end at once. A device that cannot be reached goes on believing the member until haechi member push reaches it, or until \
      the certificate ends; then the command ends with 69. Needs the owner's passphrase.
      """)

  @Argument(help: "The member's name.")
  var name: String
  @Flag(name: .long, help: "Also where nobody is left who can order anything of the devices.")
  var forceLastAdmin = false
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let home = try options.common.openHome()
    let unlocked = try OwnerFolder.open(options.folder()).unlock(passphrase.source)
    let revoked = try unlocked.revokeMember(name, forcesLastAdmin: forceLastAdmin)
    if !wantsJSON {
      Terminal.standardOutput.line("\(revoked.name) is withdrawn by list \(revoked.number) of owner \(revoked.ownerId)")
    }
    let push =
      forceLastAdmin ? try RevocationPush(home: home, signing: unlocked) : try RevocationPush(home: home, owner: unlocked.owner)
    let report = try await push.run { if !wantsJSON { Terminal.standardOutput.line(Sheet.pushed($0)) } }
    try finish(MemberRevokeReport(revoked: revoked, push: report), report, json: wantsJSON)
  }
}

struct MemberPush: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "push", abstract: "Bring the owner's revocation list to every known device once more.",
    discussion: "For devices that could not be reached when a member was revoked. Ends with 69 where one still cannot.")

  @Option(name: .customLong("as"), help: ArgumentHelp("Which of the owner's admins you are.", valueName: "name"))
  var person: String?
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let push = try RevocationPush(home: options.common.openHome(), owner: OwnerFolder.open(options.folder()), as: person)
    let report = try await push.run { if !wantsJSON { Terminal.standardOutput.line(Sheet.pushed($0)) } }
    try finish(report, report, json: wantsJSON)
  }
}

/// Prints the end, and ends with 69 where a device does not have the list.
func finish(_ value: some Encodable, _ report: RevocationPushReport, json: Bool) throws {
  try show(value, json: json, Sheet.push(report))
  if !report.isComplete { throw ExitCode(69) }
}

private struct MemberRevokeReport: Encodable {
  var revoked: RevokedMember
  var push: RevocationPushReport
}
