import ArgumentParser
import OperatorKit

struct Claim: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Become the owner of a provisioned device.",
    discussion: """
      Checks the device's identity (IDevID) against its maker's CA, makes your owner CA on the first use (as owner new does), \
      signs the device's operational certificate (LDevID, 90 days) and a client certificate for you (role \
      admin, 30 days), and remembers the device. From then on the device answers only members of this owner. \
      The maker's CA is known after maker new or provision on this machine; otherwise name it. \
      The device must be the label's own, and takes the claim only after its button was pressed. The label's \
      code is never sent. A device that has an owner is wiped first, where --wipe says so. \
      With --broker the device is bound to that broker right after, as by cloud bind.
      """)

  @Option(name: [.short, .long], help: ArgumentHelp("The device: HOST:PORT, or the id or alias of a known one.", valueName: "device"))
  var device: String?
  @Option(
    name: .long,
    help: ArgumentHelp("The owner's folder; made on the first use.", discussion: "Default: owner in HAECHI_HOME.", valueName: "dir"))
  var owner: String?
  @Option(name: .long, help: ArgumentHelp("The CA certificate of the device's maker, PEM or DER.", valueName: "file"))
  var makerCa: String?
  @OptionGroup var label: LabelOptions
  @Flag(name: .long, help: "Wipe the device first where it has an owner: everything on it is lost.")
  var wipe = false
  @Option(name: .long, help: ArgumentHelp("Your name in your client certificate.", discussion: "Default: USER.", valueName: "name"))
  var name: String?
  @Option(name: .long, help: ArgumentHelp("A name for the device, to use as --device.", valueName: "alias"))
  var alias: String?
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var broker: NewBrokerOptions
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let home = try common.openHome()
    let label = try label.open()
    // What is wrong with a file or an address must not come out after the device has changed hands.
    let broker = try broker.open()
    let claiming = Claiming(home: home, ownerFolder: owner, makerCAFile: makerCa, passphrases: passphrase.source)
    let done = try await claiming.run(
      device: device, label: label,
      person: name ?? (Environment.all["USER"] ?? Environment.all["LOGNAME"] ?? "operator").lowercased(), alias: alias, wipes: wipe,
      tell: { Terminal.standardError.line(Sheet.claim($0)) })
    var bound: BoundCloud?
    if let broker {
      bound = try await CloudBinding(OwnedDevice(home: home, device: done.deviceId, ownerFolder: owner, person: done.person), broker: broker).run()
    }
    try show(
      ClaimReport(claimed: done, cloud: bound), json: common.json,
      (done.ownerIsNew ? ["made your owner CA in \(done.ownerFolder): your devices obey it; make a backup with haechi owner export FILE"] : []) + [
        "claimed device \(done.deviceId)\(done.serialNumber.map { ", serial number \($0)" } ?? "")",
        "  owner    \(done.ownerId)",
        "  you are  \(done.person), admin",
      ] + (bound.map { ["  broker   \($0.broker)"] } ?? []) + [bound == nil ? "next: haechi status" : "next: haechi cloud watch"])
  }
}

/// The members of the claim, and of the bind under `cloud` where there was one.
private struct ClaimReport: Encodable {
  var claimed: ClaimedDevice
  var cloud: BoundCloud?

  private enum Field: String, CodingKey { case cloud }

  func encode(to encoder: any Encoder) throws {
    try claimed.encode(to: encoder)
    guard let cloud else { return }
    var fields = encoder.container(keyedBy: Field.self)
    try fields.encode(cloud, forKey: .cloud)
  }
}

struct Devices: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The known devices.", subcommands: [DeviceListCommand.self, DeviceRevoke.self], defaultSubcommand: DeviceListCommand.self)
}

struct DeviceListCommand: HaechiCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the known devices, or forget one.")

  @Option(name: .long, help: ArgumentHelp("Forget this device: its id or alias. The device itself is not changed.", valueName: "device"))
  var forget: String?
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let home = try common.openHome()
    if let forget {
      try DeviceBook.update(home) { (book) throws(OperatorError) in
        guard case .known(let device) = try book.choose(forget) else {
          throw OperatorError("unknown-device", "no known device is called '\(forget)'; see: haechi devices")
        }
        _ = book.forget(device.deviceId)
      }
    }
    let devices = try DeviceBook.load(home).devices
    try show(["devices": devices], json: common.json, Sheet.devices(devices))
  }
}
