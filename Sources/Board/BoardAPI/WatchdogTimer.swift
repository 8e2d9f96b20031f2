/// A hardware timer that resets the machine unless it is fed: it guards PID 1 itself.
public protocol WatchdogTimer: AnyObject {
  /// Starts it. Returns the time-out that the hardware accepted, in seconds. From here on it cannot be stopped by accident.
  func start(timeout_s: UInt32) throws(BoardError) -> UInt32
  /// Feeds it.
  func feed() throws(BoardError)
}
