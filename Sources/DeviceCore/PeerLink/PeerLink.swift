public import Crypto
public import Foundations
import Identity
public import LocalAPI
import NIOConcurrencyHelpers
public import NIOCore
import TLS

/// What a device shows its peers, and whose devices they are.
public struct PeerCredential: Sendable {
  /// The LDevID certificate first.
  public let chain: [Certificate]
  public let key: PrivateKey
  /// The pinned owner CA.
  public let owner: Certificate
  /// Why the owner has withdrawn a certificate; nil where it counts.
  public let withdrawal: @Sendable (Certificate) -> CertificateRefusal?

  public init(chain: [Certificate], key: PrivateKey, owner: Certificate, withdrawal: @escaping @Sendable (Certificate) -> CertificateRefusal?) {
    self.chain = chain
    self.key = key
    self.owner = owner
    self.withdrawal = withdrawal
  }

  /// Why `certificate` is not that of `peer` at `time_s`: by name, by the owner's word, by its dates.
  func refusal(of certificate: Certificate, as peer: DeviceIdentifier, at time_s: Int64) -> CertificateRefusal? {
    do throws(CertificateRefusal) {
      let owner = OwnerIdentifier(authority: owner)
      let named = try OperationalDeviceProfile.check(certificate)
      guard named.owner == owner, named.device == peer else {
        return CertificateRefusal(.profile, "\(certificate.subject) is the device \(named.device) of the owner \(named.owner)")
      }
      return withdrawal(certificate) ?? certificate.refusal(at: time_s)
    } catch {
      return error
    }
  }
}

/// How the link to one peer is.
public struct PeerLinkStatus: Sendable {
  public enum State: String, Sendable {
    /// The next try is due after a pause.
    case waiting
    case connecting
    case connected
    /// As `waiting`, and the last try did not fail by chance: the peer does not let this device in, is another one, or speaks another protocol.
    case refused
  }
  /// A value of the peer's.
  public struct Reading: Sendable {
    public let document: ReadingDocument
    /// When it arrived, milliseconds of `BootClock`.
    public let arrived_ms: UInt64
  }

  public var state = State.waiting
  public var failure: PeerLinkError?
  /// While connected.
  public var agreement: PeerAgreement?
  /// The last values of what the peer lets this device have.
  public var readings: [Reading] = []
}

/// The outbound side: holds a connection to each peer that it is told of, and asks for what that peer lets it have. Any thread may call; nothing waits.
public final class PeerLink: Sendable {
  /// Between two rounds of questions over one connection.
  static let pollPause_ms: Int64 = 2_000
  /// A peer that restarts is back within seconds; one that is gone for long is asked twice a minute.
  static let firstPause_ms: UInt64 = 1_000
  static let longestPause_ms: UInt64 = 30_000
  /// A connection that held so long was a working one.
  static let steady_ms: UInt64 = 30_000

  private struct Runner {
    let destination: PeerDestinations.Destination
    let task: Task<Void, Never>
    var status = PeerLinkStatus()
    let number: UInt64
  }
  private struct State {
    var runners: [DeviceIdentifier: Runner] = [:]
    var last: UInt64 = 0
  }
  private let device: DeviceIdentifier
  private let credential: @Sendable () -> PeerCredential?
  private let group: any EventLoopGroup
  private let clock: WallClock
  private let changed = NIOLockedValueBox<(@Sendable (DeviceIdentifier, PeerLinkStatus) -> Void)?>(nil)
  private let state = NIOLockedValueBox(State())

  /// - Parameters:
  ///   - device: this one.
  ///   - group: where the connections live.
  ///   - credential: what is shown in the next connection; nil while there is none.
  public init(device: DeviceIdentifier, group: any EventLoopGroup, clock: WallClock, credential: @escaping @Sendable () -> PeerCredential?) {
    self.device = device
    self.group = group
    self.clock = clock
    self.credential = credential
  }

  /// Calls `handler`, from any thread, when the state of a link has changed; it must not wait.
  public func onChange(_ handler: @escaping @Sendable (DeviceIdentifier, PeerLinkStatus) -> Void) { changed.withLockedValue { $0 = handler } }

