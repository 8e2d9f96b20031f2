public import Foundations
import LocalAPI
import NIOConcurrencyHelpers

/// The newest 1,000 records of the log, in memory, and whoever follows them.
public final class DeviceLog: Sendable {
  /// A record has at most 600 bytes: 1,000 stay under 1 MB, and hold the start and the last days of a quiet device.
  public static let maximumRecords = 1_000
  /// Longer text is cut.
  public static let textMaximum_bytes = 512

  private struct State {
    var ring = Ring<LogRecord>(capacity: DeviceLog.maximumRecords)
    var last: UInt64 = 0
    var receivers = Receivers()
    var console: (@Sendable (LogLevel, String, String) -> Void)?
  }
  private let state = NIOLockedValueBox(State())

  public init() {}

  /// Sends each record of the runtime's own to `console` too (level, source, text), which never waits.
  func mirror(to console: @escaping @Sendable (LogLevel, String, String) -> Void) {
    state.withLockedValue { $0.console = console }
  }

  /// Adds a record of the runtime's own.
  public func append(_ level: LogLevel, source: String, _ text: String) {
    let text = Self.clean(text)
    add(level, at_ms: BootClock.now_ms(), source: source, text)
    state.withLockedValue { $0.console }?(level, source, text)
  }

  /// Adds a record that the supervisor made (and has shown already).
  func appendForeign(_ level: LogLevel, at_us: UInt64, source: String, _ text: String) {
    add(level, at_ms: at_us / 1_000, source: source, Self.clean(text))
  }

  private func add(_ level: LogLevel, at_ms: UInt64, source: String, _ text: String) {
    state.withLockedValue { state in
      state.last += 1
      let record = LogRecord(sequence: state.last, uptime_ms: at_ms, level: level, source: source, text: text)
      state.ring.append(record)
      if !state.receivers.isEmpty, let event = Self.event(record) { state.receivers.deliver(event) }
    }
  }

  func document(after: UInt64) -> LogsDocument {
    state.withLockedValue { state in
      LogsDocument(
        records: state.ring.elements.filter { $0.sequence > after }.map(LogDocument.init),
        // Sequences start at 1 and have no gaps: what is forgotten are 1…forgotten.
        forgotten: state.ring.forgotten > after ? state.ring.forgotten - after : 0)
    }
  }

  /// The records after `after`, then each new one, without a gap between.
  func subscribe(after: UInt64, deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    let identifier = state.withLockedValue { state in
      for record in state.ring.elements where record.sequence > after {
        if let event = Self.event(record) { deliver(event) }
      }
      return state.receivers.add(deliver)
    }
    return FeedSubscription { [self] in state.withLockedValue { $0.receivers.remove(identifier) } }
  }

  private static func event(_ record: LogRecord) -> StreamEvent? {
    try? StreamEvent(name: "log", identifier: record.sequence, document: LogDocument(record))
  }

  /// One line of at most `textMaximum_bytes`: what came from outside cannot forge a second record.
  static func clean(_ text: String) -> String {
    var result = ""
    var bytes = 0
    for scalar in text.unicodeScalars {
      let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
      let shown: Unicode.Scalar = isControl ? " " : scalar
      bytes += UTF8.width(shown)
      guard bytes <= textMaximum_bytes else { break }
      result.unicodeScalars.append(shown)
    }
    return result
  }
}

extension LogDocument {
  init(_ record: LogRecord) {
    self.init(
      sequence: record.sequence, uptimeMilliseconds: record.uptime_ms, level: record.level.word, source: record.source, text: record.text)
  }
}
