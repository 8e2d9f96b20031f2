import BoardAPI
import Foundations
import Supervisor
import SupervisorLink

/// What happened, in order, on the fake board and in the fake host.
final class Journal {
  private(set) var entries: [String] = []
  func note(_ entry: String) { entries.append(entry) }
  func clear() { entries = [] }
}

final class FakeGpio: Gpio {
  let journal: Journal
  var lines: [LineDescription] = []
  var values: [String: Bool] = [:]
  var events: [LineEvent] = []
  var failsToSet = false
  var failsToOpen = false
  var failsToTakeEvents = false
  var failsToDriveSafe = false
  init(journal: Journal) { self.journal = journal }

  func open(_ lines: [LineDescription]) throws(BoardError) {
    if failsToOpen { throw BoardError(code: "line-missing", reason: "relay: no such line") }
    self.lines = lines
    for line in lines { values[line.name] = safeValue(line) ?? false }
    journal.note("open")
  }
  func set(_ name: String, to value: Bool) throws(BoardError) {
    if failsToSet { throw BoardError(code: "line-broken", reason: "\(name): input/output error") }
    values[name] = value
    journal.note("set \(name) \(value)")
  }
  func value(of name: String) throws(BoardError) -> Bool { values[name] ?? false }
  func driveSafe() -> [String] {
    for line in lines { if let safe = safeValue(line) { values[line.name] = safe } }
    journal.note("safe")
    return failsToDriveSafe ? ["relay"] : []
  }
  var eventDescriptors: [CInt] { [] }
  func takeEvents() throws(BoardError) -> [LineEvent] {
    if failsToTakeEvents { throw BoardError(code: "line-broken", reason: "button: input/output error") }
    defer { events = [] }
    return events
  }

  var areOutputsSafe: Bool { lines.allSatisfy { line in safeValue(line).map { values[line.name] == $0 } ?? true } }
  private func safeValue(_ line: LineDescription) -> Bool? { if case .output(let safe) = line.role { safe } else { nil } }
}

final class FakeNetwork: NetworkInterface {
  let journal: Journal
  var isUp = true
  var fails = false
  init(journal: Journal) { self.journal = journal }
  let name = "eth0"
  func bringUp() throws(BoardError) { try fail() }
  func hardwareAddress() throws(BoardError) -> [UInt8] { [2, 0, 0, 0, 0, 1] }
  func apply(_ configuration: InterfaceConfiguration) throws(BoardError) {
    try fail()
    journal.note("address \(configuration.address)/\(configuration.prefixLength)")
  }
  func clear() throws(BoardError) {
    try fail()
    journal.note("no address")
  }
  func setHostName(_ name: String) throws(BoardError) {
    try fail()
    journal.note("host name \(name)")
  }
  var eventDescriptor: CInt? { 99 }
  func takeCarrier() throws(BoardError) -> Bool {
    try fail()
    return isUp
  }
  func makeDHCPSocket() throws(BoardError) -> CInt? { nil }
  private func fail() throws(BoardError) { if fails { throw BoardError(code: "network-broken", reason: "eth0: no such device") } }
}

final class FakePolicy: NetworkPolicy {
  let journal: Journal
  var applied: [NetworkPolicyRules] = []
  var undeclared: UInt64 = 0
  var fails = false
  init(journal: Journal) { self.journal = journal }

  func apply(_ rules: NetworkPolicyRules) throws(BoardError) {
    if fails { throw BoardError(code: "policy-failed", reason: "nftables: no buffer space") }
    applied.append(rules)
    journal.note("policy \(rules.grade.word)")
  }
  func undeclaredPackets() throws(BoardError) -> UInt64 { undeclared }
}

final class FakeRootOfTrust: RootOfTrust {
  /// What it was asked to sign.
  private(set) var signed: [[UInt8]] = []
  /// What it gives for a signature; nil where it fails.
  var signature: [UInt8]? = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01]
  static let handle: [UInt8] = [0x77, 0x31, 0x99, 0x42]

  func sign(_ digest: [UInt8], with handle: [UInt8]) throws(BoardError) -> [UInt8] {
    guard handle == Self.handle, let signature else { throw BoardError(code: BoardError.lockedCode, reason: "the key was sealed by another TPM") }
    signed.append(digest)
    return signature
  }
  func facts() throws(BoardError) -> RootOfTrustFacts {
    RootOfTrustFacts(kind: .tpm2, manufacturer: "IBM ", secureBootState: [UInt8](repeating: 7, count: 32))
  }
}

