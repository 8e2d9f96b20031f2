import Crypto
import Foundations
import Synchronization
import TestDisk
import Testing
import Vault

/// A monotonic counter that loses its power with the disk's.
final class TestCounter: MonotonicCounter {
  private let disk: CuttableDisk
  private let count: Mutex<UInt64>
  init(_ disk: CuttableDisk, from count: UInt64 = 41) {
    self.disk = disk
    self.count = Mutex(count)
  }
  func value() throws -> UInt64 {
    try disk.tick()
    return count.withLock { $0 }
  }
  func increment() throws -> UInt64 {
    try disk.tick()
    let value = count.withLock { count in
      count += 1
      return count
    }
    // The power may also go after it has counted.
    try disk.tick()
    return value
  }
  func set(_ value: UInt64) { count.withLock { $0 = value } }
}

/// Time that a test moves.
final class TestClock: Sendable {
  private let time_s = Mutex<Int64>(1_700_000_000)
  var now_s: Int64 { time_s.withLock { $0 } }
  func advance(_ by_s: Int64) { time_s.withLock { $0 += by_s } }
}

struct Settings: Codable, Equatable, Sendable {
  var name: String
  var interval_s: Int
}

enum Kinds {
  static let settings = RecordKind<Settings>("settings", purpose: "How the owner set the device.")
  static let peers = RecordKind<String>("peers", purpose: "Devices that this one talks to.", maximumKeys: 8)
  static let session = RecordKind<String>("session", purpose: "Who is here now.", life_s: 600, maximumKeys: 4)
  static let history = LogKind<String>("history", purpose: "What was measured.", life_s: 3_600, maximumEntries: 20)
  static let notes = LogKind<String>("notes", purpose: "What happened.", maximumEntries: 5)
  static let all = [settings.declaration, peers.declaration, session.declaration, history.declaration, notes.declaration]
}

/// A vault on a disk that can be cut, and what is needed to open it again.
struct World {
  let disk = CuttableDisk()
  let counter: TestCounter?
  let clock = TestClock()
  var keys: VaultKeys
  var configuration: VaultConfiguration

  init(isCounted: Bool = true, kinds: [VaultKind] = Kinds.all) throws {
    counter = isCounted ? TestCounter(disk) : nil
    keys = try VaultKeys(current: SecretBytes(copying: [UInt8](repeating: 7, count: 32)))
    configuration = VaultConfiguration(name: "device", kinds: kinds)
    configuration.limits.file_bytes = 24 * 1024
    configuration.limits.value_bytes = 1_024
    configuration.limits.transaction_bytes = 4_096
    configuration.limits.values = 200
  }

  func open(mayCreate: Bool = false) throws(VaultError) -> Vault {
    let clock = clock
    return try Vault(in: disk, configuration, keys: keys, counter: counter, mayCreate: mayCreate, now_s: { clock.now_s })
  }

  static let fileName = "device.vault"
  var file: [UInt8] {
    get throws { try #require(disk.content(Self.fileName)) }
  }

  /// Opens what is there now, which is to fail with an error of this code.
  func expectRefusal(_ codes: Set<String>, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
    do throws(VaultError) {
      let vault = try open()
      Issue.record("\(what): opened with \(vault.findings)", sourceLocation: sourceLocation)
    } catch {
      #expect(codes.contains(error.code), "\(what): \(error)", sourceLocation: sourceLocation)
      #expect(!error.reason.isEmpty, sourceLocation: sourceLocation)
    }
  }
}

/// All that a vault of `Kinds.all` shows.
struct Content: Equatable, CustomStringConvertible {
  var settings: Settings?
  var peers: [String: String] = [:]
  var session: [String: String] = [:]
  var history: [String] = []
  var notes: [String] = []
  /// The number of the newest note, 0 where there is none.
  var lastNote: UInt64 = 0

  init() {}

  init(of vault: Vault) throws(VaultError) {
    settings = try vault.get(Kinds.settings)
    for key in try vault.keys(Kinds.peers) { peers[key] = try vault.get(Kinds.peers, key: key) }
    for key in try vault.keys(Kinds.session) { session[key] = try vault.get(Kinds.session, key: key) }
    history = try vault.entries(Kinds.history).map(\.value)
    let entries = try vault.entries(Kinds.notes)
    notes = entries.map(\.value)
    lastNote = entries.last?.number ?? 0
  }

  var description: String {
    "\(settings.map { "\($0)" } ?? "-") peers \(peers.mapValues { $0.prefix(6) }) session \(session.mapValues { $0.prefix(6) }) "
      + "history \(history.map { $0.prefix(6) }) notes \(notes.map { $0.prefix(6) }) to \(lastNote)"
  }
}
