import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import TLS

/// The device's identity and where it stands in its life: blank → provisioned → owned.
///
/// It holds the keys, decides whom TLS lets in and what a connection's certificate is worth now, and carries out provision and claim. The
/// state lies in a folder; what does not fit together there makes the device `damaged`, never blank.
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
    var stored: StoredState?
    var generation: UInt64 = 1
    /// One change of the life cycle at a time.
    var isChanging = false
  }

  let identifier: DeviceIdentifier
  let rules: CertificateRules
  private let folder: StateFolder
  private let deviceKey: PrivateKey
  private let clock: WallClock
  private let log: DeviceLog
  private let tickets = SessionTicketKeys()
  private let state: NIOLockedValueBox<State>
  private let grades: GradeHolder
  private let changed = NIOLockedValueBox<(@Sendable (_ connection: UInt64) -> Void)?>(nil)

  private init(
    folder: StateFolder, deviceKey: PrivateKey, rules: CertificateRules, clock: WallClock, log: DeviceLog, grades: GradeHolder, state: State
  ) {
    self.folder = folder
    self.deviceKey = deviceKey
    self.rules = rules
    self.identifier = rules.device
    self.clock = clock
    self.log = log
    self.grades = grades
    self.state = NIOLockedValueBox(state)
  }

  var standing: Standing { state.withLockedValue { $0.standing } }

  /// The pinned owner CA of an owned device.
  var owner: Certificate? { state.withLockedValue { $0.standing.phase == .owned ? $0.owner : nil } }

  /// What an owned device shows to others, and the key to it.
  var operationalCredential: (chain: [Certificate], key: PrivateKey)? {
    state.withLockedValue { $0.standing.phase == .owned ? ($0.chain, $0.key) : nil }
  }

  /// Calls `handler` after each change of state, with the connection that asked for it.
  func onChange(_ handler: @escaping @Sendable (_ connection: UInt64) -> Void) { changed.withLockedValue { $0 = handler } }

  // MARK: Start

  /// The device as its folder describes it; a new one where the folder is empty.
  ///
  /// - Throws: `RuntimeError` where the folder cannot be used at all, or no key can be made.
  static func load(
    folder path: String, maker: Certificate, clock: WallClock, log: DeviceLog, grades: GradeHolder
  ) throws(RuntimeError) -> Device {
    let folder = StateFolder(path: path)
    do {
      return try load(folder, maker: maker, clock: clock, log: log, grades: grades)
    } catch let error as RuntimeError {
      throw error
    } catch {
      throw RuntimeError(
        code: "state-folder-failed", reason: "the device's keys cannot be kept in \(path): does the folder exist, and may I write there?",
        cause: error)
    }
  }

  private static func load(
    _ folder: StateFolder, maker: Certificate, clock: WallClock, log: DeviceLog, grades: GradeHolder
  ) throws -> Device {
    var wrong: String?
    var key: PrivateKey?
    var stored: StoredState?
    do {
      stored = try folder.readState()
      key = try folder.readDeviceKey()
      if stored != nil && key == nil { wrong = "there is a state and no device key" }
    } catch let damage as StateDamage {
      wrong = damage.sentence
    } catch let error as SystemCallError {
      wrong = error.reason
    }
    if key == nil {
      let fresh = try PrivateKey.generateP256()
      // A damaged device speaks with a key that it forgets: what lies in the folder stays as it was found.
      if wrong == nil { try folder.writeDeviceKey(fresh) }
      key = fresh
    }
    guard let key, let identifier = DeviceIdentifier(publicKeyDigest: key.publicKey.digest) else {
      throw RuntimeError(code: "state-folder-failed", reason: "the device has no key")
    }
    let rules = CertificateRules(device: identifier, maker: maker, clock: clock)
    var state = State(
      standing: Standing(phase: .blank), chain: [try rules.selfSigned(key)], key: key, owner: nil, operationalKey: nil, stored: nil)
    if wrong == nil, let stored {
      do {
        state = try restore(stored, folder: folder, key: key, rules: rules)
      } catch let damage as StateDamage {
        wrong = damage.sentence
      } catch let problem as Problem {
        wrong = "the stored certificates do not fit: \(problem.detail)"
      }
    }
    if let wrong {
      state.standing = Standing(phase: .damaged, damage: wrong)
      log.append(.error, source: "core", "the device's state is damaged: \(wrong)")
    }
    log.append(.info, source: "core", "device \(identifier) is \(state.standing.phase.rawValue)")
    return Device(folder: folder, deviceKey: key, rules: rules, clock: clock, log: log, grades: grades, state: state)
  }

  private static func restore(_ stored: StoredState, folder: StateFolder, key: PrivateKey, rules: CertificateRules) throws -> State {
    let makerChain = try rules.checkMakerChain(stored.makerChain, key: key.publicKey, serialNumber: stored.serialNumber, isKnown: true)
    var state = State(
      standing: Standing(phase: .provisioned, serialNumber: stored.serialNumber), chain: makerChain, key: key, owner: nil, operationalKey: nil,
      stored: stored)
    switch stored.phase {
    case LifeCyclePhase.provisioned.rawValue: return state
    case LifeCyclePhase.owned.rawValue: break
    default: throw damage("the stored phase \(stored.phase.prefix(32)) is unknown")
    }
    guard let ownerPEM = stored.ownerCertificate, let chainPEM = stored.operationalChain else { throw damage("the owner's certificates are missing") }
    guard let operationalKey = try folder.readOperationalKey() else { throw damage("the operational key is missing") }
    let owner = try rules.checkOwner(ownerPEM, isKnown: true)
    state.chain = try rules.checkOperationalChain(chainPEM, key: operationalKey.publicKey, owner: owner, isKnown: true)
    state.key = operationalKey
    state.owner = owner.certificate
    state.standing.phase = .owned
    state.standing.owner = owner.identifier
    return state
  }

  // MARK: Whom it lets in

  /// The certificate, key and rules for TLS in the present state.
  func credentials() throws -> Credentials {
    let now = state.withLockedValue { $0 }
    let trust = rules.clientTrust(now.standing.phase, owner: now.owner)
    let phase = now.standing.phase
    let owner = now.standing.owner
    let rules = rules
    let grades = grades
    let context = try TLSServerContext(
      chain: now.chain, key: now.key, trust: trust, policy: { rules.refusal($0, phase: phase, owner: owner, grade: grades.grade) }, clock: clock,
      tickets: tickets)
    return Credentials(context: context, generation: now.generation)
  }

  /// What a connection's certificate is worth now; asked on every request and every event of a stream.
  ///
  /// - Parameter generation: of the credentials that its handshake was made with.
  func judge(_ peer: Certificate, generation: UInt64) -> CallerDecision {
    let now = state.withLockedValue { ($0.standing, $0.generation) }
    guard generation == now.1 else { return .refused(reason: "The device's state has changed since you connected; connect again.") }
    if let refusal = peer.refusal(at: clock.now_s()) { return .refused(reason: refusal.reason) }
    return rules.caller(peer, phase: now.0.phase, owner: now.0.owner, grade: grades.grade)
  }

  // MARK: Provision

  /// The request for the IDevID certificate, PEM.
  func provisioningRequest() throws(Problem) -> String {
    try requirePhase(.blank)
    return try requestText { () throws(CryptoError) in try InitialDeviceProfile.request(key: deviceKey) }
  }

  /// blank → provisioned.
  func provision(serialNumber: String, chainPEM: String, connection: UInt64) throws(Problem) {
    try begin(.blank)
    defer { end() }
    let chain = try rules.checkMakerChain(chainPEM, key: deviceKey.publicKey, serialNumber: serialNumber)
    let stored = StoredState(phase: LifeCyclePhase.provisioned.rawValue, serialNumber: serialNumber, makerChain: chainPEM)
    try save { try folder.write(stored) }
    become(connection) { state in
      state.standing = Standing(phase: .provisioned, serialNumber: serialNumber)
      state.chain = chain
      state.key = deviceKey
      state.stored = stored
    }
  }

  // MARK: Claim

  /// The request for the LDevID certificate, PEM: of a fresh key that stays the same until a claim succeeds or the runtime ends.
  func operationalRequest() throws(Problem) -> String {
    try requirePhase(.provisioned)
    return try requestText { () throws(CryptoError) in
      let fresh = try PrivateKey.generateP256()
      let key = state.withLockedValue { state in
        let key = state.operationalKey ?? fresh
        state.operationalKey = key
        return key
      }
      return try OperationalDeviceProfile.request(key: key, device: identifier)
    }
  }

  /// provisioned → owned.
  ///
  /// - Parameter pin: tells the supervisor who the owner is, once everything has been checked and before anything is written: a device whose
  ///   owner the supervisor does not know would have nobody who could release it.
  func claim(
    ownerPEM: String, chainPEM: String, connection: UInt64, pin: (Certificate) async throws(Problem) -> Void
  ) async throws(Problem) {
    try begin(.provisioned)
    defer { end() }
    let (operationalKey, storedState) = state.withLockedValue { ($0.operationalKey, $0.stored) }
    guard let operationalKey, var stored = storedState else {
      throw .conflict("claim-not-offered", "Ask for the certificate request first (GET /v1/claim): the device made no key for this claim yet.")
    }
    let owner = try rules.checkOwner(ownerPEM)
    let chain = try rules.checkOperationalChain(chainPEM, key: operationalKey.publicKey, owner: owner)
    try await pin(owner.certificate)
    stored.phase = LifeCyclePhase.owned.rawValue
    stored.ownerCertificate = ownerPEM
    stored.operationalChain = chainPEM
    let complete = stored
    try save {
      // The key first: a state whose key is missing would be damage, a key without its state is not.
      try folder.writeOperationalKey(operationalKey)
      try folder.write(complete)
    }
    become(connection) { state in
      state.standing.phase = .owned
      state.standing.owner = owner.identifier
      state.chain = chain
      state.key = operationalKey
      state.owner = owner.certificate
      state.operationalKey = nil
      state.stored = complete
    }
  }

  // MARK: Changes

  private func requirePhase(_ phase: LifeCyclePhase) throws(Problem) {
    let standing = standing
    guard standing.phase == phase else { throw wrongPhase(standing, phase) }
  }

  private func wrongPhase(_ standing: Standing, _ wanted: LifeCyclePhase) -> Problem {
    if let damage = standing.damage { return .conflict("device-damaged", "The device's state is damaged: \(damage).") }
    return .conflict("life-cycle-state", "The device is \(standing.phase.rawValue); this is for a \(wanted.rawValue) device.")
  }

  private func begin(_ phase: LifeCyclePhase) throws(Problem) {
    let problem: Problem? = state.withLockedValue { state in
      guard state.standing.phase == phase else { return wrongPhase(state.standing, phase) }
      guard !state.isChanging else { return .conflict("life-cycle-busy", "Another request is changing the device's state now; try again.") }
      state.isChanging = true
      return nil
    }
    if let problem { throw problem }
  }

  private func end() { state.withLockedValue { $0.isChanging = false } }

  private func save(_ write: () throws -> Void) throws(Problem) {
    do {
      try write()
    } catch {
      log.append(.error, source: "core", "the device's state could not be written: \(error)")
      throw .unavailable("The device could not write its state; nothing has changed.")
    }
  }

  private func become(_ connection: UInt64, _ change: (inout State) -> Void) {
    state.withLockedValue { state in
      change(&state)
      state.generation += 1
    }
    // No session of the state before is resumed.
    tickets.drop()
    log.append(.notice, source: "core", "device \(identifier) is now \(standing.phase.rawValue)")
    changed.withLockedValue { $0 }?(connection)
  }

  private func requestText(_ make: () throws(CryptoError) -> CertificateRequest) throws(Problem) -> String {
    do {
      return try make().pem
    } catch {
      log.append(.error, source: "core", "a certificate request could not be made: \(error)")
      throw .unavailable("The certificate request could not be made.")
    }
  }
}
