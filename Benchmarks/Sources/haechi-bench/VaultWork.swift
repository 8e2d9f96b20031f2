import Crypto
import Foundations
import Glibc
import Vault

/// What is stored: as long as a reading of the API.
private struct StoredReading: Codable, Sendable {
  var name = "temperature"
  var unit = "Cel"
  var value: Double
}

/// Fills a vault in `folder`, reads it, and prints a line for each kind of work: name, operations, nanoseconds, nanoseconds on a processor.
///
/// - Parameter count: of the records, and of the log's entries; at least 100.
func measureVault(folder: String, count: Int) throws {
  let record = RecordKind<StoredReading>("record", purpose: "A benchmark.", maximumKeys: 16_384)
  let history = LogKind<StoredReading>("history", purpose: "A benchmark.", maximumEntries: 16_384)
  var configuration = VaultConfiguration(name: "bench", kinds: [record.declaration, history.declaration])
  configuration.limits.file_bytes = 64 << 20
  configuration.limits.values = 32_768
  let keys = try VaultKeys(current: randomSecret(AEADKey.key_bytes))
  let storage = PosixVaultFolder(path: folder)
  let names = (0..<count).map { "reading-\($0)" }
  // The same moment for all: nothing here is past its life.
  func open(mayCreate: Bool) throws -> Vault { try Vault(in: storage, configuration, keys: keys, mayCreate: mayCreate) { 1_700_000_000 } }

  var vault = try open(mayCreate: true)
  try measured("put", count) {
    for (number, name) in names.enumerated() { try vault.put(record, key: name, StoredReading(value: Double(number))) }
  }
  try measured("append", count) {
    for number in 0..<count { try vault.append(history, StoredReading(value: Double(number))) }
  }
  try measured("put, 100 in a transaction", count) {
    for begin in stride(from: 0, to: count, by: 100) {
      try vault.commit { (transaction) throws(VaultError) in
        for name in names[begin..<min(begin + 100, count)] { try transaction.put(record, key: name, StoredReading(value: 21.5)) }
      }
    }
  }
  try measured("get", 10 * count) {
    for _ in 0..<10 {
      for name in names {
        guard try vault.get(record, key: name)?.value == 21.5 else { throw VaultMistake(description: "\(name) is not what was put") }
      }
    }
  }
  try measured("scan", 10 * count) {
    for _ in 0..<10 {
      let entries = try vault.entries(history, limit: count)
      guard entries.count == count, entries.last?.value.value == Double(count - 1) else { throw VaultMistake(description: "the log is not what was appended") }
    }
  }
  // Half of what was written was replaced since.
  try measured("rewrite", 2 * count) { try vault.rewrite() }
  try vault.close()
  try measured("open", 1) {
    vault = try open(mayCreate: false)
    guard try vault.get(record, key: names[0]) != nil else { throw VaultMistake(description: "\(names[0]) is gone") }
  }
  try vault.close()
}

/// What was read is not what was written.
private struct VaultMistake: Error, CustomStringConvertible { let description: String }

private func measured(_ name: String, _ operations: Int, _ work: () throws -> Void) throws {
  let start_ns = clock_ns(CLOCK_MONOTONIC)
  let start_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID)
  try work()
  let taken_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_ns
  say("\(name)\t\(operations)\t\(clock_ns(CLOCK_MONOTONIC) - start_ns)\t\(taken_cpu_ns)")
}
