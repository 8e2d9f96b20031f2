import Crypto
import Foundations
import Glibc
import TestDisk
import Testing
import Vault

@testable import Beliefs

/// HAECHI_SEED=N repeats a run.
@Suite("What the supervisor believes, on the medium") struct BeliefFileTests {
  private let seed = environmentNumber("HAECHI_SEED") ?? UInt64.random(in: 0...UInt64.max)
  private let disk = CuttableDisk()
  private var file: BeliefFile { BeliefFile(storage: disk) { true } }

  /// The first byte counts, so that an older record can be told from a newer one.
  private static func record(_ number: Int, _ random: inout SeededRandom) -> [UInt8] {
    let count = [0, 1, 500, 12_000, BeliefFile.recordMaximum_bytes - 4].randomElement(using: &random) ?? 0
    return (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - $0 * 8)) } + [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: count)
  }

  @Test("what was kept is read again, up to the longest") func roundTrip() throws {
    #expect(file.read() == .lost("the file beliefs: it is missing"))
    #expect(BeliefFile(storage: disk) { false }.read() == .nothing)
    for count in [0, 1, 5_000, BeliefFile.recordMaximum_bytes] {
      let record = [UInt8](repeating: 7, count: count)
      try file.replace(with: record)
      #expect(file.read() == .record(record))
      #expect(disk.content(BeliefFile.name)?.count == 2 * BeliefFile.copy_bytes, "it takes its room once")
    }
    #expect(throws: BeliefFileError.self) { try file.replace(with: [UInt8](repeating: 7, count: BeliefFile.recordMaximum_bytes + 1)) }
    #expect(disk.names == [BeliefFile.name])
  }

  @Test("after each cut, wherever it was, the record is the last one that was acknowledged, or the one that was under way") func cuts() throws {
    print("belief cuts: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    var acknowledged: [UInt8]?
    var next = 0
    for cut in 1...400 {
      disk.cut(after: Int.random(in: 1...12, using: &random))
      var underWay: [UInt8] = []
      while !disk.isOff {
        next += 1
        underWay = Self.record(next, &random)
        do {
          try file.replace(with: underWay)
          acknowledged = underWay
        } catch {
          try #require(disk.isOff, "HAECHI_SEED=\(seed), cut \(cut): \(error)")
        }
      }
      disk.powerOn(&random)
      switch file.read() {
      case .record(let found):
        #expect(found == acknowledged || found == underWay, "HAECHI_SEED=\(seed), cut \(cut)")
        acknowledged = found
      case .lost, .nothing: #expect(acknowledged == nil, "HAECHI_SEED=\(seed), cut \(cut): nothing is there, and a record was acknowledged")
      }
    }
  }

  /// A cut left a record of which one sector is missing, and that sector is the same in the next one, which is cut, too.
  @Test("what a cut left of a record does not become whole by a part of the next one") func leftovers() throws {
    var whole = [UInt8](repeating: 1, count: 4_000)
    try file.replace(with: whole)
    let before = try #require(disk.content(BeliefFile.name))
    whole[0] = 2
    try file.replace(with: whole)
    var torn = try #require(disk.content(BeliefFile.name))
    // The second copy was never written, and of the first one the fourth sector.
    torn.replaceSubrange(BeliefFile.copy_bytes..., with: before[BeliefFile.copy_bytes...])
    torn.replaceSubrange(1_536..<2_048, with: [UInt8](repeating: 9, count: 512))
    for seed in 0..<200 as Range<UInt64> {
      var random = SeededRandom(seed)
      disk.replace(BeliefFile.name, torn)
      #expect(file.read() == .record([UInt8](repeating: 1, count: 4_000)))
      disk.cut(after: 1 + Int(seed % 4))
      let next = [3] + [UInt8](repeating: 1, count: 3_999)
      #expect(throws: BeliefFileError.self) { try file.replace(with: next) }
      disk.powerOn(&random)
      let found = file.read()
      #expect(found == .record([UInt8](repeating: 1, count: 4_000)) || found == .record(next), "seed \(seed)")
    }
  }

  @Test("the damage of one copy loses nothing; of both it is told, and an owner's word is never taken for nobody's") func damage() throws {
    var random = SeededRandom(seed)
    let old = Self.record(1, &random), new = Self.record(2, &random)
    try file.replace(with: old)
    try file.replace(with: new)
    let whole = try #require(disk.content(BeliefFile.name))
    for copy in 0...1 {
      for _ in 0..<50 {
        var bytes = whole
        bytes[copy * BeliefFile.copy_bytes + Int.random(in: 0..<BeliefFile.copy_bytes, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
        disk.replace(BeliefFile.name, bytes)
        #expect(file.read() == .record(new), "HAECHI_SEED=\(seed)")
        try file.replace(with: new)
        let mended = try #require(disk.content(BeliefFile.name))
        #expect(Array(mended.prefix(BeliefFile.copy_bytes)) == Array(mended.suffix(BeliefFile.copy_bytes)), "both are whole again")
      }
    }
    for bytes in [[], Array(whole.prefix(100)), [UInt8](repeating: 0, count: whole.count), whole.map { $0 ^ 0x40 }] {
      disk.replace(BeliefFile.name, bytes)
      #expect(file.read() == .lost("the file beliefs: neither of its two copies is whole"))
      #expect(BeliefFile(storage: disk) { false }.read() == .nothing)
      // It can be written again.
      try file.replace(with: old)
      #expect(file.read() == .record(old))
    }
    disk.fail(.read, EIO)
    #expect(file.read() == .lost("the file beliefs: neither of its two copies is whole"))
    disk.fail(.read, nil)
    disk.fail(.open, EIO)
    #expect(file.read() == .lost("the file beliefs: open beliefs: Input/output error"))
  }

  @Test("a medium that fails or is read-only says so, and what was there counts") func failures() throws {
    try file.replace(with: [1])
    for (operation, number) in [(CuttableDisk.Operation.write, EIO), (.flush, EIO), (.open, EROFS)] {
      disk.fail(operation, number)
      let error = #expect(throws: BeliefFileError.self) { try file.replace(with: [2]) }
      #expect(error?.code == "beliefs-not-kept" && error?.reason.isEmpty == false)
      disk.fail(operation, nil)
    }
    try file.replace(with: [3])
    #expect(file.read() == .record([3]))
    // On a full medium no file can be made, and one that is there can be replaced.
    disk.fail(.create, ENOSPC)
    disk.fail(.truncate, ENOSPC)
    try file.replace(with: [4])
    #expect(file.read() == .record([4]))
    disk.replace(BeliefFile.name, nil)
    #expect(throws: BeliefFileError.self) { try file.replace(with: [5]) }
  }

  @Test("what a copy takes is what would be written again; nothing ends the process") func fuzz() {
    print("belief fuzz: HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    for _ in 0..<1_500 {
      var bytes = BeliefCopy(generation: random.next(), record: Array(Self.record(3, &random).prefix(600))).bytes
      for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
        let index = Int.random(in: 0..<(Bool.random(using: &random) ? min(bytes.count, 64) : bytes.count), using: &random)
        switch Int.random(in: 0...3, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2: bytes.remove(at: index)
        default: bytes.removeLast(min(bytes.count, index))
        }
      }
      if let copy = BeliefCopy(reading: bytes) { #expect(copy.bytes == bytes, "HAECHI_SEED=\(seed)") }
    }
  }

  @Test("on this machine's file system, with a mode that nobody else reads") func realFile() throws {
    var template = Array("/tmp/haechi-beliefs.XXXXXX".utf8CString)
    let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
      unlink(folder + "/beliefs")
      unlink(folder + "/owner.json")
      rmdir(folder)
    }
    let file = BeliefFile(folder: folder, ownerFile: folder + "/owner.json")
    #expect(file.read() == .nothing)
    try file.replace(with: [1, 2, 3])
    try file.replace(with: [4])
    #expect(file.read() == .record([4]))
    var facts = stat()
    #expect(stat(folder + "/beliefs", &facts) == 0 && facts.st_mode & 0o7777 == 0o600 && facts.st_size == 2 * BeliefFile.copy_bytes)
    // Others may read it: it is not believed.
    #expect(chmod(folder + "/beliefs", 0o644) == 0)
    close(open(folder + "/owner.json", O_CREAT | O_WRONLY, 0o600))
    #expect(file.read() == .lost("the file beliefs: open \(folder)/beliefs: Permission denied"))
  }
}
