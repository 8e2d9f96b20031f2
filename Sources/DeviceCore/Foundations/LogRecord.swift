/// How much a log record matters. Ordered.
public enum LogLevel: UInt8, Sendable, Comparable, CaseIterable {
  case debug = 0
  case info = 1
  case notice = 2
  case warning = 3
  case error = 4

  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

  /// The word used in the API, the console and the command line.
  public var word: String {
    switch self {
    case .debug: "debug"
    case .info: "info"
    case .notice: "notice"
    case .warning: "warning"
    case .error: "error"
    }
  }
}

/// One line of the device's log. Text never holds a secret: a value that must not be logged has no textual form.
public struct LogRecord: Sendable, Equatable {
  /// Counts up from 1 within one boot, without gaps.
  public let sequence: UInt64
  /// Milliseconds since the kernel started (`CLOCK_BOOTTIME`): always known, also before the wall clock is.
  public let uptime_ms: UInt64
  public let level: LogLevel
  /// The room that speaks: `supervisor`, `dhcp`, `tls`, `api`, `product`.
  public let source: String
  public let text: String

  public init(sequence: UInt64, uptime_ms: UInt64, level: LogLevel, source: String, text: String) {
    self.sequence = sequence
    self.uptime_ms = uptime_ms
    self.level = level
    self.source = source
    self.text = text
  }
}
