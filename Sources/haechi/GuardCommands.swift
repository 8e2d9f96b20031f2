import ArgumentParser
import OperatorKit

struct GuardCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "guard", abstract: "How much of the network a device takes part in, and how to release it.",
    subcommands: [GuardStatus.self, GuardReleaseCommand.self])
}

struct GuardStatus: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show a device's grade: why it has it, since when, and how it ends.",
    discussion: """
      normal: everything that is declared. restricted: under load from outside, ends by itself. quarantined: something inside is not to \
      be trusted; outputs are safe, only an admin gets in, and only an admin ends it. locked: nothing is sent and nothing is taken.
      """)
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let state = try await options.open().guardState()
    try show(state, json: wantsJSON, Sheet.guardState(state))
  }
}

struct GuardReleaseCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "release", abstract: "Bring a device back to normal.",
    discussion: """
      Needs the role admin. What brings it back is a statement about this one event, signed with your own key and checked by the \
      device's supervisor; nothing inside the device can make it. What was wrong is not repaired by it: see haechi logs.
      """)
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await GuardRelease(options.open()).run()
    try show(
      done, json: wantsJSON,
      [
        done.released
          ? "released device \(done.deviceId) from: \(Sheet.grade(done.before))" : "device \(done.deviceId) is normal; there is nothing to release it from"
      ])
  }
}
