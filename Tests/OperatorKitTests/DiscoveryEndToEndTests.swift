import Foundations
import Testing

@testable import OperatorKit

/// haechi discovery and haechi discover, with DeviceCore's own devices that announce themselves on this machine's loopback.
@Suite(.serialized) struct DiscoveryEndToEndTests {
  private func with(_ body: (OperatorHome, TestDevice) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await device.provision(home)
      _ = try await device.claim(home, alias: "attic")
      try await body(home, device)
    }
  }

  private func state(_ device: OwnedDevice) async throws -> String? {
    try await device.with { (client) throws(OperatorError) in try await client.status() }.network.discovery
  }

  private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    for _ in 0..<2_400 {
      if try await condition() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("never came true: \(what)")
  }

  @Test func aDeviceIsFoundWhileItsOwnerLetsItAnnounceItself() async throws {
    try await with { home, device in
      let attic = try OwnedDevice(home: home, device: "attic")
      let id = try Peering.identifier("attic", home: home)
      let search = try NeighbourSearch(home: home, seconds: 2)
      func found() async throws -> [FoundDevice] { try await search.run().filter { $0.deviceId == id } }

      // Off by default, and only an admin switches it.
      #expect(try await state(attic) == "off")
      #expect(try await found().isEmpty)
      _ = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase()).addMember("linus", role: "operator")
      #expect(try await failure { try DiscoverySwitching(try OwnedDevice(home: home, device: "attic", person: "linus")) }.code == "not-permitted")
      let missing = try await failure { try await search.place(of: id, name: "attic") }
      #expect(missing.code == "unknown-device" && missing.reason.contains("haechi discovery on"))

      let on = try await DiscoverySwitching(attic).run(on: true)
      #expect(on.deviceId == id && on.on)
      try await eventually("it is announced") { try await state(attic) == "announced" }
      // Its answer may be later than two seconds.
      var seen: [FoundDevice] = []
      try await eventually("it is found") {
        seen = try await found()
        return !seen.isEmpty
      }
      #expect(seen == [FoundDevice(deviceId: id, address: "127.0.0.1", port: device.endpoint.port, alias: "attic")])
      #expect(try await NeighbourSearch(home: home, seconds: 120).place(of: id, name: "attic") == device.endpoint)
      #expect(Sheet.found(seen).last?.contains("127.0.0.1:\(device.endpoint.port)") == true)
      let sheet = Sheet.status(try await attic.with { (client) throws(OperatorError) in try await client.status() }, now_s: secondsNow())
      #expect(sheet.contains { $0.hasPrefix("discovery") && $0.hasSuffix("announced") }, "\(sheet)")

      let off = try await DiscoverySwitching(attic).run(on: false)
      #expect(!off.on)
      try await eventually("it is off") { try await state(attic) == "off" }
      #expect(try await found().isEmpty)
    }
  }

  @Test func aReleasedDeviceIsNotAnnouncedAnyMore() async throws {
    try await with { home, device in
      let attic = try OwnedDevice(home: home, device: "attic")
      let id = try Peering.identifier("attic", home: home)
      _ = try await DiscoverySwitching(attic).run(on: true)
      try await eventually("it is announced") { try await state(attic) == "announced" }
      _ = try await Transferring(attic).run()
      let search = try NeighbourSearch(home: home, seconds: 2)
      #expect(try await search.run().allSatisfy { $0.deviceId != id })
      withExtendedLifetime(device) {}
    }
  }

  @Test(arguments: [0, -1, 301, .max]) func aSearchHasAnEnd(seconds: Int) async throws {
    let home = OperatorHome(path: "/nowhere")
    #expect(try await failure { try NeighbourSearch(home: home, seconds: seconds) }.code == "bad-argument")
  }
}
