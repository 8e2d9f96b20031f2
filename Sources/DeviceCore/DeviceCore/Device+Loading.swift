import Crypto
import Foundations
import Identity
import LocalAPI

extension Device {
  /// What the folders hold, before anything of it is believed.
  private struct Found {
    var key: PrivateKey?
    var identity: StoredIdentity?
    var owner: StoredOwner?
    var lockOut: StoredLockOut?
    var intent: StoredIntent?
    var receipt: StoredReceipt?
    /// A wipe was asked for and refused when the power went.
    var hasRefusedOrder = false
    /// What is wrong with them.
    var damage: String?
  }

  /// The device as its folders describe it; a new one where they are empty. A wipe that was cut off is brought to its end first.
  ///
  /// - Parameters:
  ///   - damage: what is wrong with the storage beneath, where something is: the device is `damaged` then, whatever the folders hold.
  ///   - admitsPeer: whether another device of the owner's may be let in; asked in each handshake (`isNew`) and each request.
  /// - Throws: `RuntimeError` where a folder cannot be used at all, or no key can be made.
  static func load(
    identity: IdentityFolder, state: StateFolder, damage: String? = nil, maker: Certificate, clock: WallClock, log: DeviceLog,
    grades: GradeHolder, surroundings: Surroundings = Surroundings(),
    admitsPeer: @escaping @Sendable (DeviceIdentifier, _ isNew: Bool) -> Bool = { _, _ in false }
  ) async throws(RuntimeError) -> Device {
    do {
      return try await load(
        (identity, state), damage, maker: maker, clock: clock, log: log, grades: grades, surroundings: surroundings, admitsPeer: admitsPeer)
    } catch let error as RuntimeError {
      throw error
    } catch {
      throw RuntimeError(
        code: "state-folder-failed",
        reason: "the device's keys cannot be kept in \(identity.folder.path): does the folder exist, and may I write there?", cause: error)
    }
  }

  private static func load(
    _ folders: (identity: IdentityFolder, state: StateFolder), _ damage: String?, maker: Certificate, clock: WallClock, log: DeviceLog,
    grades: GradeHolder, surroundings: Surroundings, admitsPeer: @escaping @Sendable (DeviceIdentifier, _ isNew: Bool) -> Bool
  ) async throws -> Device {
    var found = look(folders, surroundings)
    if found.hasRefusedOrder {
      try? folders.identity.removeIntent()
      try? await surroundings.commitIdentity()
    }
    if let damage { found.damage = damage }
    // A wipe goes on whatever a renewal left, and a damaged device's folder stays as it was found.
    if found.damage == nil, found.intent?.kind != .wipe { settleRenewal(folders.state, &found, log) }
    if found.damage == nil, found.intent?.kind == .wipe {
      do throws(Problem) {
        found.receipt = try await finishWipe(
          folders, found.intent?.wipe, key: found.key, serialNumber: found.identity?.serialNumber, surroundings: surroundings)
        found.owner = nil
        log.append(.notice, source: "core", "a wipe that was cut off is complete")
      } catch {
        found.damage = "its wipe was cut off and cannot be completed: \(error.detail)"
      }
    }
    if found.key == nil {
      let fresh = try PrivateKey.generateP256()
      // A damaged device speaks with a key that it forgets: what lies in the folder stays as it was found.
      if found.damage == nil { try folders.identity.writeDeviceKey(fresh) }
      found.key = fresh
    }
    guard let key = found.key, let identifier = DeviceIdentifier(publicKeyDigest: key.publicKey.digest) else {
      throw RuntimeError(code: "state-folder-failed", reason: "the device has no key")
    }
    let rules = CertificateRules(device: identifier, maker: maker, clock: clock, admitsPeer: admitsPeer)
    var restored: State?
    if found.damage == nil, let identity = found.identity {
      do {
        var state = try restore(identity, owner: found.owner, folder: folders.state, key: key, rules: rules)
        state.receipt = newest(found.receipt, surroundings)
        restored = state
      } catch let damage as StateDamage {
        found.damage = damage.sentence
      } catch let problem as Problem {
        found.damage = "the stored certificates do not fit: \(problem.detail)"
      } catch let error as SystemCallError {
        found.damage = error.reason
      }
    }
    // Made only where it is shown: a key that lies outside takes its time.
    var state = try restored ?? State(standing: Standing(phase: .blank), chain: [rules.selfSigned(key)], key: key)
    if let damage = found.damage {
      state.standing = Standing(phase: .damaged, damage: damage)
      log.append(.error, source: "core", "the device's state is damaged: \(damage)")
    }
    log.append(.info, source: "core", "device \(identifier) is \(state.standing.phase.rawValue)")
    let gate = ClaimGate(
      presence: Presence(now_ms: surroundings.now_ms), folder: folders.identity, stored: found.damage == nil ? found.lockOut : nil,
      now_ms: surroundings.now_ms, log: log, commit: surroundings.commitIdentity)
    return Device(
      folders: folders, deviceKey: key, rules: rules, gate: gate, surroundings: surroundings, clock: clock, log: log, grades: grades, state: state)
  }

