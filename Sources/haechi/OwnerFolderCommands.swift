import ArgumentParser
import OperatorKit

struct OwnerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "owner", abstract: "The owner: the CA that your devices obey, its key, and its backup.",
    subcommands: [OwnerNew.self, OwnerList.self, OwnerExport.self, OwnerImport.self])
}

struct OwnerNew: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make an owner: a CA whose key lies under a passphrase.",
    discussion: """
      Writes ca.pem and ca.key into the owner's folder, the key encrypted (PKCS #8, scrypt, AES-256). The passphrase is asked for \
      twice, or is the first line of --passphrase-file. Who has both the key and the passphrase has the devices; who loses one of them \
      has lost them: make a backup with haechi owner export.
      """)
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let folder = try options.folder()
    let home = try options.common.openHome()
    // A folder that is in use is told of before anybody thinks of a passphrase.
    if OwnerFolder.exists(folder) { throw OperatorError("file-exists", "there is an owner in \(folder) already; name another folder with --owner DIR") }
    let unlocked = try OwnerFolder.make(folder, passphrase: try passphrase.source.passphrase(.choose("the new owner key in \(folder)")))
    let record = try OwnerRecord(unlocked.owner, home: home)
    try show(
      record, json: wantsJSON,
      ["made owner \(record.ownerId) in \(record.folder), until \(record.validUntil)", "next: haechi owner export FILE, and keep the file elsewhere"])
  }
}

struct OwnerList: HaechiCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the owners that are known here.")
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let owners = try OwnerRecord.all(try common.openHome())
    try show(["owners": owners], json: wantsJSON, Sheet.owners(owners))
  }
}

struct OwnerExport: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a backup of an owner to one file, and restore it in memory to see that it is one.",
    discussion: """
      The file holds the CA and its key, the revocation list and the members' certificates, under the owner's passphrase (scrypt, \
      AES-256-GCM); docs/operators.md has its form. Members' own keys are not in it: they are issued anew. The file is of no use \
      without the passphrase, and neither is the passphrase without the file.
      """)
  @Argument(help: "The backup; not there yet.")
  var file: String
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let backup = try OwnerBackup.export(try options.folder(), to: file, passphrases: passphrase.source)
    try show(
      BackupReport(backup, file: file), json: wantsJSON,
      [
        "wrote owner \(backup.ownerId) to \(file) and restored it in memory: \(Sheet.count(backup.members.count, "member", "members"))",
        "keep it away from this machine, and the passphrase away from it",
      ])
  }
}

struct OwnerImport: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make an owner's folder again from its backup.",
    discussion: """
      Nothing that is there is overwritten, and nothing is written unless the whole backup is in order: its passphrase, the CA, the key, \
      every member's certificate. Members get new keys with haechi member add NAME --role ROLE --renew.
      """)
  @Argument(help: "The backup.")
  var file: String
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let folder = try options.folder()
    let backup = try OwnerBackup.restore(file, into: folder, passphrases: passphrase.source)
    try show(
      BackupReport(backup, file: file), json: wantsJSON,
      [
        "restored owner \(backup.ownerId) of \(backup.made) into \(folder): \(Sheet.count(backup.members.count, "member", "members"))",
        "next: haechi member add NAME --role admin --renew",
      ])
  }
}

/// A backup as programs read it.
private struct BackupReport: Encodable {
  var ownerId: String
  var made: String
  var file: String
  var members: [String]

  init(_ backup: OwnerBackup, file: String) {
    ownerId = backup.ownerId
    made = backup.made
    self.file = file
    members = backup.members
  }
}
