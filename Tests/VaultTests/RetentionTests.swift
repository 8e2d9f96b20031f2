import Crypto
import Foundations
import TestDisk
import Testing

@testable import Vault

/// What is past its life is gone; what is under an old key or cipher is not for long.
@Suite struct RetentionTests {
  private func maintainAll(_ vault: Vault) throws {
    var steps = 0
    while try vault.maintain() {
      steps += 1
      try #require(steps < 1_000)
    }
  }

  @Test func whatIsPastItsLifeIsGone() throws {
    var world = try World()
    world.configuration.erasure_s = 100
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.session, key: "a", "old")
    try vault.append(Kinds.history, "1")
    world.clock.advance(599)
    try vault.append(Kinds.history, "2")
    try vault.put(Kinds.session, key: "b", "new")
    #expect(try vault.get(Kinds.session, key: "a") == "old")
    world.clock.advance(1)
    // Not shown from this second on, whether or not anybody has cleaned up.
    #expect(try vault.get(Kinds.session, key: "a") == nil && vault.keys(Kinds.session) == ["b"])
    world.clock.advance(3_000)
    #expect(try vault.entries(Kinds.history).map(\.value) == ["2"] && vault.keys(Kinds.session).isEmpty)
    #expect(try vault.usage().values == 4)
    try maintainAll(vault)
    #expect(try vault.usage().values == 1)
    // Out of the file as well, after the time that was declared.
    let before = try vault.usage().file_bytes
    world.clock.advance(99)
    try maintainAll(vault)
    #expect(try vault.usage().file_bytes == before)
    world.clock.advance(1)
    try maintainAll(vault)
    #expect(try vault.usage().file_bytes < before && vault.entries(Kinds.history).map(\.value) == ["2"])
    world.clock.advance(600)
    #expect(try vault.entries(Kinds.history).isEmpty)
    // A new entry goes on with the numbers.
    try maintainAll(vault)
    try vault.append(Kinds.history, "3")
    #expect(try vault.entries(Kinds.history).map(\.number) == [3])
  }

  @Test func anOpenedVaultKnowsWhatWaitsToBeErased() throws {
    var world = try World()
    world.configuration.erasure_s = 1_000
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.peers, key: "a", String(repeating: "x", count: 900))
    try vault.remove(Kinds.peers, key: "a")
    try vault.close()
    world.clock.advance(1_000)
    let again = try world.open()
    let before = try again.usage().file_bytes
    try maintainAll(again)
    #expect(try again.usage().file_bytes < before - 900)
  }

  @Test func aLogKeepsItsNewest() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    for number in 1...300 {
      try vault.append(Kinds.notes, "\(number)")
      #expect(try vault.entries(Kinds.notes).map(\.value) == (max(1, number - 4)...number).map { "\($0)" })
      #expect(try vault.usage().values <= 5 + 9)
    }
    try vault.rewrite()
    #expect(try world.open().entries(Kinds.notes).map(\.number) == [296, 297, 298, 299, 300])
  }

  /// A clock that was set back, or leaps, ends nothing early and traps nowhere.
  @Test func anyClockIsSurvived() throws {
    let kind = VaultKind(name: "k", form: .records, purpose: "x", life_s: 10, maximumCount: 1)
    #expect(!kind.isExpired(100, now_s: 50) && !kind.isExpired(100, now_s: 109) && kind.isExpired(100, now_s: 110))
    #expect(kind.isExpired(.min, now_s: .max) && !kind.isExpired(.max, now_s: .min) && kind.isExpired(.min, now_s: 0))
  }

  /// A new root key: the file is under it after some steps, while the vault is used, and the old key is not needed any more.
  @Test func keysRotateInTheBackground() throws {
    var world = try World()
    let first = try world.open(mayCreate: true)
    for number in 0..<30 { try first.append(Kinds.history, "entry \(number)") }
    for number in 0..<8 { try first.put(Kinds.peers, key: "\(number)", String(repeating: "x", count: 900)) }
    try first.close()
    let old = world.keys
    world.keys = try VaultKeys(current: randomSecret(32), previous: [old.current])
    let vault = try world.open()
    var steps = 0
    while try vault.maintain() {
      steps += 1
      // Others go on meanwhile.
      try vault.append(Kinds.notes, "during \(steps)")
      try vault.put(Kinds.peers, key: "3", "changed \(steps)")
    }
    #expect(steps > 1)
    let known = try Content(of: vault)
    #expect(known.notes.count == min(steps, 5) && known.peers["3"] == "changed \(steps)")
    try vault.close()
    world.keys = try VaultKeys(current: world.keys.current)
    #expect(try Content(of: world.open()) == known)
    world.keys = old
    world.expectRefusal(["vault-key-wrong"])
  }

  /// A cipher is left behind in two releases: first it is written no more, then it is read no more.
  @Test func aCipherIsRetired() throws {
    var world = try World()
    let first = try world.open(mayCreate: true)
    try first.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    try first.close()
    let copy = try world.file
    world.configuration.algorithm = .chaCha20Poly1305
    let second = try world.open()
    try second.put(Kinds.peers, key: "a", "one")
    try maintainAll(second)
    try second.close()
    world.configuration.readable = [.chaCha20Poly1305]
    let third = try world.open()
    #expect(try third.get(Kinds.settings)?.name == "kitchen" && third.get(Kinds.peers, key: "a") == "one")
    world.disk.replace(World.fileName, copy)
    world.expectRefusal(["algorithm-retired"])
  }
}
