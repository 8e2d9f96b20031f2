internal import Foundations
internal import Glibc
internal import Identity

/// A station's ledger: which device got which serial number. It is only ever added to, each line is on the medium before the next step is taken, and
/// one process at a time has it.
///
/// It holds no code of a label: whoever has the ledger can claim nothing. The codes are on the labels.
actor Ledger {
  let path: String
  private let form: LedgerForm
  private let pattern: SerialPattern
  private let descriptor: OwnedDescriptor
  private var books: LedgerBooks
  /// Set once a write has failed: what is in the file since is not what is in the books, and only a new start can tell.
  private var failure: OperatorError?

  private static let largest_bytes = 512 * 1024 * 1024

  /// Opens the ledger, or makes it.
  ///
  /// - Parameters:
  ///   - first: the number that a new ledger begins with; one that has entries goes on after its highest.
  /// - Throws: `file-malformed`, naming the line; `file-unwritable` where another process has it.
  init(_ path: String, pattern: SerialPattern, first: Int) throws(OperatorError) {
    self.path = path
    self.pattern = pattern
    form = try LedgerForm(path: path)
    let number = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode_t(0o600))
    guard number >= 0 else { throw Self.failed("open", path) }
    descriptor = OwnedDescriptor(adopting: number)
    guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { throw OperatorError("file-unwritable", "another haechi has the ledger \(path) open; a ledger has one station at a time") }
      throw Self.failed("flock", path)
    }
    let content = try PrivateFiles.read(path, atMost: Self.largest_bytes)
    let whole = content.lastIndex(of: 10).map { $0 + 1 } ?? 0
    let tail = String(decoding: content[whole...], as: UTF8.self)
    books = LedgerBooks(next: first)
    // Read before anything is changed: what is no ledger stays as it is.
    if case .success = form.entry(tail) {
      // A whole entry without its line feed: an editor leaves it so, and a power cut can (and then may cut its address short).
      books = try LedgerBooks(content, form: form, pattern: pattern, first: first, path: path)
      try Self.append("\n", number, path)
    } else {
      if whole > 0 { books = try LedgerBooks(Array(content[..<whole]), form: form, pattern: pattern, first: first, path: path) }
      guard whole > 0 || form.mayBegin(tail) else {
        throw OperatorError("file-malformed", "\(path) is no ledger, and is left as it is; name another file")
      }
      // A line without its end was being written when the power went: it never counted, since nothing is done before its line is whole.
      if !tail.isEmpty {
        guard ftruncate(number, off_t(whole)) == 0, fsync(number) == 0 else { throw Self.failed("ftruncate", path) }
      }
      if whole == 0 { try Self.append(form.head, number, path) }
    }
  }

  /// The lock ends with the ledger, and not with the last copy of its descriptor: a program that is being started at this moment has one until its `exec`.
  deinit { _ = flock(descriptor.number, LOCK_UN) }

  /// How many devices are provisioned by it.
  var provisioned: Int { books.devices.values.count { $0.state == .provisioned } }

  /// What the ledger knows of a device.
  func entry(_ deviceId: DeviceIdentifier) -> LedgerEntry? { books.devices[deviceId.text] }

  /// The hardware's model as the plan of a device has it.
  func model(_ keyHash: [UInt8]) -> String { books.devices[hexadecimal(keyHash.prefix(10))]?.hardwareModel ?? "" }

  /// The serial number for a blank device: the one that it was given before, or the next. It is on the medium when this returns.
  ///
  /// - Throws: `file-unwritable`; `bad-argument` where the pattern has no more numbers.
  func plan(keyHash: [UInt8], hardwareModel: String, address: String, now_s: Int64) throws(OperatorError) -> LabelSerialNumber {
    if let failure { throw failure }
    if let before = books.devices[hexadecimal(keyHash.prefix(10))], let serialNumber = LabelSerialNumber(before.serialNumber) { return serialNumber }
    while let serialNumber = pattern.serialNumber(books.next) {
      guard books.taken[serialNumber.text] == nil else {
        books.next += 1
        continue
      }
      try append(
        LedgerEntry(time_s: now_s, state: .planned, serialNumber: serialNumber, keyHash: keyHash, hardwareModel: hardwareModel, address: address))
      return serialNumber
    }
    throw OperatorError("bad-argument", "the pattern of serial numbers has no number after \(SerialPattern.highestNumber)")
  }

  /// The device has taken its certificate.
  ///
  /// - Throws: `file-unwritable`.
  func complete(_ serialNumber: LabelSerialNumber, keyHash: [UInt8], hardwareModel: String, address: String, now_s: Int64) throws(OperatorError) {
    try append(
      LedgerEntry(time_s: now_s, state: .provisioned, serialNumber: serialNumber, keyHash: keyHash, hardwareModel: hardwareModel, address: address))
  }

  private func append(_ entry: LedgerEntry) throws(OperatorError) {
    if let failure { throw failure }
    let line = try form.line(entry)
    let end = lseek(descriptor.number, 0, SEEK_END)
    do throws(OperatorError) {
      try Self.append(line, descriptor.number, path)
    } catch {
      failure = error
      // Half a line would be in the way of the next start.
      if end >= 0 { _ = ftruncate(descriptor.number, end) }
      throw error
    }
    books.remember(entry, pattern)
  }

  private static func append(_ text: String, _ descriptor: CInt, _ path: String) throws(OperatorError) {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty else { return }
    var offset = 0
    while offset < bytes.count {
      let rest = Array(bytes[offset...])
      let written = Glibc.write(descriptor, rest, rest.count)
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failed("write", path) }
      offset += written
    }
    guard fsync(descriptor) == 0 else { throw failed("fsync", path) }
  }

  private static func failed(_ call: String, _ path: String) -> OperatorError {
    OperatorError("file-unwritable", "the ledger \(path) cannot be written", cause: SystemCallError(call, number: errno, subject: path))
  }
}

