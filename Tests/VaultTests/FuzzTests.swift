import Crypto
import Foundations
import TestDisk
import Testing

@testable import Vault

/// Bytes from anywhere, and valid ones that were changed: each parser answers, none ends the process.
@Suite struct FuzzTests {
  private let seed = environmentNumber("HAECHI_SEED") ?? UInt64.random(in: 0...UInt64.max)

  @Test func parsersAreTotal() throws {
    print("fuzz: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    let key = try FileKey(root: SecretBytes(copying: [UInt8](repeating: 1, count: 32)), salt: [], vault: "v")
    let header = try FileHeader(
      algorithm: .aes256GCM, vault: "v", generation: 1, baseSequence: 0, keyIdentifier: [UInt8](repeating: 2, count: 8),
      salt: [UInt8](repeating: 3, count: 32)
    ).sealed(key)
    let head = try FileHead(turn: 1, sequence: 2, fileEnd: 3, counter: 4, isClosed: true, isCounted: false).sealed(key, .aes256GCM)
    let transaction = TransactionHeader(size_bytes: 200, sequence: 1, manifest_bytes: 100, algorithm: .aes256GCM, salt: [UInt8](repeating: 4, count: 16))
      .encoded
    let changes = [
      Change(kind: .put, name: "a", generation: 1, number: 0, written_s: 2, value_bytes: 3), Change(removing: "b"),
      Change(kind: .append, name: "c", generation: 1, number: 9, written_s: 2, value_bytes: 0),
      Change(kind: .trim, name: "c", generation: 0, number: 7, written_s: 0, value_bytes: 0),
    ]
    let manifest = Manifest(committed_s: -1, bodyDigest: sha256([UInt8]()), changes: changes)
    #expect(Manifest.parse(manifest.encoded) == manifest)
    for _ in 0..<4_000 {
      for valid in [header, head, transaction, manifest.encoded] {
        let bytes = Self.bytes(like: valid, &random)
        if let parsed = try? FileHeader.parse(bytes, subject: "s") { _ = try parsed.isProved(bytes, by: key) }
        _ = try FileHead.opened(bytes, key, .aes256GCM)
        _ = FileHead.parse(Array(bytes.prefix(40)))
        if let parsed = TransactionHeader.parse(bytes, maximum_bytes: 1_000) { #expect(parsed.bodyOffset <= parsed.size_bytes && parsed.size_bytes <= 1_000) }
        if let parsed = Manifest.parse(bytes) {
          // What is accepted is exactly what would be written.
          #expect(parsed.encoded == bytes)
          var index = VaultIndex()
          for change in parsed.changes { _ = index.apply(StoredValue(offset: 0, algorithm: 1, change: change), sequence: 5) }
        }
      }
    }
  }

  /// Random bytes, or `valid` with some of them changed, cut out or put in.
  private static func bytes(like valid: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    if Int.random(in: 0..<4, using: &random) == 0 {
      return (0..<Int.random(in: 0...600, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    return random.mutation(of: valid)
  }

  /// Any sequence of changes leaves the index whole, as a compaction of it shows.
  @Test func anyChangesLeaveTheIndexWhole() {
    var random = SeededRandom(seed)
    for _ in 0..<300 {
      var index = VaultIndex()
      for sequence in 1...40 as ClosedRange<UInt64> {
        let kind = Change.Kind(rawValue: UInt8.random(in: 1...4, using: &random)) ?? .put
        let number = Bool.random(using: &random) ? index.logs["l"]?.next ?? 1 : UInt64.random(in: 0...12, using: &random)
        let change = Change(
          kind: kind, name: kind == .put || kind == .remove ? "r\(Int.random(in: 0..<3, using: &random))" : "l",
          generation: kind.hasValue ? sequence : 0, number: kind == .append || kind == .trim ? number : 0, written_s: 0,
          value_bytes: kind.hasValue ? 5 : 0)
        var next = index
        if next.apply(StoredValue(offset: 0, algorithm: 1, change: change), sequence: sequence) == nil { index = next }
      }
      var copy = VaultIndex()
      for value in index.snapshot { #expect(copy.apply(value, sequence: 100) == nil) }
      #expect(copy.records == index.records && copy.live_bytes == index.live_bytes && copy.entryCount == index.entryCount)
      #expect(copy.logs["l"]?.next == index.logs["l"]?.next && copy.logs["l"]?.first == index.logs["l"]?.first)
      #expect(index.live_bytes >= 0 && index.entryCount == index.logs["l"]?.count ?? 0)
    }
  }

  /// Whole files, changed anywhere: an error with a name, or the content that was there.
  @Test func changedFilesAreRefused() throws {
    print("fuzz: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    let world = try World()
    let vault = try world.open(mayCreate: true)
    for number in 0..<6 { try vault.put(Kinds.peers, key: "\(number % 4)", String(repeating: "x", count: number * 9)) }
    let known = try Content(of: vault)
    try vault.close()
    let file = try world.file
    let counter = try #require(world.counter)
    let count = try counter.value()
    for _ in 0..<600 {
      world.disk.replace(World.fileName, Self.bytes(like: file, &random))
      counter.set(count)
      do throws(VaultError) {
        let vault = try world.open()
        let content = try Content(of: vault)
        #expect(content == known)
      } catch { #expect(error.isDamage, "\(error)") }
    }
  }
}
