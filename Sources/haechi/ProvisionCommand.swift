import ArgumentParser
import OperatorKit

struct Provision: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give blank devices their identity (IDevID) and label, as the maker's station.",
    discussion: """
      Connects with the station's certificate, which the device checks against the maker's CA pinned in its \
      firmware; reads the device's certificate request, checks that it is signed by the key that the device \
      proved in the handshake, signs its IDevID certificate (IEEE 802.1AR) and installs it. \
      A blank device cannot prove yet who it is: do this where you know what is at the other end of the wire.

      The station makes the device's label: serial number, key hash, and a code of 128 random bits that claims it. It is written to \
      SERIAL.txt and SERIAL.png (a QR code), mode 0600; the device gets a salted, slow hash of the code, and the code is kept nowhere else.

      A line: with --ledger, many devices are provisioned in one run. --device may be repeated, --devices names a file of addresses, \
      and --count N takes N devices one after the other at one address. The ledger is only added to; a run that was cut off is simply \
      started again. The ledger holds no code.

      A damaged device whose storage is damaged or locked can keep no identity. With --remake its storage is made anew first: somebody presses the button at \
      the device, everything that lay there is gone, it restarts blank, and is provisioned as a new device, with a label of its own.
      """)

  @Option(
    name: .long,
    help: ArgumentHelp(
      "The folder with maker-ca.pem, maker-ca.key, station.pem, station.key.", discussion: "Default: maker in HAECHI_HOME.",
      valueName: "dir"))
  var station: String?
  @Option(
    name: [.short, .long],
    help: ArgumentHelp("Where a device listens; may be repeated with --ledger.", discussion: "Default: 127.0.0.1:8443.", valueName: "host:port"))
  var device: [String] = []
  @Option(
    name: .long,
    help: ArgumentHelp(
      "The serial number that the label will show: A-Z, 0-9, '-', '.'.", discussion: "Default: the device id in capital letters.", valueName: "text"))
  var serialNumber: String?
  @Option(name: .long, help: ArgumentHelp("Where labels are written.", discussion: "Default: labels in HAECHI_HOME.", valueName: "dir"))
  var labels: String?
  @Option(
    name: .long,
    help: ArgumentHelp("The maker's object identifier for the model of the hardware (hwType).", discussion: "Default: Haechi's own.", valueName: "oid"))
  var hardwareType: String?
  @Flag(name: .long, help: "Make the storage of a damaged device anew first; everything on it is gone.")
  var remake = false
  @Option(name: .long, help: ArgumentHelp("A line: the ledger, .csv or .json (an object a line).", valueName: "file"))
  var ledger: String?
  @Option(name: .long, help: ArgumentHelp("A line: how devices are numbered.", valueName: "text"))
  var serialPattern = "HAECHI-{n:06}"
  @Option(name: .long, help: ArgumentHelp("A line: the number that a new ledger begins with.", valueName: "n"))
  var first = 1
  @Option(name: .long, help: ArgumentHelp("A line: a file of addresses, one HOST:PORT a line.", valueName: "file"))
  var devices: String?
  @Option(name: .long, help: ArgumentHelp("A line: devices one after the other at one address, until the ledger has n.", valueName: "n"))
  var count: Int?
  @Option(name: .long, help: ArgumentHelp("A line: how many devices at once, 1 to 64.", valueName: "n"))
  var atOnce = 16
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func validate() throws {
    if ledger == nil {
      guard device.count <= 1, devices == nil, count == nil else { throw ValidationError("Several devices make a line, and a line needs --ledger FILE.") }
    } else {
      guard !remake else { throw ValidationError("A line takes blank devices; --remake is for one device, with somebody at its button.") }
      guard serialNumber == nil else { throw ValidationError("A line numbers its devices by --serial-pattern; --serial-number is for one device.") }
      guard device.isEmpty || devices == nil else { throw ValidationError("Name the devices by --device or by --devices, not by both.") }
      if let count {
        guard count > 0 else { throw ValidationError("--count needs a number of at least 1.") }
        guard device.count <= 1, devices == nil else { throw ValidationError("--count is for devices at one address; a list of addresses has its own number.") }
      }
    }
  }

  func execute() async throws {
    let home = try common.openHome()
    if let ledger { return try await line(ledger, home) }
    let provisioning = try Provisioning(
      home: home, stationFolder: station ?? home.makerFolder, labelsFolder: labels, hardwareType: hardwareType)
    let done = try await provisioning.run(
      endpoint: try Endpoint(device.first ?? "127.0.0.1:8443"), serialNumber: serialNumber, remakes: remake,
      tell: { Terminal.standardError.line(Sheet.remake($0)) })
    try show(
      done, json: common.json,
      [
        "provisioned device \(done.deviceId)",
        "  serial number  \(done.serialNumber)",
        "  key digest     \(done.keyDigest)",
        "  label          \(done.labelFile), and its QR code beside it",
      ])
    if !common.json, Terminal.standardOutput.isInteractive {
      // Only where a person looks on: a code in a build's log would be everybody's.
      for line in try Provisioning.label(of: done, coloured: true) { Terminal.standardOutput.line(line) }
    }
    if !common.json {
      Terminal.standardOutput.line("next: haechi claim --device \(done.address) --label-file \(done.labelFile), and press the device's button")
    }
  }

  private func line(_ ledger: String, _ home: OperatorHome) async throws {
    let line = try ProvisioningLine(
      stationFolder: station ?? home.makerFolder, ledger: ledger, labelsFolder: labels ?? home.labelsFolder, pattern: try SerialPattern(serialPattern),
      first: first, hardwareType: hardwareType, atOnce: atOnce)
    let json = common.json
    func tell(_ update: LineUpdate) {
      if json {
        // An update is plain words and numbers, which always have a JSON form.
        if let text = try? jsonLine(update) { Terminal.standardOutput.line(text) }
      } else {
        Terminal.standardOutput.line(Sheet.line(update))
      }
    }
    let report: LineReport
    if let count {
      report = try await line.run(at: try Endpoint(device.first ?? "127.0.0.1:8443"), count: count, tell)
    } else {
      let endpoints = if let devices { try AddressList.read(devices) } else { try AddressList.check(try device.map { try Endpoint($0) }) }
      report = try await line.run(endpoints, tell)
    }
    try show(report, json: json, [Sheet.line(report, ledger: ledger)])
    guard report.refused == 0 || count != nil else {
      throw OperatorError("line-incomplete", "\(Sheet.count(report.refused, "device was", "devices were")) not provisioned; see above, and run the same again")
    }
  }
}
