import Foundations
import Synchronization
import Testing

@testable import OperatorKit

/// Guard and cloud binding against DeviceCore's own device, with a supervisor that believes only what is signed.
@Suite(.serialized) struct GuardEndToEndTests {
  private func with(_ body: (TestDevice, OperatorHome, ClaimedDevice) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await device.provision(home)
      let claimed = try await device.claim(home, alias: "attic")
      try await body(device, home, claimed)
    }
  }

  /// The grade once it is `word`; a grade comes over the link and may take a moment.
  private func waitFor(_ word: String, _ device: OwnedDevice) async throws {
    for _ in 0..<2_400 {
      if try await device.guardState().grade == word { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("the grade never became \(word)")
  }

  @Test func aQuarantinedDeviceIsReleasedByItsAdmin() async throws {
    try await with { device, home, claimed in
      _ = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase()).addMember("linus", role: "operator")
      let ada = try OwnedDevice(home: home, device: "attic")
      let calm = try await ada.guardState()
      #expect(calm.grade == "normal" && calm.cause == "none" && calm.event == 0 && calm.nonce.utf8.count == 64)
      #expect(try await GuardRelease(ada).run() == ReleasedDevice(deviceId: claimed.deviceId, released: false, before: calm, now: calm))
      device.quarantine()
      try await waitFor("quarantined", ada)
      let refused = try await failure { try GuardRelease(try OwnedDevice(home: home, device: "attic", person: "linus")) }
      #expect(refused.code == "not-permitted" && refused.reason.contains("only an admin"), "\(refused)")
      let done = try await GuardRelease(ada).run()
      #expect(done.released && done.before.cause == "crash-loop" && done.before.evidence == "3 starts" && done.deviceId == claimed.deviceId)
      #expect(done.now.grade == "normal" && done.now.cause == "released" && done.now.event == done.before.event + 1)
      let events = try await ada.events().events.compactMap(\.event)
      let grades = events.compactMap { if case .grade(let grade) = $0 { grade.grade } else { nil } }
      #expect(grades == ["quarantined", "normal"])
    }
  }

  @Test func aDeviceIsBoundToItsBroker() async throws {
    try await with { device, home, claimed in
      let ada = try OwnedDevice(home: home, device: "attic")
      #expect(try await ada.cloudState().host == nil)
      // Nobody listens there: what counts is that the device was told, and that its supervisor believed it.
      let broker = try KnownBroker(address: "127.0.0.1:1", authorityFile: home.makerFolder + "/maker-ca.pem")
      for _ in 0..<2 {
        let bound = try await CloudBinding(ada, broker: broker).run()
        #expect(bound.deviceId == claimed.deviceId && bound.broker == "127.0.0.1:1" && bound.cloud.host == "127.0.0.1" && bound.cloud.port == 1)
      }
      #expect(device.destinations.map(\.description) == ["127.0.0.1:1", "127.0.0.1:1"])
      let remembered = try #require(try KnownBroker.load(home))
      #expect(remembered.address == "127.0.0.1:1" && remembered.person == "ada" && remembered.ownerFolder == home.ownerFolder)
      let access = try BrokerAccess(home: home)
      #expect(access.address == "127.0.0.1:1" && access.person == "ada")
      #expect(try BrokerAccess(home: home, address: "localhost:2").address == "localhost:2")
    }
  }

  @Test func anAttackRaisesTheGradeAndItDecays() async throws {
    try await with { _, home, _ in
      let updates = Mutex<[AttackUpdate]>([])
      // More than a peer's allowance of refusals, which is 20.
      try await Attack(try OwnedDevice(home: home, device: "attic"), count: 45).run { update in updates.withLock { $0.append(update) } }
      let told = updates.withLock { $0 }
      let before = told.first.flatMap { if case .begins(let state) = $0 { state.grade } else { nil } }
      #expect(before == "normal")
      let grades = told.compactMap { if case .grade(let state) = $0 { state } else { nil } }
      #expect(grades.map(\.grade) == ["restricted", "normal"], "\(told)")
      #expect(grades.first?.cause == "authentication-failures" && grades.first?.decaysInMilliseconds != nil && grades.last?.cause == "decayed")
      let tally = try #require(told.compactMap { if case .sent(let tally) = $0 { tally } else { nil } }.first)
      #expect(tally.count == 45 && tally.letIn == 0 && tally.refused > 20, "\(tally)")
    }
  }

  private func refusal(_ device: OwnedDevice, count: Int) -> OperatorError? {
    do throws(OperatorError) {
      _ = try Attack(device, count: count)
      return nil
    } catch {
      return error
    }
  }

  @Test func onlyAKnownDeviceIsAttacked() async throws {
    try await with { device, home, claimed in
      let address = device.endpoint.description
      let known = try OwnedDevice(home: home, device: address)
      let counts = [0, -1, Attack.mostConnections + 1]
      #expect(counts.allSatisfy { refusal(known, count: $0)?.code == "bad-argument" } && refusal(known, count: 1) == nil)
      let stranger = refusal(try OwnedDevice(home: home, device: "127.0.0.1:1"), count: 10)
      #expect(stranger?.code == "unknown-device" && stranger?.reason.contains("only one's own device") == true)
      // Another device behind a known address sees none of it: it is asked who it is first.
      let other = KnownDevice(deviceId: "00112233445566778899", alias: "other", address: address, ownerId: claimed.ownerId, person: "ada")
      try DeviceBook.update(home) { (book) throws(OperatorError) in try book.remember(other) }
      let wrong = try await failure { try await Attack(try OwnedDevice(home: home, device: "other"), count: 10).run { _ in } }
      #expect(wrong.code == "wrong-device", "\(wrong)")
    }
  }
}
