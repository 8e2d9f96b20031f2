import FoundationEssentials
import Testing

@testable import OperatorKit

/// The operator's steps against DeviceCore's own device, over TLS on loopback.
@Suite(.serialized) struct EndToEndTests {
  /// An operator's folder with a throwaway maker in it.
  private func makeHome() throws -> (folder: TemporaryFolder, home: OperatorHome) {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    return (folder, home)
  }

  private func provision(_ device: TestDevice, _ home: OperatorHome) async throws -> ProvisionedDevice { try await device.provision(home) }

  private func claim(_ device: TestDevice, _ home: OperatorHome) async throws -> ClaimedDevice { try await device.claim(home) }

  @Test func aDevicesWholeLife() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let provisioned = try await provision(device, home)
      #expect(provisioned.lifeCycleState == "provisioned")
      #expect(provisioned.keyDigest.hasPrefix(provisioned.deviceId))
      #expect(provisioned.serialNumber == provisioned.deviceId.uppercased())
      let claimed = try await device.claim(home, alias: "attic")
      #expect(claimed.deviceId == provisioned.deviceId && claimed.ownerIsNew && !claimed.wiped)
      for file in ["ca.key", "members/ada.key"] { #expect(try mode(home.ownerFolder + "/" + file) == 0o600) }
      for path in ["", "/members"] { #expect(try mode(home.ownerFolder + path) == 0o700) }

      let owned = try OwnedDevice(home: home, device: "attic")
      let (info, status, actuators, inputs) = try await owned.with { (client) throws(OperatorError) in
        (try await client.info(), try await client.status(), try await client.actuators(), try await client.inputs())
      }
      #expect(info.lifeCycleState == "owned" && info.ownerId == claimed.ownerId && info.serialNumber == provisioned.serialNumber)
      #expect(status.startCount == 1 && status.bootPhases.map(\.name) == ["mounts"])
      #expect(actuators == [Actuator(name: "relay", on: false, safe: false)])
      #expect(inputs.map(\.name) == ["button"])
      let set = try await owned.with { (client) throws(OperatorError) in try await client.set("relay", on: true) }
      #expect(set == Actuator(name: "relay", on: true, safe: false))

      var readings: [Reading] = []
      for try await reading in owned.follow(.readings, as: Reading.self) {
        readings.append(reading)
        if readings.count == 3 { break }
      }
      #expect(readings.allSatisfy { $0.name == "temperature" && $0.value == 21.25 && $0.unit == "Cel" && $0.simulated })
      let page = try await owned.with { (client) throws(OperatorError) in try await client.logs() }
      #expect(!page.records.isEmpty && zip(page.records, page.records.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
      let after = try #require(page.records.last).sequence - 1
      for try await entry in owned.follow(.logs(after: after), as: LogEntry.self) {
        #expect(entry.sequence == after + 1, "the log goes on where it was asked to")
        break
      }
    }
  }

