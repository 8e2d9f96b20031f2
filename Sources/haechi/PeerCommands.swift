import ArgumentParser
import OperatorKit

struct PeerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peer", abstract: "What your devices are to each other.",
    subcommands: [PeerAdd.self, PeerListCommand.self, PeerApprove.self, PeerRemove.self])
}

/// As whom, for commands that name their devices as arguments.
struct PeerOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The owner's folder, where it is not the one that claimed the devices.", valueName: "dir"))
  var owner: String?
  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("Which of the owner's people you are.", discussion: "Default: who claimed the device.", valueName: "name"))
  var person: String?
  @Flag(name: .long, help: "Also sign for places of other peers that a device names and that it was not told from this machine.")
  var acceptPlaces = false
  @OptionGroup var common: CommonOptions

  func peering(_ device: String) throws(OperatorError) -> Peering { try Peering(open(device), acceptsPlaces: acceptPlaces) }

  func open(_ device: String) throws(OperatorError) -> OwnedDevice {
    try OwnedDevice(home: try common.openHome(), device: device, ownerFolder: owner, person: person)
  }
}

struct PeerAdd: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Tell a device of another one, which it then reaches by itself.",
    discussion: """
      Needs the role admin. READER connects to SOURCE and asks for what it may have. With --scope, SOURCE is told at once what that is; \
      without it, SOURCE has an event 'peer' (asking), and READER gets nothing until: haechi peer approve SOURCE READER --scope … \
      The address is where READER reaches SOURCE; by default where this machine does, or where SOURCE announces itself.
      """)
  @Argument(help: "The device that asks: its id or alias.")
  var reader: String
  @Argument(help: "The device that is asked: its id or alias.")
  var source: String
  @Option(name: .long, help: ArgumentHelp("What READER may have of SOURCE, such as readings:temperature; may stand several times.", valueName: "scope"))
  var scope: [String] = []
  @Option(name: .long, help: ArgumentHelp("Where READER reaches SOURCE: a numeric HOST:PORT.", valueName: "address"))
  var address: String?
  @OptionGroup var options: PeerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let home = try options.common.openHome()
    let asking = try options.open(reader)
    let (readerId, sourceId) = (try Peering.identifier(reader, home: home), try Peering.identifier(source, home: home))
    let place = try await place(of: sourceId, home)
    // The source first: the reader's first question is then answered.
    if !scope.isEmpty { _ = try await options.peering(source).put(readerId, address: nil, scope: scope) }
    // What the source may have of the reader stays as it is.
    let known = try await asking.with { (client) throws(OperatorError) in try await client.peers() }
    let done = try await options.peering(reader).put(sourceId, address: place, scope: known.first { $0.deviceId == sourceId }?.scope ?? [])
    try show(
      done, json: wantsJSON,
      [
        "device \(readerId) reaches device \(sourceId) at \(place)",
        scope.isEmpty ? "next: haechi peer approve \(source) \(reader) --scope readings:NAME" : "  and may have \(scope.joined(separator: ", "))",
      ])
  }

  /// Where it was said, is known or announces itself, in this order.
  private func place(of sourceId: String, _ home: OperatorHome) async throws -> Endpoint {
    if let address { return try Endpoint(address) }
    if try DeviceBook.load(home).devices.contains(where: { $0.deviceId == sourceId && $0.address != nil }) { return try options.open(source).endpoint }
    return try await NeighbourSearch(home: home, seconds: Discover.usual_s).place(of: sourceId, name: source)
  }
}

struct PeerListCommand: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show a device's peers: who asks, who is approved, what each may have and gives.",
    discussion: """
      Links: none, it has no address and comes by itself; undeclared, its supervisor was not told of the place (haechi peer add), or it is in quarantine; \
      waiting, connecting, connected as they say; refused, with the reason.
      """)
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let peers = try await options.open().with { (client) throws(OperatorError) in try await client.peers() }
    try show(["peers": peers], json: wantsJSON, Sheet.peers(peers))
  }
}

struct PeerApprove: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "approve", abstract: "Let a peer have something of a device.",
    discussion: "Needs the role admin. What the peer may have is exactly what is named here; without --scope it may have nothing.")
  @Argument(help: "The device that is asked: its id or alias.")
  var device: String
  @Argument(help: "The peer that asks: its id or alias.")
  var peer: String
  @Option(name: .long, help: ArgumentHelp("Such as readings:temperature; may stand several times.", valueName: "scope"))
  var scope: [String] = []
  @OptionGroup var options: PeerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let id = try Peering.identifier(peer, home: try options.common.openHome())
    let done = try await options.peering(device).put(id, address: nil, scope: scope)
    try show(done, json: wantsJSON, ["device \(done.deviceId) lets peer \(id) have \(scope.isEmpty ? "nothing" : scope.joined(separator: ", "))"])
  }
}

struct PeerRemove: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "End what two devices are to each other.",
    discussion: "Needs the role admin. Each device is told; one that does not know the other is passed over. Open connections between them end at once.")
  @Argument(help: "A device: its id or alias.")
  var one: String
  @Argument(help: "The other one.")
  var other: String
  @OptionGroup var options: PeerOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let home = try options.common.openHome()
    let ids = (try Peering.identifier(one, home: home), try Peering.identifier(other, home: home))
    var done: [PeeredDevice] = []
    // The one that gives first: what the other asks for then is refused already.
    for (device, id) in [(other, ids.0), (one, ids.1)] {
      let opened = try options.open(device)
      let knows = try await opened.with { (client) throws(OperatorError) in try await client.peers() }.contains { $0.deviceId == id }
      if knows { done.append(try await options.peering(device).remove(id)) }
    }
    try show(
      ["removed": done], json: wantsJSON,
      done.isEmpty ? ["neither device knows the other"] : done.map { "device \($0.deviceId) has nothing to do with \($0.peer) any more" })
  }
}
