import ArgumentParser
import Dispatch
import OperatorKit

struct AttackCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "attack", abstract: "Connect to your own device with bad certificates, and watch its guard.",
    discussion: """
      Makes connections with a self-signed certificate, with one of another owner, and with none, in turn and at most 16 at a time, and \
      follows the device's grade by your own connection until it is normal again. Only a device that you have claimed is attacked, and \
      only while it proves to be that device.
      """)
  @Option(name: .long, help: ArgumentHelp("How many connections, at most 2000.", valueName: "n"))
  var count = 200
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let device = try options.open()
    let attack = try Attack(device, count: count)
    let ending = leavingOnInterrupt()
    defer { ending.cancel() }
    let json = wantsJSON
    try await attack.run { update in
      if json {
        // An update is plain numbers and words, which always have a JSON form.
        if let line = try? jsonLine(AttackRecord(update)) { Terminal.standardOutput.line(line) }
      } else {
        Terminal.standardOutput.line("\(timeOfDayNow())  \(Self.text(update, device: device.name, count: count))")
      }
    }
  }

  private static func text(_ update: AttackUpdate, device: String, count: Int) -> String {
    switch update {
    case .begins(let state): "\(device) is at \(Sheet.grade(state)); now \(count) connections with bad certificates"
    case .grade(let state): Sheet.grade(state)
    case .sent(let tally):
      "\(tally.count) connections made: \(tally.refused) refused by an alert, \(tally.dropped) dropped, \(tally.unanswered) not taken in, \(tally.letIn) let in"
    }
  }
}

/// An update of an attack as programs read it: `{"grade":{…}}`.
private struct AttackRecord: Encodable {
  var begins: GuardState?
  var grade: GuardState?
  var sent: AttackTally?

  init(_ update: AttackUpdate) {
    switch update {
    case .begins(let state): begins = state
    case .grade(let state): grade = state
    case .sent(let tally): sent = tally
    }
  }
}