  /// Ends a renewal that was under way when the runtime before ended.
  private static func settleRenewal(_ folder: StateFolder, _ found: inout Found, _ log: DeviceLog) {
    do {
      switch try RenewalFolder(state: folder).settle() {
      case .nothing: break
      case .givenUp:
        log.append(.warning, source: "core", "the new LDevID certificate was not proved before the runtime ended; the present one stays")
      case .completed:
        found.owner = try folder.readOwner()
        log.append(.notice, source: "core", "a renewal of the LDevID certificate that was cut off is complete")
      }
    } catch {
      // A storage that takes nothing now is no damage: what is there serves, and a later start ends the renewal.
      if StorageFault(error) != nil { return log.append(.error, source: "core", "what a renewal left could not be settled: \(error)") }
      found.damage = (error as? StateDamage)?.sentence ?? (error as? SystemCallError)?.reason ?? "\(error)"
    }
  }

  /// Reads each file by itself: a key that is well is kept whatever else is wrong.
  private static func look(_ folders: (identity: IdentityFolder, state: StateFolder), _ surroundings: Surroundings) -> Found {
    var found = Found()
    func read<Value>(_ read: () throws -> Value?) -> Value? {
      do {
        return try read()
      } catch let damage as StateDamage {
        found.damage = found.damage ?? damage.sentence
      } catch {
        found.damage = found.damage ?? (error as? SystemCallError)?.reason ?? "\(error)"
      }
      return nil
    }
    // A file beside a key that the root of trust keeps would be nothing of the device's.
    let key = surroundings.identityKey ?? read(folders.identity.readDeviceKey)
    let identity = read(folders.identity.readIdentity)
    let lockOut = read(folders.identity.readLockOut)
    let stored = read(folders.identity.readIntent)
    found.hasRefusedOrder = isRefused(stored, surroundings)
    let intent = found.hasRefusedOrder ? nil : stored
    let receipt = read(folders.identity.readReceipt)
    // What a wipe was destroying is not looked at: it goes on, whatever is left.
    let owner = intent?.kind == .wipe ? nil : read(folders.state.readOwner)
    (found.key, found.identity, found.owner, found.lockOut, found.intent, found.receipt) = (key, identity, owner, lockOut, intent, receipt)
    guard found.damage == nil else { return found }
    if intent?.kind == .provision {
      found.damage = "its provisioning was cut off: provision it again"
    } else if identity != nil, key == nil {
      found.damage = "there is an identity and no device key"
    } else if identity == nil, owner != nil {
      found.damage = "there is an owner and no identity"
    }
    return found
  }

  private static func restore(
    _ identity: StoredIdentity, owner stored: StoredOwner?, folder: StateFolder, key: PrivateKey, rules: CertificateRules
  ) throws -> State {
    if let fault = identity.label.fault { throw damage("the stored label's \(fault)") }
    let makerChain = try rules.checkMakerChain(identity.makerChain, key: key.publicKey, serialNumber: identity.serialNumber, isKnown: true)
    // Between certificates PEM allows any text.
    guard identity.makerChain == makerChain.map(\.pem).joined() else { throw damage("the stored maker's chain has more in it than its certificates") }
    var state = State(
      standing: Standing(phase: .provisioned, serialNumber: identity.serialNumber), chain: makerChain, key: key, identity: identity,
      makerChain: makerChain)
    guard let stored else { return state }
    guard let operationalKey = try folder.readOperationalKey() else { throw damage("the operational key is missing") }
    let owner = try rules.checkOwner(stored.ownerCertificate, isKnown: true)
    state.chain = try rules.checkOperationalChain(stored.operationalChain, key: operationalKey.publicKey, owner: owner, isKnown: true)
    state.key = operationalKey
    state.owner = owner.certificate
    state.standing.phase = .owned
    state.standing.owner = owner.identifier
    return state
  }
}
