import Crypto
import Foundations
import Identity
import TestDisk
import Testing
import Vault

@testable import Audit

/// The log's storage on a disk whose power can be cut, with the calls of `AuditFolder` in their order.
private struct CutStorage: AuditStorage {
  let disk: CuttableDisk
  var path: String { disk.path }

  func names() throws(SystemCallError) -> [String] { disk.names }

  func read(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8]? {
    guard disk.names.contains(name) else { return nil }
    return try disk.open(name, writable: false).read(at: 0, count: maximum_bytes)
  }

  func readSecret(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> SecretBytes? {
    try read(name, maximum_bytes: maximum_bytes).map { SecretBytes(copying: $0) }
  }

  func write(_ name: String, _ bytes: [UInt8], at offset: Int, isNew: Bool) throws(SystemCallError) {
    if isNew, !disk.names.contains(name), let spare = disk.names.first(where: { $0.hasSuffix(".spare") }) {
      try disk.open(spare, writable: true).truncate(to: 0)
      try disk.rename(spare, to: name)
    }
    let file = isNew && !disk.names.contains(name) ? try disk.create(name) : try disk.open(name, writable: true)
    try file.truncate(to: offset)
    try file.write(bytes, at: offset)
    try file.synchronise()
    if isNew { try disk.synchronise() }
  }

  func replace(_ name: String, with bytes: [UInt8]) throws(SystemCallError) {
    let incoming = name + ".new"
    let file = disk.names.contains(incoming) ? try disk.open(incoming, writable: true) : try disk.create(incoming)
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
    try file.synchronise()
    guard disk.names.contains(name) else {
      try disk.rename(incoming, to: name)
      _ = try disk.create(incoming)
      return try disk.synchronise()
    }
    try disk.exchange(incoming, name)
    try disk.synchronise()
    try disk.open(incoming, writable: true).truncate(to: 0)
  }

  func reserve(_ count: Int) throws(SystemCallError) {
    for index in 0..<count where !disk.names.contains("\(index).spare") { _ = try disk.create("\(index).spare") }
    try disk.synchronise()
  }

  func replace(_ name: String, with secret: SecretBytes) throws(SystemCallError) {
    try replace(name, with: secret.withUnsafeBytes { Array($0) })
  }

  func remove(_ name: String) throws(SystemCallError) {
    guard disk.names.contains(name) else { return }
    try disk.rename(name, to: name + ".spare")
    try disk.open(name + ".spare", writable: true).truncate(to: 0)
  }
}

/// HAECHI_SEED=N repeats a run; HAECHI_AUDIT_CUTS=N makes a long one.
@Suite("The audit log and the power") struct AuditPowerCutTests {
  @Test("after each cut, wherever it was, what was acknowledged is there and the chain verifies") func cuts() throws {
    let seed = environmentNumber("HAECHI_SEED") ?? UInt64.random(in: 0...UInt64.max)
    let cuts = Int(clamping: environmentNumber("HAECHI_AUDIT_CUTS") ?? 250)
    print("audit power cuts: \(cuts), HAECHI_SEED=\(seed)")
    var random = SeededRandom(seed)
    let disk = CuttableDisk()
    var limits = AuditLog.Limits()
    (limits.segment_bytes, limits.segments) = (700, 4)
    let log = AuditLog(storage: CutStorage(disk: disk), limits: limits)
    let device = try #require(DeviceIdentifier("00112233445566778899"))
    let key = try PrivateKey.generateP256()
    let owner = try OwnerAuthorityProfile.make(key: key, now_s: 1_760_000_000)
    var acknowledged: UInt64 = 0
    var memory: AuditMemory?
    var wipes = 0
    for cut in 1...cuts {
      disk.cut(after: Int.random(in: 1...30, using: &random))
      var wiped = false
      while !disk.isOff {
        let isWipe = Int.random(in: 0..<40, using: &random) == 0
        let events = isWipe ? [AuditEvent(.wiped, .word(AuditWord("label")))] : (0..<UInt64.random(in: 1...3, using: &random)).map { AuditWorld.event($0) }
        let isSigned = Bool.random(using: &random)
        do {
          acknowledged = try log.append(
            events.map { AuditLog.Arrival($0, time_s: 1_760_000_000, uptime_ms: 1) }, device: device, owner: isWipe ? nil : owner, isSigned: isSigned)
          if isWipe { memory = nil }
        } catch {
          try #require(disk.isOff, "HAECHI_SEED=\(seed), cut \(cut): \(error)")
          wiped = isWipe
        }
        wipes += isWipe ? 1 : 0
      }
      disk.powerOn(&random)
      if wiped { memory = nil }
      // The first append after it mends what the cut left.
      acknowledged = max(acknowledged, try log.append([], device: device, owner: owner, isSigned: true))
      let export = try #require(try log.export())
      let seen = try AuditVerification(export: export, remembered: memory, owner: .init(key: key, certificate: owner))
      #expect(seen.isClean && seen.events(.missing).isEmpty, "HAECHI_SEED=\(seed), cut \(cut): \(seen.findings)")
      #expect(seen.memory.sequence == acknowledged, "HAECHI_SEED=\(seed), cut \(cut)")
      memory = seen.memory
    }
    #expect(acknowledged > UInt64(cuts) && (wipes > 0 || cuts < 200))
  }

  @Test("a disk that is full or cannot be written is told, and the log goes on when it can") func faults() throws {
    let disk = CuttableDisk()
    let log = AuditLog(storage: CutStorage(disk: disk))
    let device = try #require(DeviceIdentifier("00112233445566778899"))
    func append() throws -> UInt64 {
      try log.append([AuditLog.Arrival(AuditWorld.event(1), time_s: 1, uptime_ms: 1)], device: device, owner: nil, isSigned: true)
    }
    #expect(try append() == 2)
    for operation in [CuttableDisk.Operation.write, .flush, .rename, .folderFlush, .truncate] {
      disk.fail(operation, 28)
      #expect(throws: AuditError.self) { try append() }
      disk.fail(operation, nil)
    }
    // No file is made any more.
    disk.fail(.create, 28)
    let last = try append()
    let seen = try AuditVerification(export: try #require(try log.export()))
    #expect(seen.isClean && seen.memory.sequence == last, "\(seen.findings)")
  }
}
