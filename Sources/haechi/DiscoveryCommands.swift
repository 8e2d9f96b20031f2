import ArgumentParser
import OperatorKit

struct DiscoveryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discovery", abstract: "Whether a device announces itself to its neighbours.",
    discussion: """
      Off unless an admin switches it on. Then the device says its id, its address and its port to whoever is on the same network, by multicast DNS (DNS-SD, \
      _haechi._tcp.local), and looks there for peers that have moved. 'haechi status' tells how it is.
      """,
    subcommands: [DiscoveryOn.self, DiscoveryOff.self])
}

struct DiscoveryOn: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "on", abstract: "Let a device announce itself.",
    discussion: "Needs the role admin. The device's supervisor opens its network for multicast DNS because you sign for it.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await DiscoverySwitching(options.open()).run(on: true)
    try show(done, json: wantsJSON, ["device \(done.deviceId) announces itself from now on", "next: haechi discover"])
  }
}

struct DiscoveryOff: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "off", abstract: "End a device's announcing.",
    discussion: "Needs the role admin. The device says good-bye to its neighbours, and its network is closed for multicast DNS.")
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await DiscoverySwitching(options.open()).run(on: false)
    try show(done, json: wantsJSON, ["device \(done.deviceId) does not announce itself any more"])
  }
}

struct Discover: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "List devices that announce themselves on this machine's networks.",
    discussion: """
      Only devices whose owner switched that on (haechi discovery on), whoever owns them. What is listed is what somebody says: who is there, the connection \
      tells, which every other command makes.
      """)
  /// Who was just asked has answered by then, even where a packet was lost.
  static let usual_s = 5
  @Option(name: .long, help: ArgumentHelp("How long to listen.", valueName: "seconds"))
  var seconds = Discover.usual_s
  @OptionGroup var common: CommonOptions
  var wantsJSON: Bool { common.json }

  func execute() async throws {
    let found = try await NeighbourSearch(home: try common.openHome(), seconds: seconds).run()
    try show(["devices": found], json: wantsJSON, Sheet.found(found))
  }
}
