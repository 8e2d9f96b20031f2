import Foundations
import Glibc
import Identity
import Synchronization
import Testing

@testable import OperatorKit

/// haechi recovery-key against DeviceCore's own device, whose supervisor opens what it is sent as the real one does.
@Suite(.serialized) struct RecoveryEndToEndTests {
  private static let patience: RecoveryPatience = {
    var patience = RecoveryPatience()
    patience.poll_ms = 20
    return patience
  }()

  private func with(_ body: (String, OwnedDevice, TestDevice) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await device.provision(home)
      _ = try await device.claim(home, alias: "attic")
      try await body(folder.path, OwnedDevice(home: home, device: "attic"), device)
    }
  }

  /// What the supervisor says comes to the device by another way than what it is asked: waits until it has heard it.
  private func openStorage(_ device: TestDevice, _ ada: OwnedDevice) async throws {
    device.openStorage()
    for _ in 0..<2_400 {
      let status = try await ada.with { (client) throws(OperatorError) in try await client.status() }
      if status.storage.state == "open" { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("the device never heard of its storage")
  }

  @Test func aKeyIsMadeReplacedAndRemoved() async throws {
    try await with { folder, ada, device in
      try await openStorage(device, ada)
      #expect(try await RecoveryKeys.state(ada) == RecoveryKeyState(state: "none"))
      let keys = try RecoveryKeys(ada, patience: Self.patience)

      // Shown once.
      var shown: String?
      let first = try await keys.make(file: nil) { step in
        guard case .ordered(let key) = step else { return }
        shown = key
        device.openStorageAgain()
      }
      let text = try #require(shown)
      #expect(first.key == text && first.file == nil)
      #expect(try RecoveryKey(text: text).fingerprint == first.fingerprint)
      #expect(device.recoveryKey?.text == text, "the supervisor has what the owner was shown")
      let state = try await RecoveryKeys.state(ada)
      #expect(state == RecoveryKeyState(state: "in-force", fingerprint: first.fingerprint, orderedAt: "2023-11-14T22:13:20Z"))
      #expect(Sheet.recoveryKey(state) == ["the disk has the recovery key \(first.fingerprint), ordered at 2023-11-14T22:13:20Z"])

      // Written to a file, and not shown.
      let file = folder + "/attic.key"
      let second = try await keys.make(file: file) { step in
        #expect(step == .ordered(key: nil))
        device.openStorageAgain()
      }
      #expect(second.key == nil && second.file == file && second.fingerprint != first.fingerprint)
      // As cryptsetup --key-file reads it: to the last byte.
      #expect(try PrivateFiles.read(file, isPrivate: true) == Array(#require(device.recoveryKey).text.utf8))
      #expect(try RecoveryKeys.read(file).fingerprint == second.fingerprint)
      #expect(try await failure { try await keys.make(file: file) }.code == "file-exists")

      let removed = try await keys.remove { _ in device.openStorageAgain() }
      #expect(removed.fingerprint == second.fingerprint && device.recoveryKey == nil)
      #expect(try await RecoveryKeys.state(ada).state == "none")
      #expect(try await keys.remove().fingerprint == nil, "there is none to remove")
    }
  }

  @Test func whatTheDeviceDidNotDoIsSaid() async throws {
    try await with { folder, ada, device in
      let keys = try RecoveryKeys(ada, patience: Self.patience)
      let file = folder + "/attic.key"
      // Nothing is encrypted there.
      let refused = try await failure { try await keys.make(file: file) }
      #expect(refused.refusal?.problem == "storage-not-encrypted" && !PrivateFiles.exists(file))
      try await openStorage(device, ada)
      let first = try await keys.make(file: nil) { _ in device.openStorageAgain() }
      let failed = try await failure { try await keys.make(file: file) { _ in device.openStorageAgain(failing: true) } }
      #expect(failed.code == "refused-by-device" && failed.reason.contains("haechi logs"))
      #expect(try await RecoveryKeys.state(ada).fingerprint == first.fingerprint)
    }
  }

  @Test func whatIsNoKeyIsNamed() async throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/key"
    try PrivateFiles.write(Array("0000-1111".utf8), to: file, existing: .refuse)
    let error = try await failure { try RecoveryKeys.read(file) }
    #expect(error.code == "file-malformed" && error.reason.contains("56 characters") && !error.reason.contains("1111"))
    chmod(file, 0o644)
    #expect(try await failure { try RecoveryKeys.read(file) }.code == "file-too-open")
  }
}
