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

struct Provision: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give a blank device its identity (IDevID), as the maker's station.",
    discussion: """
      Connects with the station's certificate, which the device checks against the maker's CA pinned in its \
      firmware; reads the device's certificate request, checks that it is signed by the key that the device \
      proved in the handshake, signs its IDevID certificate (IEEE 802.1AR) and installs it. \
      A blank device cannot prove yet who it is: do this where you know what is at the other end of the wire.
      """)

  @Option(
    name: .long,
    help: ArgumentHelp(
      "The folder with maker-ca.pem, maker-ca.key, station.pem, station.key.", discussion: "Default: maker in HAECHI_HOME.",
      valueName: "dir"))
  var station: String?
  @Option(name: [.short, .long], help: ArgumentHelp("Where the device listens.", valueName: "host:port"))
  var device = "127.0.0.1:8443"
  @Option(
    name: .long,
    help: ArgumentHelp(
      "The serial number that the label will show.", discussion: "Default: the device id in capital letters.", valueName: "text"))
  var serialNumber: String?
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let home = try common.openHome()
    let done = try await Provisioning(home: home, stationFolder: station ?? home.makerFolder)
      .run(endpoint: try Endpoint(device), serialNumber: serialNumber)
    try show(
      done, json: common.json,
      [
        "provisioned device \(done.deviceId)",
        "  serial number  \(done.serialNumber)",
        "  key digest     \(done.keyDigest)",
        "next: haechi claim --device \(done.address)",
      ])
  }
}
