import Crypto
import Foundations
import TestDisk
import Testing

@testable import Vault

/// Somebody writes to the medium: every change is found and named, and old data is never taken for new.
@Suite struct TamperTests {
  /// A vault with a few transactions, and what it shows before and after the last of them. Where it was not closed, its power was cut.
  private func makeWorld(isClosed: Bool, isCounted: Bool = true) throws -> (world: World, before: Content, after: Content) {
    let world = try World(isCounted: isCounted)
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    try vault.commit { (transaction) throws(VaultError) in
      try transaction.put(Kinds.peers, key: "a", "first")
      try transaction.append(Kinds.history, "21.5")
      try transaction.append(Kinds.notes, "began")
    }
    let before = try Content(of: vault)
    try vault.commit { (transaction) throws(VaultError) in
      try transaction.put(Kinds.settings, Settings(name: "cellar", interval_s: 9))
      try transaction.remove(Kinds.peers, key: "a")
    }
    let after = try Content(of: vault)
    if isClosed { try vault.close() } else { world.disk.loseCache() }
    return (world, before, after)
  }

  static let damageCodes: Set = [
    "vault-changed", "vault-cut", "vault-swapped", "vault-rolled-back", "vault-key-wrong", "vault-version-unknown", "algorithm-retired",
  ]

