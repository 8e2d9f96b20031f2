import Foundations
import NIOConcurrencyHelpers
import SupervisorLink

/// Takes the supervisor's messages and keeps what they say.
final class Inbox: Sendable {
  private let hub: DeviceHub
  private let grades: GradeHolder
  private let presence = NIOLockedValueBox<Presence?>(nil)
  private struct Introduction {
    var hasPhases = false
    var isComplete = false
    var isLinkUp = false
    var linkFollower: (@Sendable (Bool) -> Void)?
    var destination: DestinationReport?
    var destinationFollower: (@Sendable (DestinationReport) -> Void)?
    var peers: PeerDestinations?
    var peersFollower: (@Sendable (PeerDestinations) -> Void)?
    var wipeFollower: (@Sendable () -> Void)?
    var discovers = false
    var discoveryFollower: (@Sendable (Bool) -> Void)?
  }
  private let introduction = NIOLockedValueBox(Introduction())
  private let endings: AsyncStream<Ending>
  private let endingContinuation: AsyncStream<Ending>.Continuation

  init(hub: DeviceHub, grades: GradeHolder) {
    self.hub = hub
    self.grades = grades
    (endings, endingContinuation) = AsyncStream.makeStream(of: Ending.self, bufferingPolicy: .bufferingOldest(1))
  }

  @Sendable func receive(_ message: SupervisorMessage) {
    switch message {
    case .started(let count, let cause):
      hub.update { facts in
        facts.startCount = count
        facts.startCause = cause
      }
    case .phase(let report): hub.update { if $0.phases.count < DeviceHub.maximumPhases { $0.phases.append(report) } }
    case .phasesComplete: introduction.withLockedValue { $0.hasPhases = true }
    case .line(let name, let isOutput, let value): hub.announceLine(name.text, isOutput: isOutput, value: value)
    case .input(let name, let value, let at_us):
      if name.text == SupervisorPacket.presenceLine, value { presence.withLockedValue { $0 }?.press() }
      hub.inputChanged(name.text, value: value, at_us: at_us)
    // The client's own.
    case .answer, .signature: return
    case .link(let up):
      hub.update { $0.linkUp = up }
      // After the phases come the lines, and after the lines the link: then everything that a start needs is known.
      introduction.withLockedValue { state in
        state.isComplete = state.hasPhases
        guard state.isLinkUp != up else { return }
        state.isLinkUp = up
        state.linkFollower?(up)
      }
    case .rootOfTrust(let report): hub.update { $0.rootOfTrust = report }
    case .storage(let report):
      hub.update { facts in
        facts.storage = report
        // What was ordered before it was opened is done.
        facts.recoveryWish = nil
      }
    case .recoveryOffer(let publicKey): hub.update { $0.recoveryOffer = publicKey }
    case .identityKey(let publicKey): hub.update { $0.identityKey = publicKey }
    case .log(let level, let at_us, let text): hub.log.appendForeign(level, at_us: at_us, source: "supervisor", text)
    case .shutdown(let grace_ms): finish(.shutdown(grace_ms: grace_ms))
    case .grade(let report): grades.take(report)
    case .destination(let report):
      introduction.withLockedValue { state in
        state.destination = report
        state.destinationFollower?(report)
      }
    case .peers(let destinations):
      introduction.withLockedValue { state in
        state.peers = destinations
        state.peersFollower?(destinations)
      }
    case .wipeWanted: introduction.withLockedValue { $0.wipeFollower }?()
    case .discovery(let isOn):
      introduction.withLockedValue { state in
        state.discovers = isOn
        state.discoveryFollower?(isOn)
      }
    }
  }

  @Sendable func finish(_ ending: Ending) { endingContinuation.yield(ending) }

  /// Opens `presence` at each press of the button from now on.
  func followButton(_ presence: Presence) { self.presence.withLockedValue { $0 = presence } }

  /// Calls `follower`, which must not wait, with the state of the link now if it is up, and with each change.
  func followLink(_ follower: @escaping @Sendable (Bool) -> Void) {
    introduction.withLockedValue { state in
      state.linkFollower = follower
      if state.isLinkUp { follower(true) }
    }
  }

  /// Calls `follower`, which must not wait, with the declared destination now if there is one, and with each change.
  func followDestination(_ follower: @escaping @Sendable (DestinationReport) -> Void) {
    introduction.withLockedValue { state in
      state.destinationFollower = follower
      if let destination = state.destination { follower(destination) }
    }
  }

  /// Calls `follower`, which must not wait, with the declared places of peers now if there are any, and with each change.
  func followPeers(_ follower: @escaping @Sendable (PeerDestinations) -> Void) {
    introduction.withLockedValue { state in
      state.peersFollower = follower
      if let peers = state.peers { follower(peers) }
    }
  }

  /// Calls `follower`, which must not wait, when somebody at the device wants it wiped.
  func followHand(_ follower: @escaping @Sendable () -> Void) { introduction.withLockedValue { $0.wipeFollower = follower } }

  /// Calls `follower`, which must not wait, when multicast DNS is let through now, and with each change.
  func followDiscovery(_ follower: @escaping @Sendable (Bool) -> Void) {
    introduction.withLockedValue { state in
      state.discoveryFollower = follower
      if state.discovers { follower(true) }
    }
  }

  func ending() async -> Ending? {
    for await ending in endings { return ending }
    return nil
  }

  /// Waits until the phases of boot, the lines and the link are known.
  func waitForIntroduction(deadline_ms: UInt64) async throws(RuntimeError) {
    let end_ms = BootClock.now_ms() + deadline_ms
    while BootClock.now_ms() < end_ms {
      if introduction.withLockedValue({ $0.isComplete }) { return }
      do { try await Task.sleep(for: .milliseconds(1)) } catch { break }
    }
    throw RuntimeError(code: "supervisor-silent", reason: "the supervisor did not tell phases, lines and link within \(deadline_ms) ms")
  }
}
