import BoardAPI
import Crypto
import Foundations
import Identity
import LocalAPI
import Testing

@testable import DeviceCore

/// What the runtime writes fits into what is kept of it, and the bounds fit what it writes.
@Suite struct IdentityFolderTests {
  private let bench: DeviceLifeCycleTests
  private var folder: IdentityFolder { IdentityFolder(path: bench.identity.path) }
  private func count(_ file: IdentityFile) -> Int? { bench.identity.read(file.name)?.utf8.count }

  init() throws { bench = try DeviceLifeCycleTests() }

  /// Each file at the largest that this firmware can make of it.
  @Test func eachFileAtItsLargestFitsAndHasLittleRoomBeside() throws {
    try folder.writeDeviceKey(try PrivateKey.generateP256())
    try folder.write(StoredLockOut(failures: .max, waitMilliseconds: .max))
    let wipe = StoredWipe(
      cause: .button, time_s: .max, formerOwnerId: String(repeating: "f", count: 20), identityEpoch: .max, cloudErasure: .unconfirmed)
    try folder.write(StoredIntent(kind: .provision, wipe: wipe))
    let statement = WipeStatement(
      deviceId: "ffffffffffffffffffff", serialNumber: String(repeating: "\\", count: 64), cause: .button, time: "2026-11-29T00:00:00Z",
      formerOwnerId: wipe.formerOwnerId, rootOfTrust: "development", identityEpochBefore: .max, identityEpochAfter: .max, cloudErasure: .unconfirmed)
    // ECDSA over P-256 in DER.
    let signature = String(repeating: "f", count: 2 * 72)
    try folder.write(StoredReceipt(statement: String(decoding: try encodeJSON(statement), as: UTF8.self), signature: signature))
    for file in [IdentityFile.deviceKey, .lockOut, .intent, .receipt] {
      let written = try #require(count(file))
      #expect(written <= file.maximum_bytes && written > file.maximum_bytes / 2, "\(file.name) has \(written) bytes")
    }
    #expect(try folder.readDeviceKey() != nil && folder.readLockOut() != nil && folder.readIntent() != nil && folder.readReceipt() != nil)
    #expect(Set(bench.identity.contents().keys).isSubset(of: Set(IdentityFile.allCases.map(\.name))))
  }

  @Test func moreThanIsKeptIsNotWritten() throws {
    let receipt = StoredReceipt(statement: String(repeating: "x", count: IdentityFile.receipt.maximum_bytes), signature: "")
    let refusal = #expect(throws: SystemCallError.self) { try folder.write(receipt) }
    #expect(refusal?.reason.contains("receipt.json") == true && count(.receipt) == nil)
  }

  /// A station hears it, and the device stays as it was.
  @Test func aChainThatIsTooLongToBeKeptIsRefused() async throws {
    let label = try StoredLabel(bench.label.document)
    func identity(_ length: Int) -> StoredIdentity {
      StoredIdentity(serialNumber: "1", makerChain: String(repeating: "x", count: length), label: label)
    }
    #expect(try folder.takes(identity(16_000)) && !folder.takes(identity(16_384)))
    let device = try await bench.load()
    for (padding_bytes, code) in [(13_000, "certificate-chain-too-long"), (1_000, nil)] as [(Int, String?)] {
      let chain = try bench.maker.sign(try device.provisioningRequest(), serialNumber: "HC-0001", padding_bytes: padding_bytes)
      let refusal = await bench.code {
        try await device.provision(serialNumber: "HC-0001", chainPEM: chain, label: bench.label.document, connection: 1)
      }
      #expect(refusal == code && (count(.identity) == nil) == (code != nil))
    }
    #expect(device.standing.phase == .provisioned)
  }

  /// Whoever had the runtime in hand chose what stands in the order of the wipe: what is no owner's name does not get into what the device signs after it.
  @Test func aReceiptNamesAnOwnerOrNobody() async throws {
    let device = try await bench.load(testClock, Device.Surroundings(identityEpoch: 3, rootOfTrust: "tpm2"))
    try await bench.provision(device)
    let wipe = StoredWipe(cause: .owner, time_s: 1, formerOwnerId: "parked", identityEpoch: 3)
    try device.identityFolder.write(StoredIntent(kind: .wipe, wipe: wipe))
    let next = try await bench.load(testClock, Device.Surroundings(identityEpoch: 4, rootOfTrust: "tpm2"))
    let statement = try jsonDocument(WipeStatement.self, from: Array(try next.receipt().statement.utf8))
    #expect(statement.formerOwnerId == "" && statement.identityEpochAfter == 4)
  }
}