  /// These peers, and no others, are to be reached from now on. Who is not among them any more is left at once, its values forgotten.
  public func follow(_ targets: [DeviceIdentifier: PeerDestinations.Destination]) {
    let ended = state.withLockedValue { state in
      var ended: [Task<Void, Never>] = []
      for (peer, runner) in state.runners where targets[peer] != runner.destination {
        ended.append(runner.task)
        state.runners[peer] = nil
      }
      for (peer, destination) in targets where state.runners[peer] == nil { start(peer, destination, &state) }
      return ended
    }
    for task in ended { task.cancel() }
  }

  /// What is shown has changed: no connection goes on with what was shown before.
  public func credentialChanged() {
    let ended = state.withLockedValue { state in
      let runners = state.runners
      for (peer, runner) in runners { start(peer, runner.destination, &state) }
      return runners.values.map(\.task)
    }
    for task in ended { task.cancel() }
  }

  private func start(_ peer: DeviceIdentifier, _ destination: PeerDestinations.Destination, _ state: inout State) {
    state.last += 1
    let number = state.last
    state.runners[peer] = Runner(
      destination: destination, task: Task.detached { [self] in await run(peer, destination, number) }, number: number)
  }

  /// nil for a device that is not followed.
  public func status(of peer: DeviceIdentifier) -> PeerLinkStatus? { state.withLockedValue { $0.runners[peer]?.status } }

  // MARK: One peer

  private func run(_ peer: DeviceIdentifier, _ destination: PeerDestinations.Destination, _ number: UInt64) async {
    var failures: UInt64 = 0
    while !Task.isCancelled {
      update(peer, number) { $0.state = .connecting }
      let began_ms = BootClock.now_ms()
      do throws(PeerLinkError) {
        try await converse(peer, destination, number)
      } catch {
        let isVerdict = ["peer-refused", "peer-wrong", "peer-incompatible"].contains(error.code)
        update(peer, number) { status in
          status.state = isVerdict ? .refused : .waiting
          status.failure = error
          status.agreement = nil
          // What the peer does not give any more is not shown any more; what is only not reached has its age.
          if isVerdict { status.readings = [] }
        }
      }
      failures = BootClock.now_ms() - began_ms >= Self.steady_ms ? 0 : min(failures + 1, 5)
      // Random, so that two devices that look for each other after a power cut do not march in step.
      let pause_ms = UInt64.random(in: Self.firstPause_ms / 2...min(Self.longestPause_ms, Self.firstPause_ms << failures))
      do { try await Task.sleep(for: .milliseconds(pause_ms)) } catch { return }
    }
  }

  /// What a connection is made with, and the peer's certificate once the handshake has taken it.
  private struct Credentials {
    let own: PeerCredential
    let context: TLSClientContext
    let shown: NIOLockedValueBox<Certificate?>
  }

  private func credentials(_ peer: DeviceIdentifier) throws(PeerLinkError) -> Credentials {
    guard let own = credential() else { throw PeerLinkError(code: "peer-lost", reason: "this device has no owner and so no peers") }
    let name = IdentityURI.device(owner: OwnerIdentifier(authority: own.owner), peer).text
    let shown = NIOLockedValueBox<Certificate?>(nil)
    let clock = clock
    do throws(TLSError) {
      let context = try TLSClientContext(
        chain: own.chain, key: own.key, trust: .authority([own.owner], name: .uri(name)),
        policy: { certificate in
          if let refusal = own.refusal(of: certificate, as: peer, at: clock.now_s()) { return refusal }
          shown.withLockedValue { $0 = certificate }
          return nil
        }, clock: clock, remembersSessions: false)
      return Credentials(own: own, context: context, shown: shown)
    } catch {
      throw PeerLinkError(code: "peer-lost", reason: "the LDevID certificate cannot be used for a connection", cause: error)
    }
  }

