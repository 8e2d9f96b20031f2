import ArgumentParser
import Identity
import OperatorKit

struct RecoveryKeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recovery-key", abstract: "The key that opens a device's disk on a PC, which you keep and the device does not.",
    subcommands: [RecoveryKeyNew.self, RecoveryKeyStatus.self, RecoveryKeyRemove.self, RecoveryKeyCheck.self])
}

struct RecoveryKeyNew: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Give a device's disk a recovery key, in place of the one that it may have.",
    discussion: """
      Needs the role admin. The key is made here and shown once, or written to a file; the device restarts to make a key slot of it, and \
      forgets it. With it, stock cryptsetup opens the disk: cryptsetup open --type luks2 --readonly PARTITION NAME, and the key as passphrase, or \
      --key-file FILE. Whoever has the key and the disk, or a copy of it, reads what the device keeps: put it where your valuables are.
      """)
  @Option(name: [.short, .long], help: ArgumentHelp("Write the key to this new file, mode 0600, and do not show it.", valueName: "file"))
  var output: String?
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let made = try await RecoveryKeys(options.open()).make(file: output) { step in
      guard !wantsJSON, case .ordered(let key) = step else { return }
      if let key { for line in ["the recovery key, shown once; write it down:", "", "  \(key)", ""] { Terminal.standardOutput.line(line) } }
      Terminal.standardOutput.line("the device took it and restarts …")
    }
    try show(
      made, json: wantsJSON,
      ["the recovery key \(made.fingerprint) opens the disk of device \(made.deviceId)\(made.file.map { "; it is in \($0)" } ?? ""); no older one does"])
  }
}

struct RecoveryKeyStatus: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show whether a device's disk has a recovery key, since when, and its fingerprint.", discussion: "Needs the role admin.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let state = try await RecoveryKeys.state(options.open())
    try show(state, json: wantsJSON, Sheet.recoveryKey(state))
  }
}

struct RecoveryKeyRemove: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Take the recovery key away from a device's disk.",
    discussion: "Needs the role admin. The device restarts for it. A copy of the disk from before opens with the key as it did.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await RecoveryKeys(options.open()).remove { _ in
      if !wantsJSON { Terminal.standardOutput.line("the device took the order and restarts …") }
    }
    try show(
      done, json: wantsJSON,
      [
        done.fingerprint.map { "the recovery key \($0) does not open the disk of device \(done.deviceId) any more" }
          ?? "device \(done.deviceId) has no recovery key"
      ]
    )
  }
}

struct RecoveryKeyCheck: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check a recovery key that was written down, without its device.",
    discussion: "Says which key it is by its fingerprint, which haechi recovery-key status shows too. The file is private: mode 0600.")
  @Argument(help: ArgumentHelp("The key, typed or as it was written.", valueName: "file"))
  var file: String
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let key = try RecoveryKeys.read(file)
    try show(["fingerprint": key.fingerprint], json: wantsJSON, ["\(file) holds the recovery key \(key.fingerprint), whole"])
  }
}
