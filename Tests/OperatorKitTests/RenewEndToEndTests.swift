import Foundations
import Testing

@testable import OperatorKit

/// haechi renew and haechi transfer against DeviceCore's own device.
@Suite(.serialized) struct RenewEndToEndTests {
  private func with(_ body: (OperatorHome, TestDevice.Folders, TestDevice) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    let folders = try TestDevice.Folders()
    try await TestDevice.with(makerFolder: home.makerFolder, folders: folders) { device in
      _ = try await device.provision(home)
      _ = try await device.claim(home, alias: "attic")
      try await body(home, folders, device)
    }
  }

  private func failure(_ body: () async throws -> some Any) async throws -> OperatorError {
    do {
      _ = try await body()
    } catch let error as OperatorError {
      return error
    }
    Issue.record("this should have been refused")
    return OperatorError("none", "")
  }

  @Test func aDeviceIsRenewedAndAgain() async throws {
    try await with { home, _, device in
      let ada = try OwnedDevice(home: home, device: "attic")
      func certificate() async throws -> CredentialState { try await ada.with { (client) throws(OperatorError) in try await client.credential() } }
      var serials = [try await certificate().certificate.serialNumber]
      for _ in 0..<2 {
        let done = try await Renewing(ada, passphrases: FixedPassphrase()).run()
        #expect(!done.wasExpired)
        let state = try await certificate()
        #expect(state.renewal == "none" && state.certificate.serialNumber == done.serialNumber && state.previous?.serialNumber == serials.last)
        #expect(state.certificate.notAfter == done.validUntil)
        serials.append(done.serialNumber)
      }
      #expect(Set(serials).count == 3)
      // An address alone tells nothing of who is there.
      let folder = try OwnerFolder.open(home.ownerFolder)
      try DeviceBook.update(home) { (book) throws(OperatorError) in _ = book.forget(book.devices[0].deviceId) }
      let nameless = try OwnedDevice(home: home, device: device.endpoint.description, ownerFolder: folder.folder, person: "ada")
      #expect(try await failure { try Renewing(nameless, passphrases: FixedPassphrase()) }.code == "unknown-device")
    }
  }

  /// Both clocks go on by 200 days while the device is off the network: its certificate and the people's have ended, the owner's key has not.
  @Test func theOwnerComesBackToADeviceWhoseCertificateHasEnded() async throws {
    try await with { home, folders, device in
      await device.end()
      let later_s = secondsNow() + 200 * 86_400
      try await TestDevice.with(makerFolder: home.makerFolder, folders: folders, clockFloor_s: later_s) { again in
        try DeviceBook.update(home) { (book) throws(OperatorError) in try book.moved(book.devices[0].deviceId, to: again.endpoint) }
        #expect(try await failure { try OwnedDevice(home: home, device: "attic", now_s: later_s) }.code == "certificate-expired")
        _ = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase()).addMember("ada", role: "admin", renew: true, now_s: later_s)
        let ada = try OwnedDevice(home: home, device: "attic", now_s: later_s)
        let refused = try await failure { try await ada.with { (client) throws(OperatorError) in try await client.status() } }
        #expect(refused.code == "tls-failed" && refused.reason.contains("haechi renew"), "\(refused)")
        let done = try await Renewing(ada, passphrases: FixedPassphrase()).run()
        #expect(done.wasExpired)
        let info = try await ada.with { (client) throws(OperatorError) in try await client.info() }
        #expect(info.lifeCycleState == "owned" && info.deviceId == done.deviceId)
        let credential = try await ada.with { (client) throws(OperatorError) in try await client.credential() }
        #expect(Sheet.credentialWarning(credential, now_s: later_s).isEmpty)
        #expect(Sheet.credentialWarning(credential, now_s: later_s + 61 * 86_400).first?.contains("ends in 28 days") == true)
        #expect(Sheet.credentialWarning(credential, now_s: later_s + 91 * 86_400).first?.contains("ended at") == true)
      }
    }
  }

  @Test func aDeviceThatIsGivenUpIsNobodys() async throws {
    try await with { home, folders, device in
      let ada = try OwnedDevice(home: home, device: "attic")
      let done = try await Transferring(ada).run()
      #expect(done.lifeCycleState == "provisioned" && done.ownerId == ada.owner.ownerId)
      #expect(try DeviceBook.load(home).devices.first?.ownerId == nil)
      #expect(try await failure { try OwnedDevice(home: home, device: "attic") }.code == "not-claimed")
      // Who goes on as if nothing had been hears what happened.
      #expect(try await failure { try await ada.guardState() }.code == "not-claimed")
      await device.end()
      let another = OperatorHome(path: home.path + "-of-another")
      try await TestDevice.with(makerFolder: home.makerFolder, folders: folders) { again in
        let claimed = try await again.claim(another, label: try device.label(), alias: "mine", makerCAFile: home.makerFolder + "/maker-ca.pem")
        #expect(claimed.ownerId != done.ownerId)
      }
    }
  }
}