  /// The peer of an open connection is judged as in its handshake: it may have been withdrawn since, or its certificate have ended.
  private func judge(_ credentials: Credentials, _ peer: DeviceIdentifier) throws(PeerLinkError) {
    guard let shown = credentials.shown.withLockedValue({ $0 }) else { throw PeerLinkError(code: "peer-lost", reason: "the peer has shown no certificate") }
    guard let refusal = credentials.own.refusal(of: shown, as: peer, at: clock.now_s()) else { return }
    throw PeerLinkError(code: "peer-wrong", reason: "the peer's certificate does not count any more: \(refusal.reason)")
  }

  private func converse(_ peer: DeviceIdentifier, _ destination: PeerDestinations.Destination, _ number: UInt64) async throws(PeerLinkError) {
    let own = PeerOffer.own
    let hello = "/v1/peer/hello?versions=\(own.versions.map(String.init).joined(separator: ","))&capabilities=\(own.capabilities.joined(separator: ","))"
    let credentials = try credentials(peer)
    try await PeerConnection.with(destination, tls: credentials.context, group: group) { connection in
      while !Task.isCancelled {
        guard let answer = try await connection.get(PeerHelloDocument.self, hello) else {
          throw PeerLinkError(code: "peer-incompatible", reason: "the peer's firmware is too old to know of peers; update it")
        }
        try judge(credentials, peer)
        let (agreement, granted) = try Self.check(answer, own: own)
        update(peer, number) { status in
          status.state = .connected
          status.failure = nil
          status.agreement = agreement
          status.readings.removeAll { !granted.contains($0.document.name) }
        }
        for name in granted {
          // It may have been withdrawn since the list was made.
          guard let reading = try await connection.get(ReadingDocument.self, "/v1/peer/readings/\(name)") else { continue }
          try judge(credentials, peer)
          try Self.check(reading, name: name)
          update(peer, number) { status in
            status.readings.removeAll { $0.document.name == name }
            status.readings.append(PeerLinkStatus.Reading(document: reading, arrived_ms: BootClock.now_ms()))
          }
        }
        try await Task.sleep(for: .milliseconds(Self.pollPause_ms))
      }
    }
  }

  /// What a peer says is bounded and in its form, or it is not taken.
  static func check(_ answer: PeerHelloDocument, own: PeerOffer) throws(PeerLinkError) -> (PeerAgreement, granted: [String]) {
    guard answer.versions.count <= 16, answer.capabilities.count <= 16 else {
      throw PeerLinkError(code: "peer-answer", reason: "it offers more versions or capabilities than 16")
    }
    let agreement = try PeerAgreement(own, PeerOffer(versions: answer.versions, capabilities: answer.capabilities))
    guard agreement.version == answer.version, agreement.capabilities == answer.agreed.sorted() else {
      throw PeerLinkError(code: "peer-incompatible", reason: "the peer understands the common part of the protocol otherwise than this device")
    }
    guard agreement.capabilities.contains(PeerAgreement.readings) else { return (agreement, []) }
    do throws(PeerScopeError) {
      return (agreement, try PeerScope(answer.readings.map { "readings:" + $0 }).readings)
    } catch {
      throw PeerLinkError(code: "peer-answer", reason: "its list of readings is none: \(error.reason)")
    }
  }

  static func check(_ reading: ReadingDocument, name: String) throws(PeerLinkError) {
    guard reading.name == name, reading.value.isFinite, reading.unit.utf8.count <= 32, reading.time.utf8.count <= 40 else {
      throw PeerLinkError(code: "peer-answer", reason: "what it gives as the reading \(name) is none")
    }
  }

  /// A runner that was replaced changes nothing any more.
  private func update(_ peer: DeviceIdentifier, _ number: UInt64, _ change: (inout PeerLinkStatus) -> Void) {
    let news: PeerLinkStatus? = state.withLockedValue { state in
      guard var runner = state.runners[peer], runner.number == number else { return nil }
      let before = runner.status
      change(&runner.status)
      state.runners[peer] = runner
      return before.state == runner.status.state && before.failure?.code == runner.status.failure?.code ? nil : runner.status
    }
    if let news { changed.withLockedValue { $0 }?(peer, news) }
  }
}
