import Crypto
import FoundationEssentials
import Foundations
import Identity
import TLS
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
        // What was replaced counts nowhere any more, as the device itself knows.
        let list = try await ada.with { (client) throws(OperatorError) in try await client.get(RevocationState.self, "/v1/revocations") }
        #expect(done.notWithdrawn == nil && done.revocationList == list.number && Set(list.revoked) == Set(serials))
        #expect(Sheet.former(done).first?.contains("haechi member push") == true)
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

  /// What was changed, and what another maker vouches for, proves nothing.
  private static func badReceiptsAreNamed(_ file: String, _ receipt: VerifiedReceipt, home: OperatorHome) async throws {
    let good = String(decoding: try PrivateFiles.read(file), as: UTF8.self)
    func verdict(_ text: String, makers: OperatorHome? = nil) throws -> OperatorError? {
      let bad = home.path + "/bad.json"
      try PrivateFiles.write(Array(text.utf8), to: bad, existing: .replace)
      do {
        _ = try Receipts(home: makers ?? home, makerCAFile: nil).verify(file: bad)
        return nil
      } catch {
        return error
      }
    }
    #expect(try verdict(good) == nil)
    #expect(try verdict(good.replacing("owner", with: "label"))?.reason.contains("signature") == true)
    #expect(try verdict(good.replacing("\"signature\":\"30", with: "\"signature\":\"31"))?.code == "receipt-wrong")
    #expect(try verdict(String(good.dropLast(40)))?.code == "file-malformed")
    #expect(try verdict("")?.code == "file-malformed")
    #expect(try verdict("{\"statement\":\"{}\",\"signature\":\"\",\"certificateChain\":\"\"}")?.code == "receipt-wrong")
    let other = OperatorHome(path: home.path + "-of-another-maker")
    _ = try MakerFolder.make(other.makerFolder, home: other)
    #expect(try verdict(good, makers: other)?.reason.contains("not of a maker that is known here") == true)
    // Every byte of it counts, or is white space of the file.
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<60 {
      var bytes = Array(good.utf8)
      let at = Int.random(in: 0..<bytes.count - 1, using: &generator)
      bytes[at] ^= 1 << UInt8.random(in: 0..<7, using: &generator)
      guard let changed = String(validating: bytes, as: UTF8.self) else { continue }
      // How base64 is broken into lines, or ends, changes nothing of what it says.
      if try verdict(changed) == nil { #expect(try Receipts(home: home, makerCAFile: nil).verify(file: home.path + "/bad.json") == receipt) }
    }
  }

  /// Somebody has copied the device's LDevID key, and answers in its place: that is not enough for a certificate of a key of the thief's.
  @Test func aStolenOperationalKeyIsNotRenewed() async throws {
    try await with { home, folders, device in
      let ada = try OwnedDevice(home: home, device: "attic")
      let id = try #require(ada.deviceId)
      // The genuine offer over another connection, as a thief may have seen it.
      let seen = try await ada.with { (client) throws(OperatorError) in
        try await client.send(RenewalOffer.self, DeviceRequest(.post, "/v1/credential/renewal"))
      }
      let genuine = try Profiles.request(seen.certificateRequest, from: device.endpoint)
      #expect(!Renewing.proves(seen.identity, id, IdentityProof.signedBytes(device: id, binding: [UInt8](repeating: 0, count: 32), request: genuine)))

      let owned = try JSONDecoder().decode(Owned.self, from: Data(try PrivateFiles.read(folders.state.path + "/owner.json")))
      let key = try PrivateKey(pem: SecretBytes(copying: try PrivateFiles.read(folders.state.path + "/operational.key")))
      let own = try PrivateKey.generateP256()
      let tls = try TLSServerContext(
        chain: try Certificate.chain(pem: owned.operationalChain), key: key, trust: .authority([ada.owner.authority], requiredUsage: .clientAuthentication),
        clock: WallClock(floor_s: 0), tickets: SessionTicketKeys())
      let request = try OperationalDeviceProfile.request(key: own, device: id).pem
      // The chain is public; the signature is the thief's, or an old one of the device's.
      let forged = hexadecimal(try own.signature(of: [1, 2, 3]))
      for signature in [forged, seen.identity.signature] {
        let identity = ClaimOffer.IdentityProof(certificateChain: seen.identity.certificateChain, signature: signature)
        let offer = RenewalOffer(deviceId: id.text, certificateRequest: request, identity: identity)
        let answer = ScriptedServer.Answer(status: "200 OK", type: "application/json", body: String(decoding: try encode(offer), as: UTF8.self))
        try await ScriptedServer.with([answer, answer], tls: tls) { thief in
          try DeviceBook.update(home) { (book) throws(OperatorError) in try book.moved(id.text, to: thief.endpoint) }
          let known = try OwnedDevice(home: home, device: "attic")
          let refused = try await failure { try await Renewing(known, passphrases: FixedPassphrase()).run() }
          #expect(refused.code == "device-unproved" && refused.reason.contains("nothing was signed"), "\(refused)")
          #expect(thief.requests.map(\.line) == ["POST /v1/credential/renewal HTTP/1.1"])
        }
      }
      #expect(try ada.owner.certificates(of: id, now_s: secondsNow()).count == 1, "nothing was issued")
    }
  }

  private struct Owned: Decodable { let operationalChain: String }

  /// Routine leaves room in the list for what matters more.
  @Test func aListThatIsNearlyFullIsKeptForMembersAndLostDevices() async throws {
    try await with { home, _, _ in
      let unlocked = try OwnerFolder.open(home.ownerFolder).unlock(FixedPassphrase())
      let entries = try (0..<UnlockedOwner.mostRoutine).map { number in
        RevokedCertificate(serial: try #require(CertificateSerial(bytes: [1, UInt8(number)])), revoked_s: secondsNow())
      }
      let list = try unlocked.issuer.revocationList(number: 7, revoked: entries, now_s: secondsNow())
      try PrivateFiles.write(Array(list.pem.utf8), to: unlocked.owner.revocationsFile, existing: .replace, mode: 0o644)
      let ada = try OwnedDevice(home: home, device: "attic")
      let done = try await Renewing(ada, passphrases: FixedPassphrase()).run()
      #expect(done.revocationList == nil && done.notWithdrawn?.contains("members and lost devices") == true)
      #expect(Sheet.former(done).first?.hasPrefix("warning") == true)
      // A lost device still goes on it.
      #expect(try unlocked.revokeDevice(done.deviceId).number == 8)
    }
  }

  @Test func aDeviceThatIsGivenUpIsNobodys() async throws {
    try await with { home, folders, device in
      // An address alone names no device: another one of the owner's may answer there.
      let nameless = try OwnedDevice(home: home, device: "127.0.0.1:1", person: "ada")
      #expect(try await failure { try Transferring(nameless) }.code == "unknown-device")
      let ada = try OwnedDevice(home: home, device: "attic")
      let receipts = try Receipts(home: home, makerCAFile: nil)
      let file = home.path + "/receipt.json"
      #expect(try await failure { try await receipts.fetch(device: "attic", to: file) }.refusal?.status == 404)
      let done = try await Transferring(ada).run()
      #expect(done.lifeCycleState == "provisioned" && done.ownerId == ada.owner.ownerId)
      #expect(try DeviceBook.load(home).devices.first?.ownerId == nil)
      #expect(try await failure { try OwnedDevice(home: home, device: "attic") }.code == "not-claimed")
      // Who goes on as if nothing had been hears what happened.
      #expect(try await failure { try await ada.guardState() }.code == "not-claimed")
      let receipt = try await receipts.fetch(device: "attic", to: file)
      #expect(receipt.statement.formerOwnerId == done.ownerId && receipt.statement.cause == .owner)
      await device.end()
      let another = OperatorHome(path: home.path + "-of-another")
      try await TestDevice.with(makerFolder: home.makerFolder, folders: folders) { again in
        #expect(try await receipts.fetch(device: again.endpoint.description, to: file + ".2") == receipt)
        #expect(try receipts.verify(file: file) == receipt)
        #expect(try await failure { try await receipts.fetch(device: again.endpoint.description, to: file) }.code == "file-exists")
        try await Self.badReceiptsAreNamed(file, receipt, home: home)
        let claimed = try await again.claim(another, label: try device.label(), alias: "mine", makerCAFile: home.makerFolder + "/maker-ca.pem")
        #expect(claimed.ownerId != done.ownerId)
      }
    }
  }
}
