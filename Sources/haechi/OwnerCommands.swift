import ArgumentParser
import OperatorKit

struct Claim: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Become the owner of a provisioned device.",
    discussion: """
      Checks the device's identity (IDevID) against its maker's CA, makes your owner CA on the first use, \
      signs the device's operational certificate (LDevID, 90 days) and a client certificate for you (role \
      admin, 90 days), and remembers the device. From then on the device answers only people of this owner. \
      The maker's CA is known after maker new or provision on this machine; otherwise name it. \
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
  @Option(
    name: .long,
    help: ArgumentHelp(
      "The device id on the label: only this very device is claimed.",
      discussion: "Tells the right device from a false one also where its maker is not known.", valueName: "id"))
  var deviceId: String?
  @Option(name: .long, help: ArgumentHelp("Your name in your client certificate.", discussion: "Default: USER.", valueName: "name"))
  var name: String?
  @Option(name: .long, help: ArgumentHelp("A name for the device, to use as --device.", valueName: "alias"))
  var alias: String?
  @OptionGroup var broker: NewBrokerOptions
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let home = try common.openHome()
    // What is wrong with a file or an address must not come out after the device has changed hands.
    let broker = try broker.open()
    let claiming = Claiming(home: home, ownerFolder: owner, makerCAFile: makerCa)
    let done = try await claiming.run(
      device: device, deviceId: deviceId,
      person: name ?? (Environment.all["USER"] ?? Environment.all["LOGNAME"] ?? "operator").lowercased(), alias: alias)
    var bound: BoundCloud?
    if let broker {
      bound = try await CloudBinding(OwnedDevice(home: home, device: done.deviceId, ownerFolder: owner, person: done.person), broker: broker).run()
    }
    try show(
      ClaimReport(claimed: done, cloud: bound), json: common.json,
      (done.ownerIsNew ? ["made your owner CA in \(done.ownerFolder): keep its key safe, it is what your devices obey"] : []) + [
        "claimed device \(done.deviceId)\(done.serialNumber.map { ", serial number \($0)" } ?? "")",
        "  owner    \(done.ownerId)",
        "  maker    \(done.makerChecked ? "its identity is signed by a maker that you trust" : "not known here; its key is the one that its device id names")",
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

struct Devices: HaechiCommand {
  static let configuration = CommandConfiguration(abstract: "List the known devices, or forget one.")

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

struct PersonCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "person", abstract: "The owner's people and their client certificates.", subcommands: [PersonAdd.self, PersonList.self])
}

struct PersonAdd: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Issue a client certificate for a person, or renew it.",
    discussion: """
      viewer reads state, readings and inputs; operator also drives outputs; admin also reads the log. \
      Writes people/NAME.pem and people/NAME.key in the owner's folder; use them with --as NAME, or with \
      curl --cert and --key. With --renew a new key and certificate replace the old ones.
      """)

  @Argument(help: "The person's name: 1 to 32 of a-z, 0-9, '.', '-' or '_'.")
  var name: String
  @Option(name: .long, help: "viewer, operator or admin.")
  var role = "viewer"
  @Flag(name: .long, help: "Replace a certificate that is there.")
  var renew = false
  @Option(name: .long, help: ArgumentHelp("The owner's folder.", discussion: "Default: owner in HAECHI_HOME.", valueName: "dir"))
  var owner: String?
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let folder = if let owner { owner } else { try common.openHome().ownerFolder }
    let person = try OwnerFolder.open(folder).addPerson(name, role: role, renew: renew)
    try show(
      person, json: common.json,
      [
        "\(person.name) is now \(person.role) of owner \(person.ownerId), until \(person.validUntil)",
        "  certificate  \(person.certificateFile)",
        "  key          \(person.keyFile)",
      ])
  }
}

struct PersonList: HaechiCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the people who have certificates of this owner.")

  @Option(name: .long, help: ArgumentHelp("The owner's folder.", discussion: "Default: owner in HAECHI_HOME.", valueName: "dir"))
  var owner: String?
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let folder = if let owner { owner } else { try common.openHome().ownerFolder }
    let people = try OwnerFolder.open(folder).people()
    try show(["people": people], json: common.json, Sheet.people(people))
  }
}
