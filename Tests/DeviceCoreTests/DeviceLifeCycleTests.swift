import Crypto
import Foundations
import Identity
import LocalAPI
import SupervisorLink
import Testing

@testable import DeviceCore

/// The life cycle with real keys and certificates.
@Suite struct DeviceLifeCycleTests {
  let identity = TestFolder()
  let folder = TestFolder()
  let maker: Maker
  let owner: Owner
  let label: Label
  let grades = GradeHolder()

  init() throws {
    maker = try Maker()
    owner = try Owner()
    label = try Label()
  }

  /// Of the same maker, owner and label, with folders of its own.
  init(of other: DeviceLifeCycleTests) throws { (maker, owner, label) = (other.maker, other.owner, other.label) }

  func load(_ clock: WallClock = testClock, _ surroundings: Device.Surroundings = Device.Surroundings()) async throws -> Device {
    try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: folder.path), maker: maker.authority, clock: clock, log: DeviceLog(),
      grades: grades, surroundings: surroundings)
  }

  func provision(_ device: Device) async throws {
    try await device.provision(
      serialNumber: "HC-0001", chainPEM: try maker.sign(try device.provisioningRequest(), serialNumber: "HC-0001"), label: label.document, connection: 1)
  }

  /// A claim that is right but for what the caller changes.
  func order(_ device: Device, owner: Owner? = nil) throws -> ClaimOrder {
    let owner = owner ?? self.owner
    let binding = [UInt8](repeating: 7, count: 32)
    let chain = try device.claimOffer(binding: binding).certificateRequest.map { try owner.sign($0, device: device.identifier) }
    return ClaimOrder(
      owner: owner.issuer.certificate.pem, chain: chain, proof: try label.proof(device.identifier, binding, owner), binding: binding, caller: "claimant",
      connection: 2)
  }

  func claim(_ device: Device) async throws {
    device.gate.presence.press()
    let expected = owner.issuer.certificate
    try await device.claim(
      try order(device),
      ClaimPermissions(
        pin: { #expect($0 == expected) },
        wipe: { () async throws(Problem) in throw .unavailable("Nothing is to be wiped here.") }))
  }

  /// A claim whose pin must never be reached.
  func refusedClaim(_ device: Device, _ order: ClaimOrder) async -> String? {
    device.gate.presence.press()
    do {
      try await device.claim(
        order, ClaimPermissions(pin: { _ in Issue.record("pinned by a claim that is refused") }, wipe: { Issue.record("wiped by a claim that is refused") }))
      return nil
    } catch {
      return error.code
    }
  }

  func code(_ operation: () async throws -> Void) async -> String? {
    do {
      try await operation()
      return nil
    } catch {
      return (error as? Problem)?.code ?? "\(error)"
    }
  }

  @Test func goesFromBlankToOwnedAndRemembersIt() async throws {
    let device = try await load()
    #expect(device.standing == Device.Standing(phase: .blank))
    #expect(identity.mode(of: "device.key") == 0o600)
    try await provision(device)
    #expect(device.standing == Device.Standing(phase: .provisioned, serialNumber: "HC-0001"))
    try await claim(device)
    #expect(device.standing == Device.Standing(phase: .owned, serialNumber: "HC-0001", owner: owner.identifier))
    #expect(identity.mode(of: "identity.json") == 0o600 && folder.mode(of: "owner.json") == 0o600 && folder.mode(of: "operational.key") == 0o600)

    let again = try await load()
    #expect(again.standing == device.standing)
    #expect(again.identifier == device.identifier)
    _ = try again.credentials()
  }

  @Test func aBlankDeviceKeepsItsKey() async throws {
    let first = try await load().identifier
    #expect(try await load().identifier == first)
  }

  @Test func eachStepHasItsTime() async throws {
    let device = try await load()
    #expect(await code { _ = try device.claimOffer(binding: []) } == "life-cycle-state")
    let early = ClaimOrder(owner: "", chain: "", proof: "", binding: [], caller: "claimant", connection: 1)
    #expect(await refusedClaim(device, early) == "life-cycle-state")
    try await provision(device)
    #expect(await code { _ = try device.provisioningRequest() } == "life-cycle-state")
    #expect(await code { try await device.provision(serialNumber: "X", chainPEM: "", label: label.document, connection: 1) } == "life-cycle-state")
    var order = try await order(load())
    #expect(await refusedClaim(device, order) == "claim-not-offered")
    order = try self.order(device)
    order.chain = nil
    #expect(await refusedClaim(device, order) == "certificate-missing")
    try await claim(device)
    #expect(await code { _ = try device.provisioningRequest() } == "life-cycle-state")
  }

  @Test func wrongMakerChainsChangeNothing() async throws {
    let device = try await load()
    let request = try device.provisioningRequest()
    let good = try maker.sign(request, serialNumber: "HC-0001")
    let stranger = try Maker(name: "Another maker").sign(request, serialNumber: "HC-0001")
    let otherKey = try PrivateKey.generateP256()
    let otherDevice = try maker.sign(try InitialDeviceProfile.request(key: otherKey).pem, serialNumber: "HC-0001")
    #expect(
      await code { try await device.provision(serialNumber: "HC-0001", chainPEM: stranger, label: label.document, connection: 1) } == "certificate-untrusted")
    #expect(await code { try await device.provision(serialNumber: "HC-0002", chainPEM: good, label: label.document, connection: 1) } == "certificate-profile")
    #expect(
      await code { try await device.provision(serialNumber: "HC-0001", chainPEM: otherDevice, label: label.document, connection: 1) } == "certificate-profile")
    #expect(
      await code { try await device.provision(serialNumber: "HC-0001", chainPEM: "nonsense", label: label.document, connection: 1) } == "certificate-malformed")
    #expect(
      await code { try await device.provision(serialNumber: "HC-0001", chainPEM: maker.station.pem, label: label.document, connection: 1) }
        == "certificate-profile")
    #expect(await code { try await device.provision(serialNumber: "a b", chainPEM: good, label: label.document, connection: 1) } == "serial-number-invalid")
    #expect(await code { try await device.provision(serialNumber: "", chainPEM: good, label: label.document, connection: 1) } == "serial-number-invalid")
    #expect(device.standing.phase == .blank)
    #expect(identity.read("identity.json") == nil)
  }

  /// A certificate that belongs to nothing is not kept: TLS could refuse to show it, at each start from then on.
  @Test func whatCameAlongWithAChainIsNotKept() async throws {
    let stranger = try Maker(name: "Another maker").authority.pem
    let device = try await load()
    let chain = try maker.sign(try device.provisioningRequest(), serialNumber: "HC-0001")
    try await device.provision(serialNumber: "HC-0001", chainPEM: chain + stranger + maker.authority.pem, label: label.document, connection: 1)
    var order = try order(device)
    order.chain = (order.chain ?? "") + stranger
    device.gate.presence.press()
    try await device.claim(order, ClaimPermissions(pin: { _ in }, wipe: {}))
    #expect(device.operationalCredential?.chain.count == 1)
    for device in [device, try await load()] {
      #expect(device.standing.phase == .owned && device.operationalCredential?.chain.count == 1)
      _ = try device.credentials()
    }
    let body = stranger.split(separator: "\n")[1]
    #expect(identity.read("identity.json")?.contains(body) == false && folder.read("owner.json")?.contains(body) == false)
  }

  /// A wipe that was cut off after it had destroyed a part goes on, whatever is left.
  @Test func aWipeGoesOnOverWhatItHasBroken() async throws {
    let device = try await load()
    try await provision(device)
    try await claim(device)
    try device.identityFolder.write(StoredIntent(kind: .wipe))
    folder.write("half of what was", to: "owner.json")
    let again = try await load()
    #expect(again.standing.phase == .provisioned && folder.read("owner.json") == nil)
  }

  @Test func aLabelOutOfItsBoundsIsRefused() async throws {
    let device = try await load()
    let chain = try maker.sign(try device.provisioningRequest(), serialNumber: "HC-0001")
    func refusal(_ change: (inout LabelDocument) -> Void) async -> String? {
      var document = label.document
      change(&document)
      return await code { try await device.provision(serialNumber: "HC-0001", chainPEM: chain, label: document, connection: 1) }
    }
    for n in [0, 1, 1 << 13, (1 << 14) + 1, 1 << 21, Int.max, Int.min, -(1 << 15)] { #expect(await refusal { $0.n = n } == "label-invalid", "\(n)") }
    for r in [0, 7, 33, Int.max, -8] { #expect(await refusal { $0.r = r } == "label-invalid", "\(r)") }
    for p in [0, 5, Int.max, -1] { #expect(await refusal { $0.p = p } == "label-invalid", "\(p)") }
    for text in ["", "0", String(repeating: "0", count: 31), String(repeating: "g", count: 32), String(repeating: "0", count: 66)] {
      #expect(await refusal { $0.salt = text } == "label-invalid")
      #expect(await refusal { $0.storedKey = text } == "label-invalid")
    }
    #expect(device.standing.phase == .blank && identity.read("identity.json") == nil)
    for (n, r, p) in [(1 << 14, 8, 1), (1 << 20, 32, 4)] {
      #expect(
        try StoredLabel(
          LabelDocument(
            salt: label.document.salt, n: n, r: r, p: p, storedKey: label.document.storedKey)
        ).fault == nil)
    }
    try await provision(device)
  }

  @Test func wrongClaimsChangeNothing() async throws {
    let device = try await load()
    try await provision(device)
    let request = try #require(try device.claimOffer(binding: []).certificateRequest)
    let again = try #require(try device.claimOffer(binding: []).certificateRequest)
    #expect(try CertificateRequest(pem: request).publicKey.der == CertificateRequest(pem: again).publicKey.der)
    let good = try order(device)
    let stranger = try Owner()
    func refusal(_ change: (inout ClaimOrder) throws -> Void) async throws -> String? {
      var order = good
      try change(&order)
      return await refusedClaim(device, order)
    }
    #expect(try await refusal { $0.owner = stranger.issuer.certificate.pem } == "certificate-profile")
    #expect(try await refusal { $0.owner = maker.authority.pem } == "certificate-profile")
    #expect(try await refusal { $0.owner = maker.station.pem } == "certificate-purpose")
    #expect(try await refusal { $0.owner = "" } == "certificate-malformed")
    #expect(try await refusal { $0.chain = try owner.person("kim", .admin).certificate.pem } == "certificate-profile")
    // Signed by a stranger in the owner's name.
    let key = try CertificateRequest(pem: request).publicKey
    let forged = try stranger.issuer.issue(
      OperationalDeviceProfile.template(owner: owner.identifier, device: device.identifier, now_s: testClock.now_s()), publicKey: key)
    #expect(try await refusal { $0.chain = forged.pem } == "certificate-untrusted")
    for proof in ["", "00", good.proof + "00", "zz" + good.proof.dropFirst(2)] { #expect(try await refusal { $0.proof = proof } == "proof-malformed") }
    #expect(try await refusal { $0.binding = [] } == "unavailable")
    // None of these was a wrong proof.
    #expect(device.gate.lockOutDocument.failures == 0)
    #expect(device.standing.phase == .provisioned)
    #expect(folder.read("operational.key") == nil)
    try await claim(device)
  }

  /// Every way in which the folder can be wrong makes the device damaged, and never blank.
  @Test func wrongFoldersAreDamage() async throws {
    let device = try await load()
    try await provision(device)
    try await claim(device)
    let made = try #require(identity.read("identity.json"))
    let owned = try #require(folder.read("owner.json"))
    let otherKey = String(decoding: try PrivateKey.generateP256().pem().withUnsafeBytes { Array($0) }, as: UTF8.self)
    let deviceKey = try #require(identity.read("device.key"))
    let operationalKey = try #require(folder.read("operational.key"))
    func expectDamage(_ what: String, _ change: () -> Void) async throws {
      change()
      let damaged = try await load()
      #expect(damaged.standing.phase == .damaged, "\(what)")
      #expect(damaged.standing.damage?.isEmpty == false)
      #expect(damaged.standing.owner == nil)
      #expect(await code { _ = try damaged.claimOffer(binding: []) } == "device-damaged")
      _ = try damaged.provisioningRequest()
      _ = try damaged.credentials()
      identity.write(made, to: "identity.json")
      identity.write(deviceKey, to: "device.key")
      for name in ["lockout.json", "intent.json", "receipt.json"] { identity.remove(name) }
      folder.write(owned, to: "owner.json")
      folder.write(operationalKey, to: "operational.key")
      #expect(try await load().standing.phase == .owned)
    }
    try await expectDamage("empty owner") { folder.write("", to: "owner.json") }
    try await expectDamage("empty identity") { identity.write("", to: "identity.json") }
    try await expectDamage("no identity") { identity.remove("identity.json") }
    try await expectDamage("cut owner") { folder.write(String(owned.prefix(owned.count / 2)), to: "owner.json") }
    try await expectDamage("cut identity") { identity.write(String(made.prefix(made.count / 2)), to: "identity.json") }
    try await expectDamage("huge owner") { folder.write(owned + String(repeating: " ", count: 70_000), to: "owner.json") }
    try await expectDamage("owner of a later version") { folder.write(owned.replacing("\"version\":1", with: "\"version\":2"), to: "owner.json") }
    try await expectDamage("identity of a later version") { identity.write(made.replacing("\"version\":1", with: "\"version\":2"), to: "identity.json") }
    try await expectDamage("another serial number") { identity.write(made.replacing("HC-0001", with: "HC-0002"), to: "identity.json") }
    try await expectDamage("flipped owner") { folder.write(owned.replacing("MII", with: "MIJ"), to: "owner.json") }
    try await expectDamage("flipped identity") { identity.write(made.replacing("MII", with: "MIJ"), to: "identity.json") }
    try await expectDamage("a label that cannot be") { identity.write(made.replacing("\"n\":32768", with: "\"n\":3"), to: "identity.json") }
    try await expectDamage("readable by others") { folder.write(owned, to: "owner.json", mode: 0o644) }
    try await expectDamage("no device key") { identity.remove("device.key") }
    try await expectDamage("another device key") { identity.write(otherKey, to: "device.key") }
    try await expectDamage("broken device key") { identity.write("x", to: "device.key") }
    try await expectDamage("no operational key") { folder.remove("operational.key") }
    try await expectDamage("another operational key") { folder.write(otherKey, to: "operational.key") }
    try await expectDamage("a count that cannot be read") { identity.write("{}", to: "lockout.json") }
    try await expectDamage("a provisioning that was cut off") { identity.write("{\"kind\":\"provision\",\"version\":1}", to: "intent.json") }
    try await expectDamage("an identity with a member of nobody's") {
      identity.write(made.replacing("{\"label\"", with: "{\"a\":\"parked\",\"label\""), to: "identity.json")
    }
    try await expectDamage("an identity with room in it") { identity.write(made + " ", to: "identity.json") }
    try await expectDamage("an identity with a text between its certificates") {
      identity.write(made.replacing("\"makerChain\":\"", with: "\"makerChain\":\"parked\\n"), to: "identity.json")
    }
    try await expectDamage("a huge identity") { identity.write(made + String(repeating: " ", count: 16_384), to: "identity.json") }
    try await expectDamage("a huge device key") { identity.write(deviceKey + String(repeating: " ", count: 256), to: "device.key") }
    try await expectDamage("a receipt that cannot be read") { identity.write("{}", to: "receipt.json") }
    try await expectDamage("an unknown intent") { identity.write("{\"kind\":\"sell\",\"version\":1}", to: "intent.json") }
  }

  /// What it was is gone then, and its key stays where it can still be read.
  @Test func aStationMakesADamagedDeviceWhole() async throws {
    let device = try await load()
    try await provision(device)
    try await claim(device)
    folder.remove("operational.key")
    let damaged = try await load()
    #expect(damaged.standing.phase == .damaged && damaged.identifier == device.identifier)
    folder.write("{}", to: "cloud.json")
    try await provision(damaged)
    for whole in [damaged, try await load()] {
      #expect(whole.standing == Device.Standing(phase: .provisioned, serialNumber: "HC-0001") && whole.identifier == device.identifier)
    }
    for name in ["owner.json", "operational.key", "cloud.json"] { #expect(folder.read(name) == nil) }

    identity.remove("device.key")
    let bare = try await load()
    #expect(bare.standing.phase == .damaged && bare.identifier != device.identifier && identity.read("device.key") == nil)
    try await provision(bare)
    #expect(try await load().standing.phase == .provisioned)
    #expect(try await load().identifier == bare.identifier)
  }

  /// The receipt is nothing that a station writes anew: one that is whole stays, another goes.
  @Test(arguments: [true, false]) func aReceiptThatCannotBeReadDoesNotOutliveAStation(_ isWhole: Bool) async throws {
    let receipt = StoredReceipt(statement: "{}", signature: "00")
    let whole = String(decoding: try jsonText(receipt), as: UTF8.self)
    try await provision(try await load())
    identity.write(isWhole ? whole : "{}", to: "receipt.json")
    identity.write("x", to: "identity.json")
    let damaged = try await load()
    #expect(damaged.standing.phase == .damaged)
    try await provision(damaged)
    #expect(try await load().standing.phase == .provisioned)
    #expect(identity.read("receipt.json") == (isWhole ? whole : nil))
  }

  @Test func aKeyThatIsBrokenIsDamageAlsoWithoutAState() async throws {
    identity.write("x", to: "device.key")
    let device = try await load()
    #expect(device.standing.phase == .damaged)
    #expect(identity.read("device.key") == "x")
  }

  @Test func aStorageThatIsNotOpenIsDamageWhateverTheFolderHolds() async throws {
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: folder.path), damage: "the partition ident is an older copy",
      maker: maker.authority, clock: testClock, log: DeviceLog(), grades: grades)
    #expect(device.standing.phase == .damaged)
    #expect(device.standing.damage == "the partition ident is an older copy")
    #expect(identity.read("device.key") == nil)
  }

  @Test func aStorageThatIsLostIsMadeAnewBeforeAnythingIsKept() async throws {
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path), state: StateFolder(path: folder.path), damage: "the partition ident is an older copy",
      maker: maker.authority, clock: testClock, log: DeviceLog(), grades: grades, surroundings: Device.Surroundings(isStorageLost: true))
    #expect(await code { _ = try device.provisioningRequest() } == "storage-lost")
    #expect(await code { try await device.provision(serialNumber: "X", chainPEM: "", label: label.document, connection: 1) } == "storage-lost")
    let asked = Told()
    #expect(
      await code {
        try await device.remakeStorage { () async throws(Problem) in
          asked.add(1)
          throw .presenceNeeded("Press it.")
        }
      } == "presence-needed")
    #expect(await code { try await device.remakeStorage { asked.add(2) } } == nil)
    // It restarts: nothing of its life changes any more.
    #expect(await code { try await device.remakeStorage { asked.add(3) } } == "restarting")
    #expect(asked.connections == [1, 2])
    #expect(identity.contents().isEmpty && folder.contents().isEmpty)
  }

  @Test func aStorageThatIsWholeIsNotMadeAnew() async throws {
    let device = try await load()
    #expect(await code { try await device.remakeStorage { Issue.record("asked for a blank device") } } == "life-cycle-state")
    try await provision(device)
    identity.write("x", to: "identity.json")
    let damaged = try await load()
    #expect(damaged.standing.phase == .damaged)
    #expect(await code { try await damaged.remakeStorage { Issue.record("asked for a storage that is whole") } } == "storage-whole")
  }

  @Test func aChangeIsTold() async throws {
    let device = try await load()
    let told = Told()
    device.onChange { told.add($0) }
    try await provision(device)
    try await claim(device)
    #expect(told.connections == [1, 2])
  }
}
