import ArgumentParser
import OperatorKit

struct MemberCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "member", abstract: "The owner's members and their client certificates.",
    subcommands: [MemberAdd.self, MemberList.self, MemberRevoke.self, MemberPush.self])
}

struct MemberAdd: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Issue a client certificate for a member, or renew it.",
    discussion: """
      viewer reads state, readings and inputs; operator also drives outputs; admin also reads the log. \
      Writes members/NAME.pem and members/NAME.key in the owner's folder; use them with --as NAME, or with \
      curl --cert and --key. With --renew a new key and certificate replace the old ones. Needs the owner's passphrase.
      """)

  @Argument(help: "The member's name: 1 to 32 of a-z, 0-9, '.', '-' or '_'.")
  var name: String
  @Option(name: .long, help: "viewer, operator or admin.")
  var role = "viewer"
  @Option(name: .long, help: ArgumentHelp("How long the certificate is valid, 1 to 366 days.", valueName: "n"))
  var days = UnlockedOwner.usualMember_days
  @Flag(name: .long, help: "Replace a certificate that is there.")
  var renew = false
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let member = try OwnerFolder.open(options.folder()).unlock(passphrase.source).addMember(name, role: role, days: days, renew: renew)
    try show(
      member, json: wantsJSON,
      [
        "\(member.name) is now \(member.role) of owner \(member.ownerId), until \(member.validUntil)",
        "  certificate  \(member.certificateFile)",
        "  key          \(member.keyFile)",
      ])
  }
}

struct MemberList: HaechiCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the members who have certificates of this owner.")
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let members = try OwnerFolder.open(options.folder()).members()
    try show(["members": members], json: wantsJSON, Sheet.members(members))
  }
}
