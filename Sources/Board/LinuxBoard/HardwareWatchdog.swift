internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// /dev/watchdog (Documentation/watchdog/watchdog-api.rst): the machine resets unless it is fed.
///
/// The device is opened once and stays open. The kernel has `nowayout`: also when PID 1 dies and its descriptors close, the timer runs on.
final class HardwareWatchdog: WatchdogTimer {
  private let path: String
  private var device: OwnedDescriptor?

  init(path: String) { self.path = path }

  func start(timeout_s: UInt32) throws(BoardError) -> UInt32 {
    // The largest that any driver of Linux takes is 65535 s; 0 would mean “at once” to some.
    guard (1...65_535).contains(timeout_s) else {
      throw BoardError(code: "watchdog-failed", reason: "a watchdog time-out of \(timeout_s) s is out of bounds: ask for 1 to 65535 s")
    }
    if device == nil {
      let number = open(path, O_WRONLY | O_CLOEXEC)
      guard number >= 0 else { throw failure("open") }
      device = OwnedDescriptor(adopting: number)
    }
    let taken_s = haechi_watchdog_set_timeout(device?.number ?? -1, CInt(timeout_s))
    guard taken_s >= 0 else { throw failure("ioctl WDIOC_SETTIMEOUT") }
    return UInt32(taken_s)
  }

  func feed() throws(BoardError) {
    guard haechi_watchdog_feed(device?.number ?? -1) == 0 else { throw failure("ioctl WDIOC_KEEPALIVE") }
  }

  private func failure(_ call: String) -> BoardError {
    .system(code: "watchdog-failed", call: call, subject: path, number: errno, hint: "has this machine a watchdog, and is it ours alone?")
  }
}
