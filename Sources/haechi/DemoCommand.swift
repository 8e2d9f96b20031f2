import ArgumentParser
import Dispatch
import OperatorKit

/// Ends the process as one that did what it was asked when Ctrl-C comes; until it is cancelled.
func leavingOnInterrupt() -> any DispatchSourceSignal {
  let ending = DispatchSource.makeSignalSource(signal: 2, queue: .global())
  ignoreInterrupt()
  ending.setEventHandler {
    Terminal.standardOutput.line(""); leave()
  }
  ending.resume()
  return ending
}

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "See a device live, and under attack.", subcommands: [Living.self, AttackCommand.self])
}

struct Living: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "living", abstract: "Show a device's state, grade, cloud, readings and events live, until Ctrl-C.",
    discussion: """
      On a terminal one picture is kept up to date in place; into a pipe or a file each change is a line. \
      When the connection breaks it says so, and comes back by itself.
      """)
  @Option(name: .long, help: ArgumentHelp("End after this many readings, for scripts.", valueName: "n"))
  var count: Int?
  @Flag(name: .long, help: "Print lines, also on a terminal.")
  var lines = false
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count needs a number of at least 1.") }
  }

  func execute() async throws {
    let device = try options.open()
    // Ctrl-C is the way out and no failure: the picture stays, the prompt comes below it.
    let ending = leavingOnInterrupt()
    defer { ending.cancel() }

    let output = Terminal.standardOutput
    let inPlace = output.isInteractive && !lines && !wantsJSON
    var view = LiveView(name: device.name)
    var screen = Screen()
    var left = count
    for try await update in device.live() {
      let news = view.take(update, time: timeOfDayNow())
      if inPlace {
        output.write(screen.redraw(view.picture(width: output.width), height: output.height))
      } else if wantsJSON {
        output.line(try jsonLine(LiveRecord(update)))
      } else {
        for line in news { output.line(line) }
      }
      if case .reading = update, let number = left {
        left = number - 1
        if number == 1 { return }
      }
    }
  }
}

/// A live update as programs read it: `{"reading":{…}}`.
struct LiveRecord: Encodable {
  var info: DeviceInfo?
  var status: DeviceStatus?
  var reading: Reading?
  var actuators: [Actuator]?
  var inputs: [Input]?
  var guardState: GuardState?
  var cloud: CloudState?
  var event: DeviceEvent?
  /// Why the connection is gone; empty once it is back.
  var trouble: String?

  private enum CodingKeys: String, CodingKey {
    case info, status, reading, actuators, inputs, cloud, event, trouble
    case guardState = "guard"
  }

  init(_ update: LiveUpdate) {
    switch update {
    case .info(let info): self.info = info
    case .status(let status): self.status = status
    case .reading(let reading): self.reading = reading
    case .actuators(let actuators): self.actuators = actuators
    case .inputs(let inputs): self.inputs = inputs
    case .guardState(let state): guardState = state
    case .cloud(let cloud): self.cloud = cloud
    case .event(let event): self.event = event
    case .trouble(let sentence): trouble = sentence ?? ""
    }
  }
}
