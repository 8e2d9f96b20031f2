internal import CHaechi
public import Foundations
internal import Glibc

/// Signals as something to wait for beside other descriptors (signalfd(2)), so that no code of ours runs inside a handler.
public final class SignalDescriptor {
  public enum Arrival: Sendable, Equatable { case child, terminate, interrupt, hangUp }

  public let descriptor: CInt

  /// From here on SIGCHLD, SIGTERM, SIGINT and SIGHUP arrive here only, and SIGPIPE is ignored.
  public init() throws(SystemCallError) {
    descriptor = try check(haechi_signal_descriptor(), "signalfd", "SIGCHLD, SIGTERM, SIGINT, SIGHUP")
  }
  deinit { close(descriptor) }

  /// What arrived since the last call, at most 16 at once; the same signal twice may be one.
  public func take() -> [Arrival] {
    var arrivals: [Arrival] = []
    for _ in 0..<16 {
      let number = haechi_take_signal(descriptor)
      guard number > 0 else { break }
      switch number {
      case SIGCHLD: arrivals.append(.child)
      case SIGTERM: arrivals.append(.terminate)
      case SIGINT: arrivals.append(.interrupt)
      case SIGHUP: arrivals.append(.hangUp)
      default: break
      }
    }
    return arrivals
  }
}
