import ArgumentParser
import Dispatch
import OperatorKit

/// Which broker, and as whom.
struct BrokerOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("The broker as this machine reaches it: HOST:PORT.", discussion: "Default: that of the last cloud bind.", valueName: "address"))
  var broker: String?
  @Option(
    name: .long, help: ArgumentHelp("The CA certificate of that broker, PEM or DER.", discussion: "Default: that of the last cloud bind.", valueName: "file"))
  var authority: String?
  @Option(name: .long, help: ArgumentHelp("The owner's folder.", discussion: "Default: that of the last cloud bind.", valueName: "dir"))
  var owner: String?
  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("Which of the owner's members you are.", discussion: "Default: who bound last.", valueName: "name"))
  var person: String?
  @OptionGroup var common: CommonOptions

  func open() throws(OperatorError) -> BrokerAccess {
    try BrokerAccess(home: try common.openHome(), address: broker, authorityFile: authority, ownerFolder: owner, person: person)
  }
}

/// How long something at the broker is followed.
struct FollowingOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("End after this many, for scripts.", discussion: "Default: until Ctrl-C.", valueName: "n"))
  var count: Int?

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count needs a number of at least 1.") }
  }

  /// Shows each that comes, until there were enough or Ctrl-C.
  func each<Element: Sendable>(of all: AsyncThrowingStream<Element, any Error>, _ show: (Element) throws -> Void) async throws {
    let ending = leavingOnInterrupt()
    defer { ending.cancel() }
    var left = count
    for try await one in all {
      try show(one)
      if let number = left {
        left = number - 1
        if number == 1 { return }
      }
    }
  }

  @Sendable static func tell(_ trouble: OperatorError) {
    Terminal.standardError.line("haechi: \(printable(trouble.reason)); trying again")
  }
}

struct CloudWatchCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Show what arrives at the broker, until Ctrl-C.",
    discussion: """
      Connects with your own certificate and shows the readings, events and states of all devices that the broker lets you see. When the \
      connection breaks it says so, and comes back by itself.
      """)
  @OptionGroup var following: FollowingOptions
  @OptionGroup var options: BrokerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let access = try options.open()
    let names = try access.deviceNames()
    try await following.each(of: access.watch(troubled: FollowingOptions.tell)) { arrival in
      try show(arrival, json: wantsJSON, [Sheet.arrival(arrival, name: arrival.deviceId.flatMap { names[$0] })])
    }
  }
}

struct CloudErase: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "erase", abstract: "Be the cloud that forgets devices that are wiped, until Ctrl-C.",
    discussion: """
      A device that is about to be wiped asks its cloud to erase what it holds, and its receipt says whether that was confirmed. This \
      command takes away what the broker retains of the device and confirms it; a cloud that stores more does the same in a service of its own.
      """)
  @OptionGroup var following: FollowingOptions
  @OptionGroup var options: BrokerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let access = try options.open()
    let names = try access.deviceNames()
    try await following.each(of: access.eraseOnRequest(troubled: FollowingOptions.tell)) { device in
      try show(device, json: wantsJSON, ["forgot \(names[device.deviceId] ?? device.deviceId), and told it so"])
    }
  }
}

struct CloudSend: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "send", abstract: "Switch an output on or off by a command over the broker.",
    discussion: """
      Sends the command with a response topic, and prints what the device answers: the state that it has really driven. Whether you may is \
      for the broker's access list to say.
      """)
  @Argument(help: "The output's name, such as relay.")
  var name: String
  @Argument(help: "on or off.")
  var state: SetActuator.State
  @Option(
    name: [.short, .long],
    help: ArgumentHelp("Which device: its id or its alias.", discussion: "With one known device it may be left out.", valueName: "device"))
  var device: String?
  @OptionGroup var options: BrokerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let actuator = try await options.open().send(name, on: state == .on, to: device)
    try show(actuator, json: wantsJSON, [Sheet.actuator(actuator)])
    if actuator.on != (state == .on) {
      throw OperatorError(
        "refused-by-device", "the device answered, and \(actuator.name) is still \(actuator.on ? "on" : "off"); see: haechi logs")
    }
  }
}
