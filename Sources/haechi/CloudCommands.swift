import ArgumentParser
import OperatorKit

struct CloudCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cloud", abstract: "The one broker that a device speaks to, and what arrives there.",
    subcommands: [CloudBind.self, CloudStatus.self, CloudWatchCommand.self, CloudSend.self, CloudErase.self])
}

/// Which broker a device shall be bound to, where that may be left out.
struct NewBrokerOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The MQTT broker that the device is bound to: HOST:PORT.", valueName: "address"))
  var broker: String?
  @Option(name: .long, help: ArgumentHelp("The CA certificate of that broker, PEM or DER.", valueName: "file"))
  var brokerAuthority: String?

  func validate() throws {
    if (broker == nil) != (brokerAuthority == nil) { throw ValidationError("--broker and --broker-authority belong together: give both or none.") }
  }

  func open() throws(OperatorError) -> KnownBroker? {
    guard let broker, let brokerAuthority else { return nil }
    return try KnownBroker(address: broker, authorityFile: brokerAuthority)
  }
}

struct CloudBind: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "bind", abstract: "Tell a device which broker is its cloud.",
    discussion: """
      Needs the role admin. The host must be what the broker's certificate is for, as the device is to reach it. The device's supervisor \
      opens its network for this one destination because you sign for it; whatever was bound before is closed. From then on the device \
      connects by itself, with MQTT 5 over TLS 1.3 and its operational certificate.
      """)
  @Option(name: .long, help: ArgumentHelp("The broker: HOST:PORT; the port is 8883 where there is none.", valueName: "address"))
  var broker: String
  @Option(name: .long, help: ArgumentHelp("The CA certificate of the broker, PEM or DER.", valueName: "file"))
  var authority: String
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let broker = try KnownBroker(address: broker, authorityFile: authority)
    let done = try await CloudBinding(options.open(), broker: broker).run()
    try show(
      done, json: wantsJSON,
      ["bound device \(done.deviceId) to \(done.broker), whose CA is \(printable(done.authority))", "next: haechi cloud status, haechi cloud watch"])
  }
}

struct CloudStatus: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show how a device's connection to its broker is.",
    discussion: """
      unbound: no broker was named. waiting: the next try is due after a pause. connecting, connected: as they say. suspended: the device \
      is locked and connects to nobody; a quarantined one stays connected and sends alerts only. An error is that of the last try, or what the \
      broker refuses while connected.
      """)
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let cloud = try await options.open().cloudState()
    try show(cloud, json: wantsJSON, Sheet.cloud(cloud))
  }
}
