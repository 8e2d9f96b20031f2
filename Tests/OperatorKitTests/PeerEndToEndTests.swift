import Foundations
import Testing

@testable import OperatorKit

/// haechi peer against two of DeviceCore's own devices, with supervisors that believe only what is signed.
@Suite(.serialized) struct PeerEndToEndTests {
  private func with(_ body: (OperatorHome, TestDevice, TestDevice) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { one in
      _ = try await one.provision(home)
      _ = try await one.claim(home, alias: "hall")
      try await TestDevice.with(makerFolder: home.makerFolder) { two in
        _ = try await two.provision(home)
        _ = try await two.claim(home, alias: "attic")
        try await body(home, one, two)
      }
    }
  }

  private func peers(_ device: OwnedDevice) async throws -> [PeerState] {
    try await device.with { (client) throws(OperatorError) in try await client.peers() }
  }

  private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    for _ in 0..<2_400 {
      if try await condition() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("never came true: \(what)")
  }

  @Test func oneAsksTheOtherIsApprovedAndRemoved() async throws {
    try await with { home, hallDevice, atticDevice in
      let (hall, attic) = (try OwnedDevice(home: home, device: "hall"), try OwnedDevice(home: home, device: "attic"))
      let (hallId, atticId) = (try Peering.identifier("hall", home: home), try Peering.identifier("attic", home: home))
      #expect(try Peering.identifier(atticId.uppercased(), home: home) == atticId)
      #expect(try await failure { try Peering.identifier("cellar", home: home) }.code != "none")

      let told = try await Peering(hall).put(atticId, address: atticDevice.endpoint, scope: [])
      #expect(told.deviceId == hallId && told.peer == atticId && told.peers.first?.port == atticDevice.endpoint.port)
      try await eventually("the attic sees the hall ask") { try await peers(attic).first?.state == "asking" }
      let asked = try await attic.events().events.compactMap(\.event).contains { if case .peer(let event) = $0 { event.state == "asking" } else { false } }
      #expect(asked)

      // Only an admin says so, and only in the form that there is.
      _ = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase()).addMember("linus", role: "operator")
      #expect(try await failure { try Peering(try OwnedDevice(home: home, device: "attic", person: "linus")) }.code == "not-permitted")
      #expect(try await failure { try await Peering(attic).put(hallId, address: nil, scope: ["everything"]) }.code == "bad-argument")
      #expect(try await failure { try await Peering(attic).put("hall", address: nil, scope: []) }.code == "bad-argument")
      let name = Endpoint(host: "attic.example", port: 8_443)
      #expect(try await failure { try await Peering(hall).put(atticId, address: name, scope: []) }.reason.contains("--address"))

      let approved = try await Peering(attic).put(hallId, address: nil, scope: ["readings:temperature"])
      #expect(approved.peers.map(\.state) == ["approved"] && approved.peers.first?.scope == ["readings:temperature"])
      try await eventually("the reading arrives") { try await peers(hall).first?.readings.first?.value == 21.25 }
      let sheet = Sheet.peers(try await peers(hall))
      #expect(sheet.contains { $0.contains("connected") } && sheet.contains { $0.contains("temperature 21.25 Cel") }, "\(sheet)")

      // Who changes only the scope leaves the place as it is.
      let changed = try await Peering(hall).put(atticId, address: nil, scope: ["readings:temperature"])
      #expect(changed.peers.first?.port == atticDevice.endpoint.port && changed.peers.first?.scope == ["readings:temperature"])

      #expect(try await Peering(attic).remove(hallId).peers.allSatisfy { $0.state == "asking" })
      try await eventually("the exchange has stopped") { try await peers(hall).first?.readings.isEmpty == true }
      #expect(try await Peering(hall).remove(atticId).peers.isEmpty)
      #expect(try await failure { try await Peering(hall).remove(atticId) }.code == "refused-by-device")
      withExtendedLifetime(hallDevice) {}
    }
  }

  /// The attic is stolen: the hall neither listens to it nor lets it in, and it comes back by a renewal.
  @Test func aLostDeviceIsWithdrawn() async throws {
    try await with { home, hallDevice, atticDevice in
      let (hall, attic) = (try OwnedDevice(home: home, device: "hall"), try OwnedDevice(home: home, device: "attic"))
      let (hallId, atticId) = (try Peering.identifier("hall", home: home), try Peering.identifier("attic", home: home))
      _ = try await Peering(attic).put(hallId, address: nil, scope: ["readings:temperature"])
      _ = try await Peering(hall).put(atticId, address: atticDevice.endpoint, scope: [])
      try await eventually("the reading arrives") { try await peers(hall).first?.readings.first?.value == 21.25 }

      let unlocked = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase())
      #expect(try await failure { try unlocked.revokeDevice("attic") }.code == "bad-argument")
      #expect(try await failure { try unlocked.revokeDevice("00112233445566778899") }.code == "unknown-device")
      let revoked = try unlocked.revokeDevice(atticId)
      #expect(revoked.number == 1 && revoked.serials.count == 1 && revoked.deviceId == atticId)
      #expect(try unlocked.revokeDevice(atticId).serials.isEmpty, "once is enough")
      let report = try await RevocationPush(home: home, owner: unlocked.owner).run(except: atticId)
      #expect(report.isComplete && report.devices.map(\.deviceId) == [hallId])
      try await eventually("the hall does not listen") { try await peers(hall).first?.error?.code == "peer-wrong" }
      #expect(try await peers(hall).first?.readings.isEmpty == true)
      // Nor does this tool.
      let refused = try await failure { try await attic.with { (client) throws(OperatorError) in try await client.info() } }
      #expect(refused.code == "tls-failed" && refused.reason.contains("withdrawn") && refused.reason.contains("haechi renew"), "\(refused)")

      // Found again.
      let renewed = try await Renewing(attic, passphrases: FixedPassphrase()).run()
      #expect(renewed.deviceId == atticId && renewed.notWithdrawn == nil)
      _ = try await attic.with { (client) throws(OperatorError) in try await client.info() }
      try await eventually("the hall listens again") { try await peers(hall).first?.readings.first?.value == 21.25 }
      // And a backup knows what was issued.
      let backup = home.path + "-backup"
      _ = try OwnerBackup.export(home.ownerFolder, to: backup, passphrases: FixedPassphrase())
      _ = try OwnerBackup.restore(backup, into: home.path + "-restored", passphrases: FixedPassphrase())
      let restored = try OwnerFolder.open(home.path + "-restored").unlock(FixedPassphrase())
      #expect(try restored.revokeDevice(atticId).serials.count == 1)
      withExtendedLifetime(hallDevice) {}
    }
  }

  /// A runtime that was taken over names a place of its own among its peers: no admin's tool signs for it unseen.
  @Test func aPlaceThatWasNotToldFromHereIsNotSigned() async throws {
    try await with { home, hallDevice, atticDevice in
      let hall = try OwnedDevice(home: home, device: "hall")
      let (hallId, atticId) = (try Peering.identifier("hall", home: home), try Peering.identifier("attic", home: home))
      func known() throws -> KnownDevice { try #require(try DeviceBook.load(home).devices.first { $0.deviceId == hallId }) }
      func setPlaces(_ places: [String: String]) throws {
        try DeviceBook.update(home) { (book) throws(OperatorError) in book.told(hallId, places) }
      }
      _ = try await Peering(hall).put(atticId, address: atticDevice.endpoint, scope: [])
      let place = "127.0.0.1:\(atticDevice.endpoint.port)"
      #expect(try known().places == [atticId: place])
      // As if the device had made it up: it is not what it was told, or it was told nothing.
      let cellar = "00112233445566778899"
      for places in [[:], [atticId: "192.0.2.9:8443"], [cellar: place]] {
        try setPlaces(places)
        let refused = try await failure { try await Peering(hall).put(cellar, address: nil, scope: []) }
        #expect(refused.code == "places-unknown" && refused.exitCode == 77 && refused.reason.contains("\(atticId) at \(place)"), "\(refused)")
        #expect(try await failure { try await Peering(hall).put(atticId, address: nil, scope: []) }.code == "places-unknown")
        #expect(try await failure { try await Peering(hall).remove(cellar) }.code == "places-unknown")
        #expect(try known().places ?? [:] == places)
      }
      // An admin who looks and agrees; and whoever names the place, or removes it, needs not.
      _ = try await Peering(hall, acceptsPlaces: true).put(cellar, address: nil, scope: [])
      #expect(try known().places == [atticId: place])
      try setPlaces([:])
      _ = try await Peering(hall).put(atticId, address: atticDevice.endpoint, scope: [])
      #expect(try known().places == [atticId: place])
      try setPlaces([:])
      _ = try await Peering(hall).remove(atticId)
      #expect(try known().places == nil)
    }
  }
}
