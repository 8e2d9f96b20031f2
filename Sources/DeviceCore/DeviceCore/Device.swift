import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import TLS

/// The device's identity and where it stands in its life: blank → provisioned → owned.
///
/// It holds the keys, decides whom TLS lets in and what a connection's certificate is worth now, and carries out provision and claim. What it
/// remembers lies in two folders, of which a wipe empties one; what does not fit together there makes the device `damaged`, never blank.
final class Device: Sendable {
  /// What the device tells of itself.
  struct Standing: Sendable, Equatable {
    var phase: LifeCyclePhase
    var serialNumber: String?
    var owner: OwnerIdentifier?
    /// What is wrong with a damaged device.
    var damage: String?
  }

  /// What TLS serves in the present state.
  struct Credentials: Sendable {
    let context: TLSServerContext
    /// Counts the changes of state.
    let generation: UInt64
    /// What it shows beside it while a renewal is on trial.
    let candidate: Certificate?
  }

  /// Everything that changes with the state, replaced as a whole.
  struct State: Sendable {
    var standing: Standing
    var chain: [Certificate]
    var key: PrivateKey
    /// The pinned owner CA of an owned device.
    var owner: Certificate?
    /// Made when a claim is first asked for, and kept for as long as this runtime lives.
    var operationalKey: PrivateKey?
    var identity: StoredIdentity?
    /// The IDevID chain of a device that was provisioned.
    var makerChain: [Certificate] = []
    /// Of the last wipe.
    var receipt: StoredReceipt?
    /// It was wiped, and the machine restarts: nothing of its life changes any more.
    var isEnding = false
    var generation: UInt64 = 1
    /// One change of the life cycle at a time.
    var isChanging = false
  }

  /// What the device asks of the rest of the machine.
  struct Surroundings: Sendable {
    /// Makes durable what was written to the identity folder, where the board keeps that in memory and seals its content elsewhere.
    var commitIdentity: @Sendable () async throws(Problem) -> Void = {}
    /// Of the storage, which the board destroys when the machine restarts after a wipe; nil where it keeps nothing that could be destroyed.
    var identityEpoch: UInt64?
    /// What the storage's keys are sealed with, in the word of the API.
    var rootOfTrust = "none"
    /// The device's own key, where the root of trust keeps it; nil where it is among the runtime's files.
    var identityKey: PrivateKey?
    /// Where that one is waited for.
    var keyThread = KeyThread()
    /// Whether the storage beneath is damaged or locked: then nothing can be kept until it was made anew.
    var isStorageLost = false
    /// A clock that never goes back, in milliseconds.
    var now_ms: @Sendable () -> UInt64 = BootClock.now_ms
  }

  let identifier: DeviceIdentifier
  let rules: CertificateRules
  /// Whether a claim's proof is looked at now.
  let gate: ClaimGate
  let identityFolder: IdentityFolder
  let stateFolder: StateFolder
  let deviceKey: PrivateKey
  let surroundings: Surroundings
  let clock: WallClock
  let log: DeviceLog
  /// Whom the owner has withdrawn: asked in the handshake, at each resumption, and whenever a caller is judged.
  let revocations = RevocationHolder()
  let tickets = SessionTicketKeys()
  let farewell = NIOLockedValueBox<Farewell?>(nil)
  let state: NIOLockedValueBox<State>
  let grades: GradeHolder
  let renewal = NIOLockedValueBox(RenewalState())
  let renewalFolder: RenewalFolder
  private let changed = NIOLockedValueBox<(@Sendable (_ connection: UInt64) -> Void)?>(nil)
  private let renewed = NIOLockedValueBox<(@Sendable (_ isAdopted: Bool) -> Void)?>(nil)

