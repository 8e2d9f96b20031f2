internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// GPIO lines as files of a folder: an output is mirrored to its file, an input follows what is written to its file.
///
/// A file holds `1` or `0` and perhaps a line end. Outputs are replaced as a whole, so a reader never sees half a write. Inputs are watched
/// with inotify(7) and debounced as a kernel would: a change counts once the file has rested for the line's debounce time.
final class FolderGpio: Gpio {
  /// At most this many events a call, as the protocol says; the rest waits.
  private static let maximumEvents = 64
  /// Reads of the watch in one call: 4 KiB each, so at least 16 × 15 changes; what is more waits for the next call.
  private static let maximumReads = 16

  private struct Input {
    let debounce_us: UInt64
    var value: Bool
    /// Another value than `value` that has not rested long enough yet, and when it will have.
    var pending: (value: Bool, settles_us: UInt64)?
  }

  private let folder: String
  private var outputs: [String: (value: Bool, safe: Bool)] = [:]
  private var inputs: [String: Input] = [:]
  private var settled: [LineEvent] = []
  private var watch: OwnedDescriptor?
  private var timer: OwnedDescriptor?

  init(folder: String) { self.folder = folder }

  func open(_ lines: [LineDescription]) throws(BoardError) {
    guard watch == nil else { throw BoardError(code: "lines-taken", reason: "the lines in \(folder) are open already: open them once") }
    guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw failure("mkdir", folder) }
    let watchNumber = inotify_init1(CInt(IN_NONBLOCK | IN_CLOEXEC))
    guard watchNumber >= 0 else { throw failure("inotify_init1", folder) }
    let watch = OwnedDescriptor(adopting: watchNumber)
    let timerNumber = haechi_timer_open()
    guard timerNumber >= 0 else { throw failure("timerfd_create", folder) }
    let timer = OwnedDescriptor(adopting: timerNumber)

