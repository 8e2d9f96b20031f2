import Crypto
import Foundations
import Identity
import TLS
import Testing

@testable import OperatorKit

/// A claim needs the label of the very device and somebody at it: DeviceCore's own devices, over TLS on loopback.
@Suite(.serialized) struct ClaimEndToEndTests {
  private func with(_ body: (TestDevice, OperatorHome) async throws -> Void) async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      _ = try await device.provision(home)
      try await body(device, home)
    }
  }

  private func changed(_ label: DeviceLabel, serialNumber: String? = nil, keyHash: [UInt8]? = nil, code: LabelCode? = nil) throws -> DeviceLabel {
    let serialNumber = try #require(LabelSerialNumber(serialNumber ?? label.serialNumber.text))
    return try #require(DeviceLabel(serialNumber: serialNumber, keyHash: keyHash ?? label.keyHash, code: code ?? label.code))
  }

  @Test func aWrongLabelIsTold() async throws {
    try await with { device, home in
      let label = try device.label()
      let address = device.endpoint.description
      let otherSerial = try await failure { try await device.claim(home, label: try changed(label, serialNumber: "OTHER-1"), device: address) }
      #expect(otherSerial.code == "wrong-device" && otherSerial.reason.contains("OTHER-1"), "\(otherSerial)")
      let otherKey = try await failure {
        try await device.claim(home, label: try changed(label, keyHash: [UInt8](repeating: 1, count: 32)), device: address)
      }
      #expect(otherKey.code == "wrong-device", "\(otherKey)")
      #expect(!PrivateFiles.exists(home.ownerFolder), "no owner is made for nothing")
      let otherCode = try await failure { try await device.claim(home, label: try changed(label, code: try LabelCode.random())) }
      #expect(otherCode.code == "label-wrong" && otherCode.reason.contains(label.serialNumber.text), "\(otherCode)")
      // After the back-off, which is waited for, the right one.
      #expect(try await device.claim(home).deviceId == label.deviceId.text)
    }
  }

  @Test func withoutTheButtonNothingHappens() async throws {
    try await with { device, home in
      var patience = ClaimPatience()
      patience.button_s = 0
      var steps: [ClaimStep] = []
      let error = try await failure {
        try await Claiming(home: home, ownerFolder: nil, makerCAFile: nil, passphrases: FixedPassphrase())
          .run(device: nil, label: try device.label(), person: "ada", patience: patience) { steps.append($0) }
      }
      #expect(error.code == "button-not-pressed", "\(error)")
      #expect(steps == [.pressButton(within_s: 0)])
    }
  }

  @Test func theLabelOfAnOwnedDeviceWipesItWhereItIsMeantTo() async throws {
    try await with { device, home in
      let first = try await device.claim(home)
      let other = OperatorHome(path: home.path + "/other")
      try MakerFolder.remember(try KeyFiles.certificate(home.makerFolder + "/maker-ca.pem"), other)
      let kept = try await failure { try await device.claim(other) }
      #expect(kept.code == "wrong-device" && kept.reason.contains("--wipe"), "\(kept)")
      // The label of another device wipes nothing, though somebody stands at this one.
      let strange = try changed(try device.label(), keyHash: [UInt8](repeating: 1, count: 32))
      let refused = try await failure { try await device.claim(other, label: strange, device: device.endpoint.description, wipes: true) }
      #expect(refused.code == "wrong-device" && refused.reason.contains("nothing was proved"), "\(refused)")
      let second = try await device.claim(other, wipes: true)
      #expect(second.wiped && second.deviceId == first.deviceId && second.ownerId != first.ownerId)
      let former = try await failure {
        try await OwnedDevice(home: home, device: first.deviceId).with { (client) throws(OperatorError) in try await client.info() }
      }
      #expect(former.code == "wrong-device", "\(former)")
    }
  }

  /// The device has its owner, and its answer never came: the same order once more ends the claim, for this owner and for no other.
  @Test func aClaimWhoseAnswerWasLostIsEndedByTheNext() async throws {
    try await with { device, home in
      let book = try PrivateFiles.read(home.devicesFile)
      let first = try await device.claim(home)
      let other = OperatorHome(path: home.path + "/other")
      try MakerFolder.remember(try KeyFiles.certificate(home.makerFolder + "/maker-ca.pem"), other)
      _ = try makeOwner(other.ownerFolder)
      try PrivateFiles.write(book, to: home.devicesFile, existing: .replace)
      let unknown = try await failure {
        try await OwnedDevice(home: home, device: first.deviceId).with { (client) throws(OperatorError) in try await client.info() }
      }
      #expect(unknown.code == "not-claimed" && unknown.reason.contains("cut off"), "\(unknown)")
      // Nobody is at the device, and its button is not needed.
      var steps: [ClaimStep] = []
      let again = try await Claiming(home: home, ownerFolder: nil, makerCAFile: nil, passphrases: FixedPassphrase())
        .run(device: device.endpoint.description, label: try device.label(), person: "ada") { steps.append($0) }
      #expect(steps == [])
      #expect(again.deviceId == first.deviceId && again.ownerId == first.ownerId && !again.ownerIsNew && !again.wiped && again.lifeCycleState == "owned")
      let info = try await OwnedDevice(home: home, device: first.deviceId).with { (client) throws(OperatorError) in try await client.info() }
      #expect(info.ownerId == first.ownerId)
      // What is known to be owned is not claimed once more, and another's never.
      let known = try await failure { try await device.claim(home) }
      #expect(known.code == "wrong-device" && known.reason.contains("--wipe"), "\(known)")
      let foreign = try await failure { try await device.claim(other) }
      #expect(foreign.code == "wrong-device" && foreign.reason.contains("--wipe"), "\(foreign)")
    }
  }

  /// Two genuine devices of one maker, and an attacker who has the second in hand, its key too, and stands between the owner and the first.
  @Test func aGenuineDeviceInBetweenCannotClaimForAnyone() async throws {
    try await with { device, home in
      // The owner is led to the attacker's device in place of their own.
      try await TestDevice.with(makerFolder: home.makerFolder) { attackers in
        _ = try await attackers.provision(home)
        let misled = try await failure { try await device.claim(home, device: attackers.endpoint.description) }
        #expect(misled.code == "wrong-device", "\(misled)")
      }
      // An owner's tool that looks at nothing, and proves the label to whoever is there: the proof is passed on, and holds for another connection.
      let label = try device.label()
      let owner = try makeOwner(home.path + "/careless")
      let security = try ConnectionSecurity(
        credential: try Claiming.claimant(now_s: secondsNow()), trust: .provedLater, peerName: "anyone"
      ) { _ in nil }
      device.press(true)
      try await DeviceConnection.with(device.endpoint, security: security) { (toVictim) throws(OperatorError) in
        try await DeviceConnection.with(device.endpoint, security: security) { (toDevice) throws(OperatorError) in
          var patience = ClaimPatience()
          patience.poll_ms = 20
          let victim = LabelProver(label: label, client: DeviceClient(toVictim), patience: patience)
          let attacker = LabelProver(label: label, client: DeviceClient(toDevice), patience: patience)
          let offer = try await attacker.client.get(ClaimOffer.self, "/v1/claim")
          let request = try Profiles.request(offer.certificateRequest ?? "", from: device.endpoint)
          let chain = try Profiles.lDevID(
            issuer: owner.issuer, key: request.publicKey, owner: owner.owner.identifier, deviceId: label.deviceId, now_s: secondsNow())
          let proof = try await victim.proof(for: owner.owner.authority, offer: offer)
          let relayed = ClaimOrder(ownerCertificate: owner.owner.authority.pem, certificateChain: chain.pem, proof: proof)
          do throws(OperatorError) {
            _ = try await attacker.send(relayed) { _ in }
            Issue.record("a relayed proof was taken")
          } catch {
            #expect(error.code == "label-wrong", "\(error)")
          }
        }
      }
      #expect(try await device.claim(home).lifeCycleState == "owned")
    }
  }
}
