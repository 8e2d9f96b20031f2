import Foundations
import NIOConcurrencyHelpers

/// Watches the signals of the runtime and asks for a higher grade where they are too many: signal, detector, decision, response.
///
/// The response is the caller's: it hands a decision to the supervisor, which holds the grade. May be called from any thread and never waits:
/// a signal costs at most one look through the remembered peers.
public final class Guard: Sendable {
  private struct State {
    var time = SteadyTime()
    var authentication: AuthenticationFailureDetector
    var pace: DecisionPace
  }
  private let state: NIOLockedValueBox<State>
  private let respond: @Sendable (GuardDecision) -> Void

  /// - Parameter respond: takes each decision, on the thread that gave the signal; it must not wait. While evidence goes on a decision comes
  ///   again, at most one each `GuardLimits.pause_ms` for one cause.
  public init(limits: GuardLimits = GuardLimits(), respond: @escaping @Sendable (GuardDecision) -> Void) {
    state = NIOLockedValueBox(
      State(authentication: AuthenticationFailureDetector(limits: limits, now_ms: 0), pace: DecisionPace(pause_ms: limits.pause_ms)))
    self.respond = respond
  }

  /// Takes a signal.
  public func take(_ signal: GuardSignal) {
    let finding: GuardFinding? = state.withLockedValue { state in
      let now_ms = state.time.at(signal.at_ms)
      let finding =
        switch signal {
        case .authenticationRefused(let peer, let reason, _): state.authentication.refused(peer: peer, reason: reason, now_ms: now_ms)
        }
      guard let finding, state.pace.allows(finding.cause, now_ms: now_ms) else { return nil }
      return finding
    }
    // Outside the lock: what the response does may lead to the next signal.
    if let finding { respond(GuardDecision(finding)) }
  }

  /// Whether this peer was refused so often that one more refusal would be a finding: under load its connections are not worth a handshake.
  ///
  /// - Parameters:
  ///   - peer: the numeric address, as in `GuardSignal.authenticationRefused`.
  ///   - at_ms: milliseconds since the kernel started.
  public func isOver(_ peer: String, at_ms: UInt64) -> Bool {
    state.withLockedValue { state in
      let now_ms = state.time.at(at_ms)
      return state.authentication.isOver(peer, now_ms: now_ms)
    }
  }

  /// How many peers are remembered: at most `GuardLimits.peers`.
  var peerCount: Int { state.withLockedValue { $0.authentication.peerCount } }
}
