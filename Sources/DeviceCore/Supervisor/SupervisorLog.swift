internal import BoardAPI
internal import Foundations
internal import SupervisorLink

/// The supervisor's own log: to the console at once where there is one, and kept for the runtime, which has the ring that the API shows.
final class SupervisorLog {
  struct Line {
    let level: LogLevel
    let at_us: UInt64
    let text: String
  }

  private let console: (any Console)?
  private var kept: Ring<Line>

  init(console: (any Console)?, keptLines: Int) {
    self.console = console
    kept = Ring(capacity: max(keptLines, 1))
  }

  func write(_ line: Line, source: String) {
    console?.write(line: Self.consoleLine(line, source: source))
  }

  func keep(_ line: Line) { kept.append(line) }

  /// The lines that no runtime has taken yet, oldest first, and none the next time.
  func takeKept() -> [Line] {
    defer { kept = Ring(capacity: kept.capacity) }
    return kept.elements
  }

  /// `[    1.234567] notice supervisor: text`. Control characters become `?`: what a runtime writes must not steer a terminal.
  static func consoleLine(_ line: Line, source: String) -> String {
    let seconds = String(line.at_us / 1_000_000)
    let micros = String(line.at_us % 1_000_000)
    let stamp =
      String(repeating: " ", count: max(0, 5 &- seconds.utf8.count)) + seconds + "." + String(repeating: "0", count: max(0, 6 &- micros.utf8.count)) + micros
    var text = String.UnicodeScalarView()
    for scalar in line.text.unicodeScalars {
      text.append(scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? "?" : scalar)
    }
    return "[\(stamp)] \(line.level.word) \(source): \(String(text))"
  }
}
