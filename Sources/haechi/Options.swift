import ArgumentParser
import Foundations
import Identity
import OperatorKit

/// What every command takes.
struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Print JSON for programs.")
  var json = false

  @Option(
    name: .long,
    help: ArgumentHelp(
      "The folder of keys and known devices.", discussion: "Default: HAECHI_HOME, else ~/.config/haechi.", valueName: "dir"))
  var home: String?

  func openHome() throws(OperatorError) -> OperatorHome {
    if let home { return OperatorHome(path: home) }
    return try OperatorHome(environment: Environment.all)
  }
}

/// Which device, and as whom, for commands that use an owned one.
struct DeviceOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "Which device: its id, its alias or HOST:PORT.", discussion: "With one known device it may be left out.", valueName: "device"))
  var device: String?

  @Option(name: .long, help: ArgumentHelp("The owner's folder, where it is not the one that claimed the device.", valueName: "dir"))
  var owner: String?

  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("Which of the owner's members you are.", discussion: "Default: who claimed the device.", valueName: "name"))
  var person: String?

  @OptionGroup var common: CommonOptions

  func open() throws(OperatorError) -> OwnedDevice {
    try OwnedDevice(home: try common.openHome(), device: device, ownerFolder: owner, person: person)
  }
}

/// The label of the device that is meant.
struct LabelOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The text of the label's QR code, HAECHI:1:…", valueName: "text"))
  var label: String?
  @Option(name: .long, help: ArgumentHelp("A file with that text, which does not show in the list of processes.", valueName: "file"))
  var labelFile: String?

  func validate() throws {
    guard (label == nil) != (labelFile == nil) else { throw ValidationError("Give the device's label with --label-file FILE or --label TEXT.") }
  }

  func open() throws(OperatorError) -> DeviceLabel {
    if let labelFile { return try LabelSource.read(labelFile) }
    return try LabelSource.parse(label ?? "")
  }
}

/// A command whose errors are told the one way: a sentence for people, or JSON for programs.
protocol HaechiCommand: AsyncParsableCommand {
  var wantsJSON: Bool { get }
  func execute() async throws
}

extension HaechiCommand {
  func run() async throws {
    do {
      try await execute()
    } catch let error as OperatorError {
      if wantsJSON {
        Terminal.standardError.line(try jsonLine(ErrorReport(error)))
      } else {
        Terminal.standardError.line("haechi: \(printable(error.reason))")
        if let cause = error.cause { Terminal.standardError.line("  because: \(printable("\(cause)"))") }
      }
      throw ExitCode(error.exitCode)
    }
  }
}

/// An error as programs read it.
struct ErrorReport: Encodable {
  struct Body: Encodable {
    var code: String
    var reason: String
    var cause: String?
  }
  var error: Body

  init(_ error: OperatorError) {
    self.error = Body(code: error.code, reason: error.reason, cause: error.cause.map { "\($0)" })
  }
}
