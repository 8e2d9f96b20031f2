import ArgumentParser
import OperatorKit

struct Info: HaechiCommand {
  static let configuration = CommandConfiguration(abstract: "Show who a device is: model, firmware, life-cycle state, owner.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let info = try await options.open().with { (client) throws(OperatorError) in try await client.info() }
    try show(info, json: wantsJSON, Sheet.info(info))
  }
}

struct Status: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show how a device is: state, uptime, network, memory, clock, boot phases.",
    discussion: "A clock that differs from this machine's is told: certificates are judged by it.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let (status, credential) = try await options.open().with { (client) throws(OperatorError) in
      // An older device has no such document, and then there is nothing to warn of.
      (try await client.status(), try? await client.credential())
    }
    let now_s = secondsNow()
    try show(status, json: wantsJSON, Sheet.status(status, now_s: now_s) + (credential.map { Sheet.credentialWarning($0, now_s: now_s) } ?? []))
  }
}

struct Readings: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the latest readings, or follow each new one.",
    discussion: "Values marked (simulated) have no physical sensor behind them. Times are UTC, by the device's clock.")
  @Flag(name: [.short, .long], help: "Go on with each new reading until Ctrl-C.")
  var follow = false
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let device = try options.open()
    guard follow else {
      let readings = try await device.with { (client) throws(OperatorError) in try await client.readings() }
      return try show(["readings": readings], json: wantsJSON, Sheet.readings(readings))
    }
    for try await reading in device.follow(.readings, as: Reading.self) { try show(reading, json: wantsJSON, [Sheet.reading(reading)]) }
  }
}

struct SetActuator: HaechiCommand {
  /// What an output can be.
  enum State: String, ExpressibleByArgument, CaseIterable { case on, off }

  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Switch an output on or off.",
    discussion: """
      Needs the role operator or admin. What the device prints is the state that it has really driven. \
      Without arguments it lists the outputs and their safe values, which they take whenever the device cannot be trusted.
      """)
  @Argument(help: "The output's name, such as relay.")
  var name: String?
  @Argument(help: "on or off.")
  var state: State?
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func validate() throws {
    if name != nil, state == nil { throw ValidationError("Say whether the output shall be on or off: haechi set NAME on|off") }
  }

  func execute() async throws {
    let device = try options.open()
    guard let name, let state else {
      let actuators = try await device.with { (client) throws(OperatorError) in try await client.actuators() }
      return try show(["actuators": actuators], json: wantsJSON, actuators.map(Sheet.actuator))
    }
    let actuator = try await device.with { (client) throws(OperatorError) in try await client.set(name, on: state == .on) }
    try show(actuator, json: wantsJSON, [Sheet.actuator(actuator)])
    if actuator.on != (state == .on) {
      throw OperatorError(
        "refused-by-device", "the device answered, and \(actuator.name) is still \(actuator.on ? "on" : "off"); see: haechi logs")
    }
  }
}

struct Inputs: HaechiCommand {
  static let configuration = CommandConfiguration(abstract: "Show the input lines, such as the button.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let inputs = try await options.open().with { (client) throws(OperatorError) in try await client.inputs() }
    try show(["inputs": inputs], json: wantsJSON, inputs.map(Sheet.input))
  }
}

struct Events: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what happened at the device, or follow it: inputs, its grade, its cloud link.",
    discussion: """
      The first column of the list is seconds since the device's kernel started. Following shows what happens from now on; \
      what happens while the connection is broken is missed, and the list has it.
      """)
  @Flag(name: [.short, .long], help: "Go on with each new event until Ctrl-C.")
  var follow = false
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let device = try options.open()
    guard follow else {
      let page = try await device.events()
      return try show(page, json: wantsJSON, Sheet.events(page))
    }
    for try await event in device.follow(.events, as: DeviceEvent.self) {
      try show(event, json: wantsJSON, [timeOfDayNow() + "  " + Sheet.event(event)])
    }
  }
}

struct Logs: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the device's log, or follow it.",
    discussion:
      "Needs the role admin. The first column is seconds since the device's kernel started. Following resumes where it was when the connection breaks."
  )
  @Flag(name: [.short, .long], help: "Go on with each new record until Ctrl-C.")
  var follow = false
  @Option(name: .long, help: ArgumentHelp("Only records after this sequence number.", valueName: "n"))
  var after: UInt64 = 0
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let device = try options.open()
    guard follow else {
      let page = try await device.with { (client) throws(OperatorError) in try await client.logs(after: after) }
      return try show(
        page, json: wantsJSON,
        (page.forgotten > 0 ? ["(\(page.forgotten) older records are no longer on the device)"] : []) + page.records.map(Sheet.log))
    }
    for try await entry in device.follow(.logs(after: after), as: LogEntry.self) { try show(entry, json: wantsJSON, [Sheet.log(entry)]) }
  }
}
