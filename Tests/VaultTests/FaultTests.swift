import Crypto
import Foundations
import Glibc
import TestDisk
import Testing

@testable import Vault

/// A medium that is full, write-protected or failing: a clear error, and what is stored stays readable.
@Suite struct FaultTests {
  private func makeWorld() throws -> (World, Vault, Content) {
    let world = try World()
    let vault = try world.open(mayCreate: true)
    try vault.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    try vault.append(Kinds.notes, "began")
    return (world, vault, try Content(of: vault))
  }

  private func refusal(_ body: () throws(VaultError) -> Void) -> String? {
    do throws(VaultError) {
      try body()
      return nil
    } catch { return error.code }
  }

  @Test func aFullFileSystemIsSurvived() throws {
    let (world, vault, known) = try makeWorld()
    world.disk.fail(.write, ENOSPC)
    for _ in 0..<3 { #expect(refusal { () throws(VaultError) in try vault.put(Kinds.peers, key: "a", "lost") } == "no-space") }
    #expect(try Content(of: vault) == known && vault.obstacle == nil)
    // With what was written of it in the file, the next start finds everything acknowledged.
    #expect(try Content(of: world.open()) == known)
    world.disk.fail(.write, nil)
    let again = try world.open()
    try again.put(Kinds.peers, key: "a", "kept")
    #expect(try world.open().get(Kinds.peers, key: "a") == "kept")
  }

  @Test func roomAgainIsRoomAgain() throws {
    let (world, vault, _) = try makeWorld()
    world.disk.fail(.write, ENOSPC)
    #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "lost") } == "no-space")
    world.disk.fail(.write, nil)
    try vault.append(Kinds.notes, "kept")
    #expect(try vault.entries(Kinds.notes).map(\.value) == ["began", "kept"])
    let again = try world.open()
    #expect(try again.findings.isEmpty && again.entries(Kinds.notes).map(\.number) == [1, 2])
  }

  @Test func rewritingOnAFullFileSystemLeavesTheOldFile() throws {
    let (world, vault, known) = try makeWorld()
    for operation in [CuttableDisk.Operation.create, .write, .rename] {
      world.disk.fail(operation, ENOSPC)
      #expect(refusal { () throws(VaultError) in try vault.rewrite() } == "no-space")
      world.disk.fail(operation, nil)
      #expect(try Content(of: vault) == known && world.disk.names == [World.fileName])
    }
    try vault.rewrite()
    try vault.append(Kinds.notes, "goes on")
    #expect(try world.open().entries(Kinds.notes).count == 2)
  }

  @Test func aWriteProtectedFileSystemIsRead() throws {
    let (world, vault, known) = try makeWorld()
    world.disk.setReadOnly(true)
    #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "lost") } == "read-only")
    #expect(try Content(of: vault) == known)
    let reader = try world.open()
    #expect(try Content(of: reader) == known && reader.obstacle?.isEmpty == false)
    #expect(refusal { () throws(VaultError) in try reader.append(Kinds.notes, "lost") } == "read-only")
    #expect(refusal { () throws(VaultError) in _ = try reader.maintain() } == "read-only")
    try reader.close()
    world.disk.setReadOnly(false)
    try world.open().append(Kinds.notes, "kept")
  }

  /// After a failed flush nothing is written any more until the vault is opened again: whether the transaction is there is told then.
  @Test func aFailedFlushStopsWriting() throws {
    let (world, vault, known) = try makeWorld()
    world.disk.fail(.flush, EIO)
    #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "in doubt") } == "storage-failed")
    world.disk.fail(.flush, nil)
    #expect(try Content(of: vault) == known && vault.obstacle != nil)
    #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "no") } == "read-only")
    let notes = try world.open().entries(Kinds.notes).map(\.value)
    #expect(notes == ["began"] || notes == ["began", "in doubt"])
  }

  @Test func aFailingMediumIsNamed() throws {
    let (world, vault, known) = try makeWorld()
    for operation in [CuttableDisk.Operation.write, .truncate] {
      world.disk.fail(operation, EIO)
      #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "lost") } == "storage-failed")
    }
    world.disk.fail(.write, nil)
    world.disk.fail(.truncate, nil)
    #expect(try Content(of: vault) == known)
    world.disk.fail(.read, EIO)
    #expect(refusal { () throws(VaultError) in _ = try vault.get(Kinds.settings) } == "storage-failed")
    #expect(refusal { () throws(VaultError) in _ = try world.open() } == "storage-failed")
    world.disk.fail(.read, nil)
    world.disk.fail(.folderFlush, EIO)
    #expect(refusal { () throws(VaultError) in try vault.rewrite() } == "storage-failed")
    world.disk.fail(.folderFlush, nil)
    #expect(try Content(of: vault) == known && vault.obstacle != nil)
    #expect(try Content(of: world.open()) == known)
  }

  @Test func aCounterThatFailsIsNamed() throws {
    let (world, vault, _) = try makeWorld()
    // Somebody else raises it.
    try #require(world.counter).set(90)
    #expect(
      refusal { () throws(VaultError) in
        try vault.commit(isAnchored: true) { (transaction) throws(VaultError) in try transaction.append(Kinds.notes, "stored") }
      } == "counter-failed")
    #expect(try vault.entries(Kinds.notes).map(\.value) == ["began", "stored"])
    #expect(refusal { () throws(VaultError) in try vault.append(Kinds.notes, "no") } == "read-only")
  }
}