    for line in lines {
      guard Self.isFileName(line.name), outputs[line.name] == nil, inputs[line.name] == nil else {
        throw BoardError(code: "line-missing", reason: "the line “\(line.name)” is named twice or is no file name: use letters, digits, - and _")
      }
      switch line.role {
      case .output(let safe):
        try write(safe, to: line.name)
        outputs[line.name] = (safe, safe)
      case .input(let debounce_us):
        // What an earlier run left pressed is released: a board starts with its button up.
        try write(false, to: line.name)
        inputs[line.name] = Input(debounce_us: UInt64(debounce_us), value: false, pending: nil)
      }
    }
    guard inotify_add_watch(watch.number, folder, UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO)) >= 0 else {
      throw failure("inotify_add_watch", folder)
    }
    self.watch = consume watch
    self.timer = consume timer
  }

  func set(_ name: String, to value: Bool) throws(BoardError) {
    guard let output = outputs[name] else { throw BoardError(code: "unknown-line", reason: "“\(name)” is no output of the virtual board") }
    try write(value, to: name)
    outputs[name] = (value, output.safe)
  }

  func value(of name: String) throws(BoardError) -> Bool {
    if let output = outputs[name] { return output.value }
    if let input = inputs[name] { return input.value }
    throw BoardError(code: "unknown-line", reason: "“\(name)” is no line of the virtual board")
  }

  func driveSafe() -> [String] {
    var failed: [String] = []
    for (name, output) in outputs.sorted(by: { $0.key < $1.key }) {
      do {
        try set(name, to: output.safe)
      } catch {
        failed.append(name)
      }
    }
    return failed
  }

  var eventDescriptors: [CInt] {
    [watch?.number, timer?.number].compactMap { $0 }
  }

  func takeEvents() throws(BoardError) -> [LineEvent] {
    guard watch != nil else { return [] }
    var wrong: BoardError?
    for name in changedFiles() where inputs[name] != nil {
      do {
        note(try read(name), of: name)
      } catch {
        wrong = error
      }
    }
    settle(now_us: BootClock.now_us())
    if let wrong {
      // The events stay for the next call, for which the timer asks.
      arm()
      throw wrong
    }
    let events = Array(settled.prefix(Self.maximumEvents))
    settled.removeFirst(events.count)
    arm()
    return events
  }

  // MARK: Debouncing

  /// The file of an input was written and says `value` now.
  private func note(_ value: Bool, of name: String) {
    guard var input = inputs[name] else { return }
    input.pending = value == input.value ? nil : (value, BootClock.now_us() + input.debounce_us)
    inputs[name] = input
  }

  private func settle(now_us: UInt64) {
    var ready: [LineEvent] = []
    for (name, input) in inputs {
      guard let pending = input.pending, pending.settles_us <= now_us else { continue }
      inputs[name]?.value = pending.value
      inputs[name]?.pending = nil
      ready.append(LineEvent(name: name, value: pending.value, at_us: pending.settles_us))
    }
    settled += ready.sorted { ($0.at_us, $0.name) < ($1.at_us, $1.name) }
  }

  /// Has the timer fire when the next change settles, at once where events wait already, and never where there is neither.
  private func arm() {
    guard let timer = timer?.number else { return }
    var expirations: UInt64 = 0
    _ = Glibc.read(timer, &expirations, 8)
    let next_us = settled.isEmpty ? inputs.values.compactMap { $0.pending?.settles_us }.min() ?? 0 : 1
    // It cannot fail for a timer that is ours and a time that is one.
    precondition(haechi_timer_arm(timer, next_us) == 0, "timerfd_settime failed")
  }

  // MARK: Files

  private func failure(_ call: String, _ subject: String) -> BoardError {
    .system(code: "line-failed", call: call, subject: subject, number: errno, hint: "give the virtual board a folder that it may write")
  }

  static func isFileName(_ name: String) -> Bool {
    (1...31).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  private func write(_ value: Bool, to name: String) throws(BoardError) {
    let path = folder + "/" + name
    // A leading dot keeps it apart from every line's name.
    let incoming = folder + "/." + name
    let number = Glibc.open(incoming, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard number >= 0 else { throw failure("open", incoming) }
    let file = OwnedDescriptor(adopting: number)
    guard Glibc.write(file.number, value ? "1\n" : "0\n", 2) == 2 else { throw failure("write", incoming) }
    guard rename(incoming, path) == 0 else { throw failure("rename", path) }
  }

  private func read(_ name: String) throws(BoardError) -> Bool {
    let path = folder + "/" + name
    let number = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard number >= 0 else { throw failure("open", path) }
    let file = OwnedDescriptor(adopting: number)
    var bytes = [UInt8](repeating: 0, count: 4)
    let count = Glibc.read(file.number, &bytes, bytes.count)
    guard count >= 0 else { throw failure("read", path) }
    guard let value = Self.parse(bytes.prefix(count)) else {
      throw BoardError(code: "invalid-value", reason: "\(path) holds neither 0 nor 1: write one of them")
    }
    return value
  }

  /// `0` or `1`, and perhaps a line end; nil for anything else.
  static func parse(_ bytes: some Collection<UInt8>) -> Bool? {
    switch Array(bytes) {
    case Array("0".utf8), Array("0\n".utf8): false
    case Array("1".utf8), Array("1\n".utf8): true
    default: nil
    }
  }

  /// Names of the files that were written since the last call; every input where the kernel lost count.
  private func changedFiles() -> Set<String> {
    guard let watch = watch?.number else { return [] }
    var names: Set<String> = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    for _ in 0..<Self.maximumReads {
      let count = Glibc.read(watch, &buffer, buffer.count)
      guard count > 0 else { break }
      guard let changed = InotifyEvents.names(in: buffer.prefix(count)) else { return Set(inputs.keys) }
      names.formUnion(changed)
    }
    return names
  }
}
