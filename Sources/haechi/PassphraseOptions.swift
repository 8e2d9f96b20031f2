import ArgumentParser
import OperatorKit

/// Where the passphrase of an owner's key comes from. There is no option for the passphrase itself: arguments are read by everybody on the machine.
struct PassphraseOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "A file of mode 0600 whose first line is the passphrase of the owner's key.",
      discussion: "Default: HAECHI_PASSPHRASE_FILE; without either, the terminal asks.", valueName: "file"))
  var passphraseFile: String?

  var source: any PassphraseSource {
    if let file = passphraseFile ?? Environment.all["HAECHI_PASSPHRASE_FILE"], !file.isEmpty { return PassphraseFile(file) }
    return PassphraseTerminal()
  }
}

/// Which owner's folder.
struct OwnerFolderOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The owner's folder.", discussion: "Default: owner in HAECHI_HOME.", valueName: "dir"))
  var owner: String?
  @OptionGroup var common: CommonOptions

  func folder() throws(OperatorError) -> String {
    if let owner { return owner }
    return try common.openHome().ownerFolder
  }
}
