internal import Glibc

/// Where the command's words go, without a buffer between: a line that is followed live is there at once.
public struct Terminal: Sendable {
  private let descriptor: CInt

  public static let standardOutput = Terminal(descriptor: 1)
  public static let standardError = Terminal(descriptor: 2)

  /// Whether a person's terminal is there, and not a pipe or a file.
  public var isInteractive: Bool { isatty(descriptor) == 1 }

  /// Characters a line; 80 where the terminal does not say.
  public var width: Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Lines a screen; 24 where the terminal does not say.
  public var height: Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
    return Int(size.ws_row)
  }

  /// Writes all of `text`. A reader that went away (`haechi logs -f | head -1`) ends the command quietly, as it ends every filter.
  public func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let written = Glibc.write(descriptor, Array(rest), rest.count)
      if written < 0, errno == EINTR { continue }
      if written < 0, errno == EAGAIN {
        // Somebody made our standard output non-blocking: wait for room instead of losing words.
        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wanted, 1, 1000)
        continue
      }
      guard written > 0 else { exit(written < 0 && errno == EPIPE ? 0 : 74) }
      rest = rest.dropFirst(written)
    }
  }

  /// Writes `line` and a line feed.
  public func line(_ line: String) { write(line + "\n") }
}

/// Redraws a block of lines in place: one write a picture, and none where nothing changed, so that nothing flickers.
public struct Screen: Sendable {
  private var shown: [String] = []

  public init() {}

  /// The bytes that turn what is shown into `lines`.
  ///
  /// - Parameter height: the screen's; a block that is taller could not be redrawn, so its end is cut.
  public mutating func redraw(_ lines: [String], height: Int) -> String {
    let lines = Array(lines.prefix(max(1, height - 1)))
    guard lines != shown else { return "" }
    // ECMA-48: CUU goes up, EL clears the rest of a line, ED the rest of the screen.
    var text = shown.isEmpty ? "" : "\u{1b}[\(shown.count)A\r"
    for line in lines { text += line + "\u{1b}[K\n" }
    if lines.count < shown.count { text += "\u{1b}[J" }
    shown = lines
    return text
  }
}

/// The time of day of this machine, UTC as all of the device's times: `12:00:00`.
public func timeOfDayNow() -> String { String(rfc3339(seconds: secondsNow()).dropFirst(11).prefix(8)) }

/// Seconds since 1970-01-01T00:00:00Z by this machine's clock.
public func secondsNow() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec)
}