  init(
    folders: (identity: IdentityFolder, state: StateFolder), deviceKey: PrivateKey, rules: CertificateRules, gate: ClaimGate,
    surroundings: Surroundings, clock: WallClock, log: DeviceLog, grades: GradeHolder, state: State
  ) {
    identityFolder = folders.identity
    stateFolder = folders.state
    renewalFolder = RenewalFolder(state: folders.state)
    self.deviceKey = deviceKey
    self.rules = rules
    self.gate = gate
    self.surroundings = surroundings
    self.identifier = rules.device
    self.clock = clock
    self.log = log
    self.grades = grades
    self.state = NIOLockedValueBox(state)
  }

  /// Where the device's own key is waited for.
  var keyThread: KeyThread { surroundings.keyThread }

  var standing: Standing { state.withLockedValue { $0.standing } }

  /// The pinned owner CA of an owned device.
  var owner: Certificate? { state.withLockedValue { $0.standing.phase == .owned ? $0.owner : nil } }

  /// What an owned device shows to others, and the key to it.
  var operationalCredential: (chain: [Certificate], key: PrivateKey)? {
    state.withLockedValue { $0.standing.phase == .owned ? ($0.chain, $0.key) : nil }
  }

  /// Calls `handler` after each change of state, with the connection that asked for it.
  /// How the owner's cloud hears that the device is about to be wiped.
  struct Farewell: Sendable {
    /// Asks it to erase what it holds; returns within seconds.
    let ask: @Sendable () async -> WipeStatement.CloudErasure
    /// The device is not wiped after all.
    let takeBack: @Sendable () -> Void
  }
  func onWipe(_ farewell: Farewell) { self.farewell.withLockedValue { $0 = farewell } }

  /// Where nobody's request changes the device: the number of no connection.
  static let noConnection = UInt64.max

  func onChange(_ handler: @escaping @Sendable (_ connection: UInt64) -> Void) { changed.withLockedValue { $0 = handler } }

  /// Calls `handler` after each change of what it shows that changes nobody's rights: a candidate came or went, or became the credential (`isAdopted`).
  func onCredentials(_ handler: @escaping @Sendable (_ isAdopted: Bool) -> Void) { renewed.withLockedValue { $0 = handler } }

  func credentialsChanged(isAdopted: Bool = false) { renewed.withLockedValue { $0 }?(isAdopted) }

  // MARK: Whom it lets in

  /// The certificate, key and rules for TLS in the present state.
  func credentials() throws -> Credentials {
    let now = state.withLockedValue { $0 }
    let presence = gate.presence
    let trust = rules.clientTrust(now.standing.phase, owner: now.owner) { presence.isOpen }
    let phase = now.standing.phase
    let owner = now.standing.owner
    let rules = rules
    let grades = grades
    let revocations = revocations
    // One that was adopted is no alternative any more.
    let candidate = renewal.withLockedValue { $0.candidate }.flatMap { $0.chain.first == now.chain.first ? nil : $0 }
    let alternative = candidate.map {
      TLSServerContext.Alternative(serverName: OperationalDeviceProfile.renewalName(identifier), chain: $0.chain, key: $0.key)
    }
    let context = try TLSServerContext(
      chain: now.chain, key: now.key, trust: trust,
      policy: {
        revocations.refusal(of: $0) ?? rules.refusal($0, phase: phase, owner: owner, grade: grades.grade, isPresent: presence.isOpen)
      }, clock: clock, tickets: tickets, alternative: alternative, patientThread: keyThread.isThere ? keyThread.take : nil)
    return Credentials(context: context, generation: now.generation, candidate: candidate?.chain.first)
  }

  /// The LDevID is this one from now on: what was written counts.
  func adopt(_ chain: [Certificate], _ key: PrivateKey) {
    state.withLockedValue { state in
      state.chain = chain
      state.key = key
    }
  }

