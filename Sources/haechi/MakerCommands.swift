import ArgumentParser
import OperatorKit

struct MakerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "maker", abstract: "The maker's side: the authority that gives devices their identity.", subcommands: [MakerNew.self])
}

struct MakerNew: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make a throwaway maker: a CA and a station certificate.",
    discussion: """
      Writes maker-ca.pem, maker-ca.der (the one to pin in the firmware), maker-ca.key, station.pem and \
      station.key, the keys readable by you alone. Nothing that is there is overwritten. It is meant for \
      trying and for development: a real maker keeps the CA's key in a hardware module, not in a file.
      """)

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Where to write; made if it is missing.", discussion: "Default: maker in HAECHI_HOME, where provision and claim look for it.",
      valueName: "dir"))
  var out: String?
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let folder = if let out { out } else { try common.openHome().makerFolder }
    let maker = try MakerFolder.make(folder, home: try common.openHome())
    try show(
      maker, json: common.json,
      [
        "made a throwaway maker in \(maker.folder)",
        "  maker CA key digest  \(maker.keyDigest)",
        "  pin in the firmware  \(maker.folder)/maker-ca.der",
        "next: start the device with that CA, then: haechi provision --station \(maker.folder) --device HOST:PORT",
      ])
  }
}
