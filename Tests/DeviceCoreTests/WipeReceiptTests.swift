import Crypto
import FoundationEssentials
import Foundations
import Identity
import LocalAPI
import Synchronization
import TestChip
import Testing

@testable import DeviceCore

/// What a device signs after a wipe, with and without a storage that is destroyed on the way down.
@Suite struct WipeReceiptTests {
  private let bench: DeviceLifeCycleTests

  init() throws { bench = try DeviceLifeCycleTests() }

  private func load(epoch: UInt64?, key: PrivateKey? = nil) async throws -> Device {
    try await bench.load(testClock, Device.Surroundings(identityEpoch: epoch, rootOfTrust: epoch == nil ? "none" : "tpm2", identityKey: key))
  }

  private func owned(epoch: UInt64?) async throws -> Device {
    let device = try await load(epoch: epoch)
    try await bench.provision(device)
    try await bench.claim(device)
    return device
  }

  private func wipe(_ device: Device) async throws {
    try await device.transfer(connection: 3, caller: "admin ada") {}
  }

  /// The statement, once its signature and certificate were found to be the device's.
  private func statement(_ device: Device) throws -> WipeStatement {
    let receipt = try device.receipt()
    let leaf = try #require(try Certificate.chain(pem: receipt.certificateChain).first)
    #expect(DeviceIdentifier(publicKeyDigest: leaf.publicKeyDigest) == device.identifier)
    let signature = try #require(bytes(hexadecimal: receipt.signature))
    #expect(leaf.publicKey?.isValid(signature: signature, of: WipeStatement.signedBytes(receipt.statement)) == true)
    #expect(leaf.publicKey?.isValid(signature: signature, of: Array(receipt.statement.utf8)) == false)
    return try JSONDecoder().decode(WipeStatement.self, from: Data(receipt.statement.utf8))
  }

  @Test func aStorageThatIsDestroyedMakesTheReceiptAtTheNextStart() async throws {
    let device = try await owned(epoch: 3)
    let former = try #require(device.standing.owner).text
    #expect(throws: Problem.self) { try device.receipt() }
    try await wipe(device)
    #expect(device.standing.phase == .provisioned && bench.folder.contents().isEmpty)
    // What a claim would write goes down with the rest.
    #expect(await bench.refusedClaim(device, try bench.order(device)) == "restarting")
    #expect(throws: Problem.self) { try device.receipt() }

    let next = try await load(epoch: 4)
    #expect(next.standing.phase == .provisioned && bench.identity.read("intent.json") == nil)
    let statement = try statement(next)
    #expect(statement.deviceId == next.identifier.text && statement.serialNumber == "HC-0001" && statement.cause == .owner)
    #expect(statement.formerOwnerId == former && statement.rootOfTrust == "tpm2")
    #expect(statement.identityEpochBefore == 3 && statement.identityEpochAfter == 4)
    try await bench.claim(next)
    // It stays with the device, whoever owns it next.
    let later = try await load(epoch: 4)
    #expect(later.standing.phase == .owned)
    #expect(try self.statement(later) == statement)
  }