  /// Each byte of a closed vault, with two patterns: nothing opens but for a flaw in one head, which is told and costs nothing.
  @Test(arguments: [0x01, 0xff] as [UInt8]) func aChangedByteIsFound(_ pattern: UInt8) throws {
    let (world, _, after) = try makeWorld(isClosed: true)
    let file = try world.file
    let counter = try #require(world.counter)
    let count = try counter.value()
    var told = 0
    for index in file.indices {
      var changed = file
      changed[index] ^= pattern
      world.disk.replace(World.fileName, changed)
      counter.set(count)
      do throws(VaultError) {
        let vault = try world.open()
        #expect(vault.findings.contains { $0.code == "head-unreadable" }, "byte \(index): \(vault.findings)")
        #expect(try Content(of: vault) == after, "byte \(index)")
        told += 1
      } catch { #expect(Self.damageCodes.contains(error.code), "byte \(index): \(error)") }
    }
    // Exactly the bytes of the two heads.
    #expect(told == 2 * FileHead.size)
  }

  /// Where the vault was not closed, a change in the last transaction looks as a power cut does: it is dropped as a whole, and told.
  @Test func aChangedByteOfAVaultThatWasNotClosedIsFound() throws {
    let (world, before, after) = try makeWorld(isClosed: false)
    let file = try world.file
    let counter = try #require(world.counter)
    let count = try counter.value()
    var dropped = 0
    for index in file.indices {
      var changed = file
      changed[index] ^= 0x10
      world.disk.replace(World.fileName, changed)
      counter.set(count)
      do throws(VaultError) {
        let vault = try world.open()
        let content = try Content(of: vault)
        #expect(!vault.findings.isEmpty && (content == after || content == before), "byte \(index): \(vault.findings) \(content)")
        if content == before {
          #expect(vault.findings.contains { $0.code == "tail-dropped" }, "byte \(index)")
          dropped += 1
        }
      } catch { #expect(Self.damageCodes.contains(error.code), "byte \(index): \(error)") }
    }
    #expect(dropped > 0)
  }

  @Test(arguments: [true, false]) func aCutFileIsFound(isClosed: Bool) throws {
    let (world, before, _) = try makeWorld(isClosed: isClosed)
    let file = try world.file
    let counter = try #require(world.counter)
    let count = try counter.value()
    var silent = 0
    for length in 0..<file.count {
      world.disk.replace(World.fileName, Array(file.prefix(length)))
      counter.set(count)
      do throws(VaultError) {
        let vault = try world.open()
        #expect(!isClosed, "cut to \(length)")
        let content = try Content(of: vault)
        #expect(content == before, "cut to \(length): \(content)")
        // At the very end of the transaction before, nothing is left that could be told of.
        if vault.findings.isEmpty { silent += 1 }
      } catch { #expect(["vault-cut", "vault-changed"].contains(error.code), "cut to \(length): \(error)") }
    }
    #expect(silent == (isClosed ? 0 : 1))
    world.disk.replace(World.fileName, file + [0])
    counter.set(count)
    if isClosed { world.expectRefusal(["vault-changed"], "a byte more") }
  }

  @Test func aSwappedFileIsNamed() throws {
    var world = try World()
    try world.open(mayCreate: true).put(Kinds.settings, Settings(name: "one", interval_s: 1))
    let file = try world.file
    world.configuration = VaultConfiguration(name: "other", kinds: Kinds.all)
    world.disk.replace("other.vault", file)
    world.expectRefusal(["vault-swapped"])
    // With the name changed in the clear as well.
    var renamed = file
    renamed.replaceSubrange(72..<78, with: Array("other\0".utf8))
    renamed[11] = 5
    world.disk.replace("other.vault", renamed)
    world.expectRefusal(["vault-changed"])
  }

  @Test func anotherDevicesFileIsNamed() throws {
    var world = try World()
    _ = try world.open(mayCreate: true)
    world.keys = try VaultKeys(current: randomSecret(32))
    world.expectRefusal(["vault-key-wrong"])
  }

  /// Transactions of another moment, in another order, or twice.
  @Test func movedTransactionsAreFound() throws {
    let (world, _, _) = try makeWorld(isClosed: true)
    let file = try world.file
    var starts: [Int] = []
    for index in FileHead.end..<(file.count - 4) where Array(file[index..<(index + 4)]) == TransactionHeader.magic { starts.append(index) }
    try #require(starts.count == 3)
    let head = Array(file[..<starts[0]])
    let parts = [Array(file[starts[0]..<starts[1]]), Array(file[starts[1]..<starts[2]]), Array(file[starts[2]...])]
    for order in [[1, 0, 2], [0, 2, 1], [0, 1, 1, 2], [0, 0, 1, 2], [1, 2], [0, 2], [2], [0, 1, 2, 2], [0, 1, 2, 0]] {
      world.disk.replace(World.fileName, head + order.flatMap { parts[$0] })
      world.expectRefusal(["vault-changed", "vault-cut"], "\(order)")
    }
  }

  /// A copy from before, from each time when one could be taken from a device that is off.
  @Test func anOlderCopyIsFound() throws {
    let world = try World()
    var copies: [[UInt8]] = []
    for round in 0..<4 {
      let vault = try world.open(mayCreate: round == 0)
      try vault.put(Kinds.settings, Settings(name: "round", interval_s: round))
      if round == 2 { try vault.rewrite() }
      if round != 1 { try vault.close() }
      copies.append(try world.file)
    }
    for copy in copies.dropLast() {
      world.disk.replace(World.fileName, copy)
      world.expectRefusal(["vault-rolled-back"])
    }
    world.disk.replace(World.fileName, copies[3])
    #expect(try world.open().get(Kinds.settings)?.interval_s == 3)
  }

  /// A copy that was taken while the vault was open does not open again after an anchored commit.
  @Test func anAnchoredCommitEndsEveryCopy() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.peers, key: "a", "trusted")
    let copy = try world.file
    try vault.commit(isAnchored: true) { (transaction) throws(VaultError) in try transaction.remove(Kinds.peers, key: "a") }
    let now = try world.file
    world.disk.replace(World.fileName, copy)
    world.expectRefusal(["vault-rolled-back"])
    world.disk.replace(World.fileName, now)
    #expect(try world.open().get(Kinds.peers, key: "a") == nil)
  }

  /// What a vault without a counter cannot find: it says so in its documentation, and this shows that it is so.
  @Test func withoutACounterAnOlderCopyOpens() throws {
    let world = try World(isCounted: false)
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "old", interval_s: 1))
    try vault.close()
    let copy = try world.file
    try world.open().put(Kinds.settings, Settings(name: "new", interval_s: 2))
    world.disk.replace(World.fileName, copy)
    #expect(try world.open().get(Kinds.settings)?.name == "old")
  }

  @Test func aCounterThatIsNotTheVaultsIsRefused() throws {
    let world = try World()
    _ = try world.open(mayCreate: true)
    let counter = try #require(world.counter)
    counter.set(7)
    world.expectRefusal(["counter-failed"])
    counter.set(.max)
    world.expectRefusal(["counter-failed"])
    // Nor is a vault opened without the counter that it is bound to, or with one that it is not bound to.
    #expect(throws: VaultError.self) {
      try Vault(in: world.disk, world.configuration, keys: world.keys, counter: nil, mayCreate: false, now_s: { 0 })
    }
    let uncounted = try World(isCounted: false)
    _ = try uncounted.open(mayCreate: true)
    do throws(VaultError) {
      _ = try Vault(
        in: uncounted.disk, uncounted.configuration, keys: uncounted.keys, counter: TestCounter(uncounted.disk), mayCreate: false, now_s: { 0 })
      Issue.record("opened")
    } catch { #expect(error.code == "vault-rolled-back") }
  }

  @Test func aMissingFileIsNamed() throws {
    let world = try World()
    world.expectRefusal(["vault-missing"])
    _ = try world.open(mayCreate: true)
    world.disk.replace(World.fileName, nil)
    world.expectRefusal(["vault-missing"])
  }

  /// The file changes under an open vault: reading finds it.
  @Test func aChangeUnderAnOpenVaultIsFound() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    let file = try world.disk.open(World.fileName, writable: true)
    let size = try file.size()
    let last = try file.read(at: size - 1, count: 1)
    try file.write([last[0] ^ 1], at: size - 1)
    do throws(VaultError) {
      let settings = try vault.get(Kinds.settings)
      Issue.record("read \(String(describing: settings))")
    } catch { #expect(error.code == "vault-changed" && error.isDamage && error.reason.contains("settings")) }
  }
}