/// What a ledger says, in memory.
private struct LedgerBooks {
  /// The newest entry of each device.
  var devices: [String: LedgerEntry] = [:]
  /// Which device has a serial number.
  var taken: [String: String] = [:]
  /// The number that is given next, unless it is taken.
  var next: Int

  /// More lines than that are more than one ledger is meant for: 500,000 devices.
  private static let mostLines = 1_000_000

  init(next: Int) { self.next = next }

  /// Reads all lines; `path` is for errors.
  init(_ content: [UInt8], form: LedgerForm, pattern: SerialPattern, first: Int, path: String) throws(OperatorError) {
    next = first
    func malformed(_ line: Int, _ what: String) -> OperatorError {
      OperatorError("file-malformed", "\(path), line \(line): \(what); repair it, or begin another ledger")
    }
    let lines = content.split(separator: 10)
    guard lines.count <= Self.mostLines else { throw OperatorError("file-malformed", "\(path) has more than \(Self.mostLines) lines") }
    for (index, line) in lines.enumerated() {
      let text = String(decoding: line, as: UTF8.self)
      if index == 0, form == .csv {
        guard text + "\n" == form.head else { throw malformed(1, "it is not the line of names that a ledger begins with") }
        continue
      }
      let entry: LedgerEntry
      switch form.entry(text) {
      case .success(let read): entry = read
      case .failure(let fault): throw malformed(index + 1, fault.sentence)
      }
      if let other = taken[entry.serialNumber], other != entry.deviceId {
        throw malformed(index + 1, "the serial number \(entry.serialNumber) is that of device \(other) already")
      }
      if let before = devices[entry.deviceId], before.serialNumber != entry.serialNumber {
        throw malformed(index + 1, "device \(entry.deviceId) has the serial number \(before.serialNumber) already")
      }
      remember(entry, pattern)
    }
  }

  mutating func remember(_ entry: LedgerEntry, _ pattern: SerialPattern) {
    devices[entry.deviceId] = entry
    taken[entry.serialNumber] = entry.deviceId
    if let number = pattern.number(of: entry.serialNumber) { next = max(next, number + 1) }
  }
}
