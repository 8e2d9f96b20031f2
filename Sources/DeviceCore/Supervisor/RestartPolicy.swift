internal import Foundations
internal import SupervisorLink

/// Counts the ends of runtimes against the floor and the ceiling. Pure: times come in, decisions go out.
struct RestartPolicy {
  private let limits: SupervisorLimits
  /// Ends in a row of runtimes that had not settled.
  private(set) var unsettledEnds: UInt32 = 0
  /// When the present or last runtime was started.
  private(set) var started_us: UInt64?
  private var ready_us: UInt64?
  private var settled = false

  init(limits: SupervisorLimits) { self.limits = limits }

  /// True where a fresh runtime alone does not help any more.
  var isCeilingReached: Bool { unsettledEnds >= limits.ceiling }

  /// The earliest time of the next start.
  var notBefore_us: UInt64 { started_us.map { later($0, by: limits.restartFloor_us) } ?? 0 }

  mutating func started(at_us: UInt64) {
    started_us = at_us
    ready_us = nil
    settled = false
  }

  mutating func ready(at_us: UInt64) { if ready_us == nil { ready_us = at_us } }

  mutating func heartbeat(at_us: UInt64) {
    guard !settled, let ready_us, elapsed_us(since: ready_us, now: at_us) >= limits.settled_us else { return }
    settled = true
    unsettledEnds = 0
  }

  /// The runs before do not count any more.
  mutating func startAnew() { unsettledEnds = 0 }

  mutating func ended() { if !settled { unsettledEnds = unsettledEnds.successor } }
}
