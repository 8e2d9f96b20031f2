internal import BoardAPI
internal import Glibc

/// The log on the standard error of the process.
final class StandardErrorConsole: Console {
  /// What poll(2) promises to take at once when a pipe is writable (PIPE_BUF); a longer line is cut there.
  private static let maximumLine_bytes = 4096

  func write(line: String) {
    var ready = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
    // Nothing but writable: where the reader is gone too (POLLERR), a write would raise SIGPIPE.
    guard poll(&ready, 1, 0) == 1, ready.revents == Int16(POLLOUT) else { return }
    let bytes = Array(line.utf8.prefix(Self.maximumLine_bytes - 1)) + [UInt8(ascii: "\n")]
    // A line that does not go out is lost, as the protocol says: nobody waits for a console.
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
  }
}
