import Foundations
import Testing

@testable import OperatorKit

/// Three real devices on this host: two of one owner, one of another.
@Suite(.serialized) struct PeerProcessTests {
  private func claim(_ device: HaechidProcess, _ home: OperatorHome, maker: OperatorHome, _ alias: String) async throws -> OwnedDevice {
    try await device.waitUntilServing()
    let made = try await Provisioning(home: maker, stationFolder: maker.makerFolder).run(endpoint: device.endpoint, serialNumber: nil)
    let claiming = Claiming(home: home, ownerFolder: nil, makerCAFile: maker.makerFolder + "/maker-ca.pem", passphrases: FixedPassphrase())
    _ = try await device.withButton {
      try await claiming.run(device: device.endpoint.description, label: try LabelSource.read(made.labelFile), person: "ada", alias: alias) { step in
        if case .pressButton = step { device.press() }
      }
    }
    return try OwnedDevice(home: home, device: alias)
  }

  private func peers(_ device: OwnedDevice) async throws -> [PeerState] {
    try await device.with { (client) throws(OperatorError) in try await client.peers() }
  }

  private func eventually(_ what: String, _ devices: [HaechidProcess], _ condition: () async throws -> Bool) async throws {
    for _ in 0..<1_200 {
      if try await condition() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("never came true: \(what)\n\(devices.map(\.log).joined(separator: "\n----\n"))")
  }

  @Test func twoOfOneOwnerExchangeAReadingAndAThirdIsRefusedByBoth() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let maker = OperatorHome(path: folder.path + "/maker")
    _ = try MakerFolder.make(maker.makerFolder, home: maker)
    let (ours, theirs) = (OperatorHome(path: folder.path + "/ours"), OperatorHome(path: folder.path + "/theirs"))
    let ports = try HaechidProcess.freePorts(3)
    let devices = try ports.map { try HaechidProcess(maker: maker, port: $0, peerPorts: ports) }
    let hall = try await claim(devices[0], ours, maker: maker, "hall")
    let attic = try await claim(devices[1], ours, maker: maker, "attic")
    let stranger = try await claim(devices[2], theirs, maker: maker, "stranger")
    let (hallId, atticId) = (try Peering.identifier("hall", home: ours), try Peering.identifier("attic", home: ours))
    let strangerId = try Peering.identifier("stranger", home: theirs)

    // Approval: nothing before it, the reading after it.
    _ = try await Peering(hall).put(atticId, address: attic.endpoint, scope: [])
    try await eventually("the attic sees the hall ask", devices) { try await peers(attic).first?.state == "asking" }
    #expect(devices[0].policy.contains(String(ports[1])), "\(devices[0].policy)")
    #expect(try await peers(hall).first?.readings.isEmpty == true)
    _ = try await Peering(attic).put(hallId, address: nil, scope: ["readings:temperature"])
    try await eventually("the reading arrives", devices) { try await peers(hall).first?.readings.first?.name == "temperature" }
    try await eventually("the hall's product uses it", devices) {
      try await hall.with { (client) throws(OperatorError) in try await client.readings() }.contains { $0.name == "neighbour-temperature" }
    }

    // The third is told of both, and refused by both; nobody of ours even sees it ask.
    _ = try await Peering(stranger).put(hallId, address: hall.endpoint, scope: [])
    try await eventually("the hall is not the stranger's", devices) { try await peers(stranger).first?.error?.code == "peer-wrong" }
    _ = try await Peering(stranger).put(atticId, address: attic.endpoint, scope: [])
    try await eventually("nor is the attic", devices) { try await peers(stranger).allSatisfy { $0.error?.code == "peer-wrong" } }
    for device in [hall, attic] {
      #expect(try await peers(device).allSatisfy { $0.deviceId != strangerId })
    }

    // Withdrawn.
    _ = try await Peering(attic).remove(hallId)
    try await eventually("the exchange has stopped", devices) { try await peers(hall).first?.readings.isEmpty == true }
    _ = try await Peering(hall).remove(atticId)
    try await eventually("the way is closed", devices) { !devices[0].policy.contains(String(ports[1])) }
    for device in [hall, attic] { #expect(try await device.guardState().grade == "normal") }
  }
}