  @Test func theLivePictureSeesEverything() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await provision(device, home)
      _ = try await claim(device, home)
      var seen = Set<String>()
      for try await update in try OwnedDevice(home: home, device: nil).live() {
        switch update {
        case .info: seen.insert("info")
        case .status: seen.insert("status")
        case .reading: seen.insert("reading")
        case .actuators: seen.insert("actuators")
        case .inputs: seen.insert("inputs")
        case .event(.input): seen.insert("input")
        // The test's supervisor changes neither by itself.
        case .guardState, .cloud, .event: break
        case .trouble(let sentence): Issue.record("\(sentence ?? "")")
        }
        // Pressed until it is seen: the stream of events may open after the first press.
        if seen.count >= 5 { device.press(!seen.contains("input")) }
        if seen.count == 6 { break }
      }
      #expect(seen.count == 6)
    }
  }

  /// The first request mostly travels with the handshake's last bytes; those after it must be seen all the same.
  @Test func aConnectionServesOneRequestAfterTheOther() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await provision(device, home)
      _ = try await claim(device, home)
      let owned = try OwnedDevice(home: home, device: nil)
      for _ in 0..<20 {
        let states = try await owned.with { (client) throws(OperatorError) in
          var states: [String] = []
          for _ in 0..<4 { states.append(try await client.status().state) }
          return states
        }
        #expect(states == ["owned", "owned", "owned", "owned"])
      }
    }
  }

  @Test func rolesAreKept() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await provision(device, home)
      _ = try await claim(device, home)
      let owner = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase())
      _ = try owner.addMember("grace", role: "viewer")
      _ = try owner.addMember("linus", role: "operator")
      #expect(try owner.owner.members().map(\.role) == ["admin", "viewer", "operator"])
      let grace = try OwnedDevice(home: home, device: nil, person: "grace")
      _ = try await grace.with { (client) throws(OperatorError) in try await client.readings() }
      let refused = try await failure { try await grace.with { (client) throws(OperatorError) in try await client.set("relay", on: true) } }
      #expect(refused.code == "refused-by-device" && refused.reason.contains("403"))
      let linus = try OwnedDevice(home: home, device: nil, person: "linus")
      _ = try await linus.with { (client) throws(OperatorError) in try await client.set("relay", on: true) }
      #expect(
        try await failure { try await linus.with { (client) throws(OperatorError) in try await client.logs() } }.code == "refused-by-device"
      )
      #expect(
        try await failure { try await linus.with { (client) throws(OperatorError) in try await client.set("no-such", on: true) } }.reason
          .contains("relay"))
      #expect(try await failure { try OwnedDevice(home: home, device: nil, person: "nobody") }.code == "unknown-member")
      #expect(try await failure { try owner.addMember("grace", role: "admin") }.code == "file-exists")
      #expect(try await failure { try owner.addMember("eve", role: "root") }.code == "bad-argument")
      #expect(try owner.addMember("grace", role: "admin", renew: true).role == "admin")
    }
  }

  @Test func aBlankDeviceCannotBeClaimed() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let error = try await failure { try await claim(device, home) }
      #expect(error.code == "wrong-device" && error.reason.contains("haechi provision"), "\(error)")
      #expect(!PrivateFiles.exists(home.ownerFolder), "no owner is made for nothing")
    }
  }

  @Test func aStationOfAnotherMakerIsRefused() async throws {
    let (folder, home) = try makeHome()
    let (otherFolder, other) = try makeHome()
    defer { withExtendedLifetime((folder, otherFolder)) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let error = try await failure {
        try await Provisioning(home: other, stationFolder: other.makerFolder).run(endpoint: device.endpoint, serialNumber: nil)
      }
      #expect(error.code == "tls-refused" && error.reason.contains("pins another maker"), "\(error)")
      let mixed = other.path + "/mixed"
      try PrivateFiles.makeFolder(mixed)
      for (name, from) in [("maker-ca.pem", home), ("maker-ca.key", home), ("station.pem", other), ("station.key", other)] {
        try PrivateFiles.write(try PrivateFiles.read(from.makerFolder + "/" + name), to: mixed + "/" + name, existing: .refuse)
      }
      let strange = try await failure { try Provisioning(home: other, stationFolder: mixed) }
      #expect(strange.code == "file-malformed" && strange.reason.contains("station.pem"))
      _ = try await provision(device, home)
      let again = try await failure { try await provision(device, home) }
      #expect(again.code == "already-provisioned" && again.reason.contains("haechi claim"), "\(again)")
    }
  }

  @Test func aDeviceOfAnotherMakerIsNotClaimed() async throws {
    let (folder, home) = try makeHome()
    let (otherFolder, other) = try makeHome()
    defer { withExtendedLifetime((folder, otherFolder)) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let provisioned = try await provision(device, home)
      let error = try await failure { try await claim(device, other) }
      #expect(error.code == "wrong-device" && error.reason.contains("--maker-ca"), "\(error)")
      // Nobody's maker: nothing could tell a genuine device.
      let nobody = OperatorHome(path: folder.path + "/nobody")
      #expect(try await failure { try await claim(device, nobody) }.code == "unknown-maker")
      #expect(!PrivateFiles.exists(nobody.ownerFolder))
      #expect(try await claim(device, home).deviceId == provisioned.deviceId)
    }
  }

  @Test func anotherOwnerStaysOutside() async throws {
    let (folder, home) = try makeHome()
    let (otherFolder, other) = try makeHome()
    defer { withExtendedLifetime((folder, otherFolder)) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let claimed = try await {
        _ = try await provision(device, home); return try await claim(device, home)
      }()
      // The second owner trusts the maker, has an owner CA and the device's address: nothing of it helps.
      try MakerFolder.remember(try KeyFiles.certificate(home.makerFolder + "/maker-ca.pem"), other)
      let again = try await failure { try await claim(device, other) }
      #expect(again.code == "wrong-device" && again.reason.contains("--wipe"), "\(again)")
      let thief = try makeOwner(other.ownerFolder)
      try thief.ensureAdmin("eve", now_s: secondsNow())
      let byAddress = try await failure {
        try await OwnedDevice(home: other, device: device.endpoint.description).with { (client) throws(OperatorError) in
          try await client.info()
        }
      }
      #expect(byAddress.code == "wrong-device", "\(byAddress)")
      try DeviceBook.update(other) { (book) throws(OperatorError) in
        try book.remember(
          KnownDevice(deviceId: claimed.deviceId, address: device.endpoint.description, ownerId: thief.owner.ownerId, person: "eve"))
      }
      let asOwn = try await failure {
        try await OwnedDevice(home: other, device: nil).with { (client) throws(OperatorError) in try await client.info() }
      }
      #expect(asOwn.code == "wrong-device" && asOwn.reason.contains("another owner"), "\(asOwn)")
      // Another owner's folder for a known device is noticed before anything is sent.
      let mixed = try await failure { try OwnedDevice(home: home, device: nil, ownerFolder: other.ownerFolder) }
      #expect(mixed.code == "foreign-owner" && mixed.reason.contains("--owner"), "\(mixed)")
    }
  }

  @Test func anotherDeviceBehindTheAddressIsNoticed() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    try await TestDevice.with(makerFolder: home.makerFolder) { first in
      try await TestDevice.with(makerFolder: home.makerFolder) { second in
        _ = try await provision(first, home)
        let one = try await claim(first, home)
        _ = try await provision(second, home)
        let two = try await claim(second, home)
        #expect(one.ownerId == two.ownerId && !two.ownerIsNew)
        // An attacker, or DHCP, puts the second device where the first was.
        try DeviceBook.update(home) { (book) throws(OperatorError) in try book.moved(one.deviceId, to: second.endpoint) }
        let error = try await failure {
          try await OwnedDevice(home: home, device: one.deviceId).with { (client) throws(OperatorError) in
            try await client.set("relay", on: true)
          }
        }
        #expect(error.code == "wrong-device" && error.reason.contains(one.deviceId), "\(error)")
        // By its new address the first one is found again, and remembered there.
        let info = try await OwnedDevice(home: home, device: first.endpoint.description, person: "ada").with {
          (client) throws(OperatorError) in try await client.info()
        }
        #expect(info.deviceId == one.deviceId)
        #expect(try DeviceBook.load(home).devices.first { $0.deviceId == one.deviceId }?.address == first.endpoint.description)
      }
    }
  }

  /// A device that keeps its owner in memory forgets it with the power: the operator is told, not confused.
  @Test func aDeviceThatLostItsOwnerIsRecognised() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    let owner = try makeOwner(home.ownerFolder)
    try owner.ensureAdmin("ada", now_s: secondsNow())
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let provisioned = try await provision(device, home)
      try DeviceBook.update(home) { (book) throws(OperatorError) in
        try book.remember(
          KnownDevice(deviceId: provisioned.deviceId, address: device.endpoint.description, ownerId: owner.owner.ownerId, person: "ada"))
      }
      let error = try await failure {
        try await OwnedDevice(home: home, device: nil).with { (client) throws(OperatorError) in try await client.info() }
      }
      #expect(error.code == "not-claimed" && error.reason.contains("haechi claim"), "\(error)")
    }
  }

  @Test func anExpiredMemberIsToldBeforeTheDeviceIsAsked() async throws {
    let (folder, home) = try makeHome()
    defer { withExtendedLifetime(folder) {} }
    let long_ago = secondsNow() - 200 * 86_400
    let owner = try makeOwner(home.ownerFolder, now_s: long_ago)
    try owner.ensureAdmin("ada", now_s: long_ago)
    let error = try await failure { try owner.owner.credential("ada", now_s: secondsNow()) }
    #expect(error.code == "certificate-expired" && error.reason.contains("members/ada.pem") && error.reason.contains("--renew"), "\(error)")
    let early = try await failure { try owner.owner.credential("ada", now_s: long_ago - 86_400) }
    #expect(early.reason.contains("clock"), "\(early)")
  }
}
