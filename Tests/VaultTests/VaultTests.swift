import Crypto
import Foundations
import Glibc
import TestDisk
import Testing

@testable import Vault

@Suite struct VaultTests {
  @Test func valuesAreThereAfterOpeningAgain() throws {
    let world = try World()
    var vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    try vault.put(Kinds.peers, key: "a", "one")
    try vault.put(Kinds.peers, key: "b", "two")
    try vault.put(Kinds.peers, key: "a", "three")
    for number in 1...7 { try vault.append(Kinds.notes, "note \(number)") }
    for isClosed in [true, false, true] {
      if isClosed { try vault.close() }
      vault = try world.open()
      #expect(vault.findings.isEmpty)
      #expect(try vault.get(Kinds.settings) == Settings(name: "kitchen", interval_s: 5))
      #expect(try vault.keys(Kinds.peers) == ["a", "b"] && vault.get(Kinds.peers, key: "a") == "three")
      #expect(try vault.get(Kinds.peers, key: "c") == nil && vault.get(Kinds.session, key: "a") == nil)
      let notes = try vault.entries(Kinds.notes)
      #expect(notes.map(\.number) == [3, 4, 5, 6, 7] && notes.map(\.value) == (3...7).map { "note \($0)" })
      #expect(try vault.entries(Kinds.notes, after: 4, limit: 2).map(\.number) == [5, 6])
      #expect(try vault.entries(Kinds.notes, after: 7).isEmpty && vault.entries(Kinds.notes, after: .max).isEmpty)
    }
    try vault.remove(Kinds.peers, key: "a")
    try vault.remove(Kinds.peers, key: "never-there")
    #expect(try vault.keys(Kinds.peers) == ["b"])
  }

  @Test func aTransactionIsAllOrNothing() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.commit { (transaction) throws(VaultError) in
      try transaction.put(Kinds.peers, key: "a", "first")
      try transaction.remove(Kinds.peers, key: "a")
      try transaction.put(Kinds.peers, key: "a", "last")
      try transaction.append(Kinds.notes, "x")
      try transaction.append(Kinds.notes, "y")
    }
    #expect(try vault.get(Kinds.peers, key: "a") == "last" && vault.entries(Kinds.notes).map(\.value) == ["x", "y"])
    // The second of these is too large: the first is not there either.
    do throws(VaultError) {
      try vault.commit { (transaction) throws(VaultError) in
        try transaction.put(Kinds.peers, key: "b", "small")
        try transaction.put(Kinds.peers, key: "c", String(repeating: "x", count: 2_000))
      }
      Issue.record("committed")
    } catch { #expect(error.code == "value-too-large") }
    #expect(try vault.keys(Kinds.peers) == ["a"])
    try expect("value-too-large") { () throws(VaultError) in
      try vault.commit { (transaction) throws(VaultError) in
        for number in 0..<5 { try transaction.put(Kinds.peers, key: "p\(number)", String(repeating: "x", count: 1_000)) }
      }
    }
  }

  private func expect(_ code: String, _ body: () throws(VaultError) -> Void, sourceLocation: SourceLocation = #_sourceLocation) throws {
    do throws(VaultError) {
      try body()
      Issue.record("\(code) was to be thrown", sourceLocation: sourceLocation)
    } catch { #expect(error.code == code && !error.reason.isEmpty, "\(error)", sourceLocation: sourceLocation) }
  }

  @Test func whatIsNotDeclaredIsRefused() throws {
    var world = try World()
    let vault = try world.open(mayCreate: true)
    let other = RecordKind<String>("other", purpose: "Not declared.")
    try expect("kind-unknown") { () throws(VaultError) in try vault.put(other, "x") }
    try expect("kind-unknown") { () throws(VaultError) in _ = try vault.get(other) }
    try expect("kind-unknown") { () throws(VaultError) in try vault.append(LogKind<String>("peers", purpose: "No log.", maximumEntries: 3), "x") }
    for key in ["", "a b", "é", String(repeating: "k", count: 191)] {
      try expect("name-invalid") { () throws(VaultError) in try vault.put(Kinds.peers, key: key, "x") }
    }
    // A key may hold a slash: the kind ends at the first.
    try vault.put(Kinds.peers, key: "a/b", "x")
    #expect(try vault.keys(Kinds.peers) == ["a/b"])
    for kinds in [
      [Kinds.settings.declaration, Kinds.settings.declaration], [VaultKind(name: "a/b", form: .log, purpose: "x", life_s: nil, maximumCount: 1)],
      [VaultKind(name: "a", form: .log, purpose: "", life_s: nil, maximumCount: 1)],
      [VaultKind(name: "a", form: .log, purpose: "x", life_s: 0, maximumCount: 1)],
    ] {
      world.configuration = VaultConfiguration(name: "device", kinds: kinds)
      do throws(VaultError) {
        _ = try world.open()
        Issue.record("opened")
      } catch { #expect(["configuration-invalid", "name-invalid"].contains(error.code)) }
    }
  }

  /// A firmware that does not declare a kind any more says what is left of it, and removes it when told to.
  @Test func undeclaredDataIsToldAndRemoved() throws {
    var world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.peers, key: "a", "one")
    try vault.append(Kinds.notes, "x")
    try vault.close()
    world.configuration = VaultConfiguration(name: "device", kinds: [Kinds.settings.declaration])
    let next = try world.open()
    #expect(next.findings.map(\.code) == ["kind-undeclared", "kind-undeclared"])
    try next.removeUndeclared()
    try next.close()
    #expect(try world.open().findings.isEmpty)
  }

  @Test func aValueOfAnotherTypeIsNamed() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(RecordKind<String>("settings", purpose: Kinds.settings.declaration.purpose), "text")
    try expect("value-unreadable") { () throws(VaultError) in _ = try vault.get(Kinds.settings) }
  }