final class FakeStorage: Storage {
  var records = 0
  var failsToRecord = false
  var wipes = 0
  var facts = StorageFacts(state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 3)
  var commits = 0
  var failsToCommit = false
  var announcements = 0
  func announceFirmware() throws(BoardError) { announcements += 1 }
  func open() -> StorageFacts { facts }
  /// What lies in the runtime's folder that is not to be kept.
  var undeclared = UndeclaredFiles.none
  func commitIdentity() throws(BoardError) -> UndeclaredFiles {
    if failsToCommit { throw BoardError(code: "storage-failed", reason: "ident: input/output error") }
    commits += 1
    return undeclared
  }
  func recordWipe() throws(BoardError) -> UndeclaredFiles {
    if failsToRecord { throw BoardError(code: "storage-failed", reason: "ident: input/output error") }
    records += 1
    return undeclared
  }
  func wipe() throws(BoardError) { wipes += 1 }
  var remakes = 0
  var failsToRemake = false
  func remake() throws(BoardError) {
    if failsToRemake { throw BoardError(code: "storage-failed", reason: "ident: input/output error") }
    remakes += 1
  }
  /// `set` with the passphrase, or `remove`.
  var orders: [String] = []
  func order(_ recoveryKey: RecoveryKeyOrder) throws(BoardError) {
    if failsToRecord { throw BoardError(code: "storage-failed", reason: "ident: input/output error") }
    switch recoveryKey {
    case .set(let passphrase, _): orders.append("set " + passphrase.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    case .remove: orders.append("remove")
    }
  }
}

/// Keys that open what names them.
enum FakeRecovery {
  /// The private half is `private…`, the public one `public…`.
  static let privateKey = Array("private-private-private-private-".utf8)
  static let publicKey = Array("public--public--public--public--".utf8)

  static let work = RecoveryKeyWork(
    makeKey: { privateKey + publicKey },
    open: { (statement, _, key) throws(BoardError) in
      guard key.withUnsafeBytes({ Array($0) }) == privateKey, statement.body.starts(with: publicKey) else {
        throw BoardError(code: "recovery-key-refused", reason: "it was sealed to another key")
      }
      return .set(
        passphrase: SecretBytes(copying: statement.body.dropFirst(publicKey.count)),
        RecoveryKeyFacts(fingerprint: [1, 2, 3, 4, 5, 6, 7, 8], ordered_s: 9))
    })
}

final class FakeWatchdog: WatchdogTimer {
  var feedings = 0
  func start(timeout_s: UInt32) throws(BoardError) -> UInt32 { timeout_s }
  func feed() throws(BoardError) { feedings += 1 }
}

final class FakeConsole: Console {
  var lines: [String] = []
  func write(line: String) { lines.append(line) }
}

final class FakeBoard: Board {
  let journal: Journal
  let fakeGpio: FakeGpio
  let fakeNetwork: FakeNetwork
  let fakePolicy: FakePolicy
  let fakeWatchdog = FakeWatchdog()
  let fakeStorage = FakeStorage()
  let fakeConsole = FakeConsole()
  var earlyPhases: [BoardPhase] = []

  init(journal: Journal) {
    self.journal = journal
    fakeGpio = FakeGpio(journal: journal)
    fakeNetwork = FakeNetwork(journal: journal)
    fakePolicy = FakePolicy(journal: journal)
  }

  var crashRecords: [String] = []
  var failsToTakeCrashRecords = false
  func takeCrashRecords() throws(BoardError) -> [String] {
    if failsToTakeCrashRecords { throw BoardError(code: "crash-records-failed", reason: "opendir: input/output error") }
    return crashRecords
  }

  let name = "fake"
  let lines = [
    LineDescription(name: "relay", role: .output(safe: false)),
    LineDescription(name: "valve", role: .output(safe: true)),
    LineDescription(name: "status-led", role: .output(safe: false)),
    LineDescription(name: "button", role: .input(debounce_us: 5_000)),
  ]
  var gpio: any Gpio { fakeGpio }
  var watchdog: (any WatchdogTimer)? { fakeWatchdog }
  var network: any NetworkInterface { fakeNetwork }
  var networkPolicy: any NetworkPolicy { fakePolicy }
  let fakeRootOfTrust = FakeRootOfTrust()
  var rootOfTrust: any RootOfTrust { fakeRootOfTrust }
  var storage: any Storage { fakeStorage }
  var console: (any Console)? { fakeConsole }
  let runtimeIdentityFolder = "/nonexistent"
  let runtimeStateFolder = "/nonexistent"
  let auditFolder = "/nonexistent"
  let supervisorFolder = "/nonexistent"
  let runtimeUser: (uid: UInt32, gid: UInt32)? = nil
  func restart() -> Never { fatalError("a test ends the loop itself") }
  func powerOff() -> Never { fatalError("a test ends the loop itself") }
}