  @Test("the receipt says what became of the data at the cloud", arguments: [WipeStatement.CloudErasure.confirmed, .unconfirmed, .none])
  func cloud(_ erasure: WipeStatement.CloudErasure) async throws {
    let device = try await owned(epoch: 3)
    let asked = Mutex(0), takenBack = Mutex(0)
    device.onWipe(
      Device.Farewell(
        ask: {
          asked.withLock { $0 += 1 }
          return erasure
        }, takeBack: { takenBack.withLock { $0 += 1 } }))
    await #expect(throws: Problem.self) {
      try await device.transfer(connection: 3, caller: "admin ada") { () async throws(Problem) in throw .unavailable("no") }
    }
    #expect(takenBack.withLock { $0 } == 1 && device.standing.phase == .owned)
    try await wipe(device)
    #expect(asked.withLock { $0 } == 2 && takenBack.withLock { $0 } == 1)
    #expect(try statement(try await load(epoch: 4)).cloudErasure == erasure)
  }

  @Test func aHandAtTheButtonGetsItsOwnReceipt() async throws {
    let device = try await owned(epoch: 3)
    let former = try #require(device.standing.owner).text
    try await device.wipeByHand {}
    #expect(device.standing.phase == .provisioned && bench.folder.contents().isEmpty)
    let statement = try statement(try await load(epoch: 4))
    #expect(statement.cause == .button && statement.formerOwnerId == former)
    // Nobody's device has nothing to wipe.
    await #expect(throws: Problem.self) { try await device.wipeByHand {} }
  }

  /// The intent lies in the folder when the supervisor is asked, which keeps both in one record; refused, or cut off before that, it means nothing.
  @Test func anOrderThatIsRefusedChangesNothing() async throws {
    let device = try await owned(epoch: 3)
    let seen = Mutex(false)
    await #expect(throws: Problem.self) {
      try await device.transfer(connection: 3, caller: "admin ada") { () async throws(Problem) in
        seen.withLock { $0 = bench.identity.read("intent.json") != nil }
        throw .unavailable("no")
      }
    }
    #expect(seen.withLock { $0 } && device.standing.phase == .owned && bench.identity.read("intent.json") == nil)
    try device.identityFolder.write(
      StoredIntent(kind: .wipe, wipe: StoredWipe(cause: .owner, time_s: 1, formerOwnerId: "", identityEpoch: 3)))
    let next = try await load(epoch: 3)
    #expect(next.standing.phase == .owned && bench.identity.read("intent.json") == nil)
  }

  @Test func aReceiptOfAnEarlierLifeIsNotShown() async throws {
    try await wipe(try await owned(epoch: 3))
    #expect(try statement(try await load(epoch: 4)).identityEpochAfter == 4)
    let later = try await load(epoch: 5)
    #expect(throws: Problem.self) { try later.receipt() }
  }

  @Test func withoutAStorageFilesAreRemovedAtOnceAndTheReceiptSaysNoMore() async throws {
    let device = try await owned(epoch: nil)
    device.gate.presence.press()
    let order = try bench.order(device)
    await #expect(throws: Problem.self) { try await device.claim(order, ClaimPermissions(pin: { _ in }, wipe: {})) }
    let statement = try statement(device)
    #expect(statement.cause == .label && statement.rootOfTrust == "none" && statement.identityEpochAfter == nil)
    #expect(try self.statement(try await load(epoch: nil)) == statement)
    try await bench.claim(device)
  }

  /// The receipt is the key's own, wherever it lies; a damaged device that is made whole has no file of it either.
  @Test func aKeyOutsideSignsTheReceipt() async throws {
    let chip = try TestChip()
    // Served by nobody here, so that no handshake needs a thread.
    let device = try await load(epoch: 3, key: chip.outside())
    try await bench.provision(device)
    try await bench.claim(device)
    try await wipe(device)
    let next = try await load(epoch: 4, key: chip.outside())
    #expect(try statement(next).deviceId == DeviceIdentifier(publicKeyDigest: chip.publicKey.digest)?.text)
    #expect(bench.identity.read("device.key") == nil)

    bench.identity.write("{", to: "identity.json")
    let damaged = try await load(epoch: 4, key: chip.outside())
    #expect(damaged.standing.phase == .damaged && damaged.identifier == next.identifier)
    try await bench.provision(damaged)
    #expect(damaged.standing.phase == .provisioned && bench.identity.read("device.key") == nil)
    #expect(try await load(epoch: 4, key: chip.outside()).standing.phase == .provisioned)
  }

  @Test func aReceiptThatWasChangedOnTheDiskIsDamage() async throws {
    try await wipe(try await owned(epoch: nil))
    bench.identity.write("{\"version\":1,\"statement\":7}", to: "receipt.json")
    #expect(try await load(epoch: nil).standing.damage?.contains("receipt") == true)
  }
}