  @Test func aClosedVaultSaysSo() throws {
    let vault = try World().open(mayCreate: true)
    try vault.close()
    try vault.close()
    try expect("vault-closed") { () throws(VaultError) in _ = try vault.get(Kinds.settings) }
    try expect("vault-closed") { () throws(VaultError) in try vault.append(Kinds.notes, "x") }
  }

  /// Full: a clear error, everything stays readable, and there is room to remove something.
  @Test func aFullVaultCanBeEmptied() throws {
    let kind = RecordKind<String>("many", purpose: "To fill it.", maximumKeys: 1_000)
    let world = try World(kinds: [kind.declaration])
    let vault = try world.open(mayCreate: true)
    var count = 0
    var full: VaultError?
    while full == nil {
      do throws(VaultError) {
        try vault.put(kind, key: "\(count)", String(repeating: "x", count: 500))
        count += 1
      } catch { full = error }
    }
    #expect(full?.code == "vault-full" && count > 20)
    #expect(try world.file.count <= world.configuration.limits.file_bytes)
    #expect(try vault.keys(kind).count == count && vault.get(kind, key: "0")?.count == 500)
    for number in 0..<count { try vault.remove(kind, key: "\(number)") }
    try vault.put(kind, key: "again", "x")
    #expect(try vault.keys(kind) == ["again"])
    // By number as well.
    for number in 0..<199 { try vault.put(kind, key: "\(number)", "") }
    try expect("vault-full") { () throws(VaultError) in try vault.put(kind, key: "one-more", "") }
    try vault.put(kind, key: "again", "replaced")
  }

  @Test func aKindHasItsOwnNumber() throws {
    let vault = try World().open(mayCreate: true)
    for number in 0..<8 { try vault.put(Kinds.peers, key: "\(number)", "x") }
    try expect("vault-full") { () throws(VaultError) in try vault.put(Kinds.peers, key: "8", "x") }
    try vault.commit { (transaction) throws(VaultError) in
      try transaction.remove(Kinds.peers, key: "0")
      try transaction.put(Kinds.peers, key: "8", "x")
    }
    #expect(try vault.keys(Kinds.peers).count == 8)
  }

  /// Nothing of what is stored is in the file, nor in what it was before: names, values, words of the format of a value.
  @Test func nothingIsInTheClear() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "canary-setting", interval_s: 5))
    try vault.put(Kinds.peers, key: "canary-key", "canary-value")
    try vault.append(Kinds.history, "canary-entry")
    var files = [try world.file]
    try vault.rewrite()
    files.append(try world.file)
    for file in files {
      for word in ["canary", "settings", "peers", "history", "interval"] { #expect(!file.contains(word.utf8), "\(word)") }
    }
    #expect(world.disk.names == [World.fileName])
  }

  /// Two files of one content have nothing in common but their header's fields: every salt is fresh.
  @Test func saltsAreFresh() throws {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.peers, key: "a", "same")
    try vault.put(Kinds.peers, key: "b", "same")
    let first = try world.file
    try vault.rewrite()
    try vault.rewrite()
    let second = try world.file
    for start in stride(from: FileHead.end, to: first.count - 16, by: 16) { #expect(!second.contains(first[start..<(start + 16)])) }
  }

  @Test func aFolderOfFilesIsReplacedAtOnce() throws {
    let kind = VaultFolder.kind("files", purpose: "The device's own state.", maximumFiles: 4)
    let world = try World(kinds: [kind])
    let folder = VaultFolder(try world.open(mayCreate: true), kind: kind)
    try folder.write(["state.json": SecretBytes(copying: Array("{}".utf8)), "operational.key": SecretBytes(copying: [1, 2, 3])])
    #expect(try folder.names() == ["operational.key", "state.json"] && folder.read("operational.key")?.count == 3)
    try folder.write(["state.json": SecretBytes(copying: [9]), "operational.key": nil], isAnchored: true)
    let again = VaultFolder(try world.open(), kind: kind)
    #expect(try again.names() == ["state.json"] && again.read("state.json")?.isEqual(to: SecretBytes(copying: [9])) == true)
    #expect(try again.read("operational.key") == nil)
  }
}

extension Array where Element == UInt8 {
  fileprivate func contains(_ part: some Collection<UInt8>) -> Bool {
    let part = Array(part)
    guard part.count <= count else { return false }
    return indices.dropLast(part.count - 1).contains { self[$0] == part[0] && self[$0..<($0 + part.count)].elementsEqual(part) }
  }
}