  /// What a connection's certificate is worth at the moment of asking: on every request and every event of a stream. Names, form and role are judged
  /// here, once, for they stay as they are for as long as the device's state does; dates, revocation, grade and presence each time.
  ///
  /// - Parameters:
  ///   - generation: of the credentials that its handshake was made with.
  ///   - isNew: whether its handshake was completed just now.
  func judge(of peer: Certificate, generation: UInt64) -> @Sendable (_ isNew: Bool) -> CallerDecision {
    let standing = state.withLockedValue { $0.generation == generation ? $0.standing : nil }
    guard let standing else { return { _ in Self.outdated } }
    let identity: CallerIdentity
    do {
      identity = try rules.identity(peer, phase: standing.phase, owner: standing.owner)
    } catch {
      let reason = error.reason
      return { _ in .refused(reason: reason) }
    }
    let decision = rules.caller(identity, serial: peer.serial?.description)
    return { [self] isNew in
      guard state.withLockedValue({ $0.generation }) == generation else { return Self.outdated }
      let refusal =
        peer.refusal(at: clock.now_s()) ?? revocations.refusal(of: peer)
        ?? rules.refusal(of: identity, phase: standing.phase, grade: grades.grade, isPresent: gate.presence.isOpen, isNew: isNew)
      if let refusal { return .refused(reason: refusal.reason) }
      return decision
    }
  }

  private static let outdated = CallerDecision.refused(reason: "The device's state has changed since you connected; connect again.")

  // MARK: Changes

  func require(_ phases: Set<LifeCyclePhase>) throws(Problem) {
    let standing = standing
    guard phases.contains(standing.phase) else { throw Self.wrongPhase(standing, phases) }
  }

  private static func wrongPhase(_ standing: Standing, _ wanted: Set<LifeCyclePhase>) -> Problem {
    if let damage = standing.damage { return .conflict("device-damaged", "The device's state is damaged: \(damage).") }
    let wanted = LifeCyclePhase.allCases.filter(wanted.contains).map(\.rawValue).joined(separator: " or ")
    return .conflict("life-cycle-state", "The device is \(standing.phase.rawValue); this is for a \(wanted) device.")
  }

  /// One change of the life cycle at a time, from one of `phases`; returns which. `end` follows in any case.
  func begin(_ phases: Set<LifeCyclePhase>) throws(Problem) -> LifeCyclePhase {
    let result: Result<LifeCyclePhase, Problem> = state.withLockedValue { state in
      guard phases.contains(state.standing.phase) else { return .failure(Self.wrongPhase(state.standing, phases)) }
      guard !state.isEnding else { return .failure(.restarting) }
      guard !state.isChanging else {
        return .failure(.conflict("life-cycle-busy", "Another request is changing the device's state now; try again."))
      }
      state.isChanging = true
      return .success(state.standing.phase)
    }
    return try result.get()
  }

  /// As `begin`, for a change that was asked for when `owner` was the owner: refused where it is so no more.
  func beginOwned(by owner: Certificate?) throws(Problem) {
    _ = try begin([.owned])
    guard owner == nil || self.owner != owner else { return }
    end()
    throw .conflict("life-cycle-state", "The device has changed hands since you asked.")
  }

  func end() { state.withLockedValue { $0.isChanging = false } }

  func save(_ write: () throws -> Void) throws(Problem) {
    do {
      try write()
    } catch {
      log.append(.error, source: "core", "the device's state could not be written: \(error)")
      throw .notKept(error, "The device could not write its state, and goes on as it was.")
    }
  }

  func become(_ connection: UInt64, _ change: (inout State) -> Void) {
    state.withLockedValue { state in
      change(&state)
      state.generation += 1
    }
    // Nothing of the state before goes on: no renewal, and no session is resumed.
    renewal.withLockedValue { $0 = RenewalState() }
    tickets.drop()
    log.append(.notice, source: "core", "device \(identifier) is now \(standing.phase.rawValue)")
    changed.withLockedValue { $0 }?(connection)
  }

  func requestText(_ make: () throws(CryptoError) -> CertificateRequest) throws(Problem) -> String {
    do {
      return try make().pem
    } catch {
      log.append(.error, source: "core", "a certificate request could not be made: \(error)")
      throw .unavailable("The certificate request could not be made.")
    }
  }
}
