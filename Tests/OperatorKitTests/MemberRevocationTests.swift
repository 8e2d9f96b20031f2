import Crypto
import Foundations
import Identity
import Testing

@testable import OperatorKit

/// Withdrawing members: the list in the owner's folder, and a device that hears of it.
@Suite(.serialized) struct MemberRevocationTests {
  @Test func aListOnlyGrowsAndKnowsEveryCertificateOfAMember() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let unlocked = try makeOwner(folder.path + "/owner")
    let owner = unlocked.owner
    _ = try unlocked.addMember("ada", role: "admin")
    _ = try unlocked.addMember("eve", role: "operator")
    let first = try KeyFiles.certificate(owner.folder + "/members/eve.pem")
    _ = try unlocked.addMember("eve", role: "admin", renew: true)
    let second = try KeyFiles.certificate(owner.folder + "/members/eve.pem")
    _ = try unlocked.addMember("bob", role: "viewer")
    #expect(try owner.revocationList() == nil && owner.admins(now_s: secondsNow()) == ["ada", "eve"])

    let revoked = try unlocked.revokeMember("eve")
    #expect(revoked.number == 1 && Set(revoked.serials) == Set([first, second].compactMap { $0.serial?.description }))
    let one = try #require(try owner.revocationList())
    #expect(one.revokes(first) && one.revokes(second) && one.refusal(issuer: owner.authority) == nil)
    #expect(try owner.members().map(\.name) == ["ada", "bob"])
    #expect(!PrivateFiles.exists(owner.folder + "/members/eve.key"))
    #expect(try await failure { try unlocked.revokeMember("mallory") }.code == "unknown-member")

    // She comes back with another certificate, and is withdrawn again.
    _ = try unlocked.addMember("eve", role: "viewer")
    #expect(try unlocked.revokeMember("eve").number == 2)
    let two = try #require(try owner.revocationList())
    #expect(two.revoked.count == 3 && one.revoked.allSatisfy { two.revokes($0.serial) })

    // The last admin stays, unless it is meant.
    let refused = try await failure { try unlocked.revokeMember("ada") }
    #expect(refused.code == "last-admin" && refused.exitCode == 77)
    #expect(try owner.revocationList() == two)
    #expect(try unlocked.revokeMember("ada", forcesLastAdmin: true).number == 3)
    #expect(try owner.admins(now_s: secondsNow()).isEmpty)
    let nobody = try await failure { try RevocationPush(home: OperatorHome(path: folder.path + "/home"), owner: owner) }
    #expect(nobody.code == "not-permitted")

    // A backup has the list.
    let backup = folder.path + "/backup"
    _ = try OwnerBackup.export(owner.folder, to: backup, passphrases: FixedPassphrase())
    _ = try OwnerBackup.restore(backup, into: folder.path + "/restored", passphrases: FixedPassphrase())
    #expect(try OwnerFolder.open(folder.path + "/restored").revocationList() == owner.revocationList())
  }

  @Test func everyKnownDeviceHearsOfItAndWhoDoesNotIsNamed() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await device.provision(home)
      let claimed = try await device.claim(home)
      let unlocked = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase())
      _ = try unlocked.addMember("eve", role: "admin")
      let eve = try OwnedDevice(home: home, device: claimed.deviceId, person: "eve")
      _ = try await eve.guardState()
      #expect(try await failure { try RevocationPush(home: home, owner: unlocked.owner) }.code == "nothing-to-push")

      // A device that is away.
      try DeviceBook.update(home) { (book) throws(OperatorError) in
        try book.remember(
          KnownDevice(deviceId: "00112233445566778899", alias: "cellar", address: "127.0.0.1:1", ownerId: unlocked.owner.ownerId, person: "ada"))
      }
      _ = try unlocked.revokeMember("eve")
      let report = try await RevocationPush(home: home, owner: unlocked.owner).run()
      #expect(!report.isComplete && report.number == 1 && report.devices.count == 2)
      #expect(report.devices.first { $0.deviceId == claimed.deviceId }?.reached == true)
      let away = try #require(report.devices.first { $0.name == "cellar" })
      #expect(!away.reached && away.reason != nil && Sheet.pushed(away).hasPrefix("  NOT TOLD  cellar"))
      #expect(Sheet.push(report).first?.contains("haechi member push") == true)
      #expect(try await failure { try await eve.guardState() }.code == "tls-refused")

      // Once more is no harm, and the last admin goes by a certificate of one hour.
      try DeviceBook.update(home) { (book) throws(OperatorError) in _ = book.forget("00112233445566778899") }
      #expect(try await RevocationPush(home: home, owner: unlocked.owner).run().isComplete)
      let ada = try OwnedDevice(home: home, device: claimed.deviceId)
      _ = try unlocked.revokeMember("ada", forcesLastAdmin: true)
      #expect(try await RevocationPush(home: home, signing: unlocked).run().isComplete)
      #expect(try await failure { try await ada.guardState() }.code == "tls-refused")
    }
  }
}