/// On a real file system.
@Suite final class PosixTests {
  private let path: String
  private let configuration = VaultConfiguration(name: "device", kinds: Kinds.all)
  private let keys: VaultKeys

  init() throws {
    var template = Array("/tmp/haechi-vault-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    keys = try VaultKeys(current: randomSecret(32))
  }

  deinit {
    for name in ["device.vault", "device.vault.new", "target"] { unlink(path + "/" + name) }
    rmdir(path)
  }

  private func open(mayCreate: Bool = false) throws(VaultError) -> Vault {
    try Vault(in: PosixVaultFolder(path: path), configuration, keys: keys, mayCreate: mayCreate, now_s: { 1_700_000_000 })
  }

  private func refusal() -> String? {
    do throws(VaultError) {
      _ = try open()
      return nil
    } catch { return error.code }
  }

  /// A child between `fork` and `exec` has a copy of each descriptor; the lock must not last as long as that.
  @Test func theLockEndsWithTheVault() throws {
    let vault = try open(mayCreate: true)
    let file = Array((path + "/device.vault").utf8)
    let number = (0..<8_192 as Range<CInt>).first { number in
      var place = [CChar](repeating: 0, count: 4_096)
      let length = readlink("/proc/self/fd/\(number)", &place, place.count)
      return length > 0 && place.prefix(length).map { UInt8(bitPattern: $0) } == file
    }
    let copy = dup(try #require(number))
    try #require(copy >= 0)
    defer { close(copy) }
    try vault.close()
    #expect(refusal() == nil)
  }

  @Test func itKeepsWhatItIsGiven() throws {
    var vault = try open(mayCreate: true)
    for number in 0..<50 { try vault.append(Kinds.history, "entry \(number)") }
    try vault.put(Kinds.settings, Settings(name: "kitchen", interval_s: 5))
    try vault.rewrite()
    try vault.append(Kinds.notes, "after")
    let known = try Content(of: vault)
    // One process at a time.
    #expect(refusal() == "vault-in-use")
    try vault.close()
    vault = try open()
    #expect(try Content(of: vault) == known && vault.findings.isEmpty)
    try vault.close()
    var status = stat()
    #expect(stat(path + "/device.vault", &status) == 0 && status.st_mode & 0o7777 == 0o600)
    #expect(access(path + "/device.vault.new", F_OK) != 0)
  }

  @Test func aFileThatOthersMayReadOrALinkIsRefused() throws {
    try open(mayCreate: true).close()
    chmod(path + "/device.vault", 0o644)
    #expect(refusal() == "storage-failed")
    chmod(path + "/device.vault", 0o600)
    #expect(refusal() == nil)
    #expect(rename(path + "/device.vault", path + "/target") == 0 && symlink("target", path + "/device.vault") == 0)
    #expect(refusal() == "storage-failed")
  }
}
