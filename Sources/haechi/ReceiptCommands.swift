import ArgumentParser
import Identity
import OperatorKit

struct ReceiptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "receipt",
    abstract: "What a device signed after it was wiped: show it to whom you give the device.",
    subcommands: [Get.self, Verify.self])

  struct Get: HaechiCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetch the receipt of a device's last wipe, verify it and write it to a file.",
      discussion: "A device without an owner gives it to anyone, one that has an owner to its members.")
    @Option(name: [.short, .long], help: ArgumentHelp("Which device: its id, its alias or HOST:PORT.", valueName: "device"))
    var device: String?
    @Option(name: [.short, .long], help: ArgumentHelp("The file to write.", valueName: "file"))
    var output: String
    @OptionGroup var maker: MakerOptions
    @OptionGroup var common: CommonOptions
    var wantsJSON: Bool { common.json }

    func execute() async throws {
      let found = try await Receipts(home: try common.openHome(), makerCAFile: maker.makerCa).fetch(device: device, to: output)
      try show(found, json: wantsJSON, Sheet.receipt(found) + ["written to \(output)"])
    }
  }

  struct Verify: HaechiCommand {
    static let configuration = CommandConfiguration(
      abstract: "Verify a receipt without its device.",
      discussion: "Checks that a device of a maker that you trust signed it, and prints what it says. Compare the serial number with the label.")
    @Argument(help: ArgumentHelp("The receipt.", valueName: "file"))
    var file: String
    @OptionGroup var maker: MakerOptions
    @OptionGroup var common: CommonOptions
    var wantsJSON: Bool { common.json }

    func execute() async throws {
      let found = try Receipts(home: try common.openHome(), makerCAFile: maker.makerCa).verify(file: file)
      try show(found, json: wantsJSON, Sheet.receipt(found))
    }
  }
}

/// Whose devices are believed.
struct MakerOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("The CA certificate of the device's maker, PEM or DER.", discussion: "Default: those that are known here.", valueName: "file"))
  var makerCa: String?
}
