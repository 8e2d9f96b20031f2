internal import Crypto
internal import Foundations
public import Identity

/// A recovery key that a device's disk has now.
public struct MadeRecoveryKey: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// 16 hexadecimal digits.
  public let fingerprint: String
  /// The key itself; nil where it was written to a file.
  public let key: String?
  public let file: String?
}

/// A device whose disk has no recovery key any more.
public struct RemovedRecoveryKey: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// Of the key that opened it; nil where it had none.
  public let fingerprint: String?
}

/// What a person is told while a recovery key is made or removed.
public enum RecoveryStep: Sendable, Equatable {
  /// The device has taken it, and restarts. The text is nil where it was written to a file, or where a key is removed.
  case ordered(key: String?)
}

/// How long a restart of the device is waited for.
public struct RecoveryPatience: Sendable {
  public var restart_s = 300
  public var poll_ms = 2_000
  public init() {}
}

/// The admin's steps with the key that opens a device's disk on a PC: it is made here, goes to the device's supervisor sealed, and stays here.
public struct RecoveryKeys: Sendable {
  private let device: OwnedDevice
  private let signer: StatementSigner
  private let patience: RecoveryPatience

  /// - Throws: `unknown-device` where only an address is known: it would be another device's disk that the key opens; `not-permitted` where the operator is no
  ///   admin.
  public init(_ device: OwnedDevice, patience: RecoveryPatience = RecoveryPatience()) throws(OperatorError) {
    guard device.deviceId != nil else {
      throw OperatorError(
        "unknown-device", "only a known device gets a recovery key, and nothing is known of \(device.name); name it by its id or alias (see: haechi devices)")
    }
    self.device = device
    self.patience = patience
    signer = try StatementSigner(device.credential, owner: device.owner.identifier, purpose: "order a recovery key")
  }

  /// What the device knows of its recovery key.
  ///
  /// - Throws: what the connection throws; `refused-by-device` where the firmware is too old to have one, or the operator is no admin.
  public static func state(_ device: OwnedDevice) async throws(OperatorError) -> RecoveryKeyState {
    try await device.with { (client) throws(OperatorError) in
      do throws(OperatorError) {
        return try await client.get(RecoveryKeyState.self, "/v1/recovery-key")
      } catch {
        guard error.refusal?.status == 404 else { throw error }
        throw OperatorError(error.code, "the device's firmware is older than this haechi: it knows no recovery key", refusal: error.refusal)
      }
    }
  }

  /// Makes a key, and returns once the device's disk has it in place of the one before.
  ///
  /// - Parameters:
  ///   - file: where the key is written, mode 0600, before the device gets it; nil to be told it.
  ///   - tell: called once the device has taken it.
  /// - Throws: `file-exists`; what the connection throws; `refused-by-device` where the device does not believe the statement or could not do it.
  public func make(file: String?, tell: (RecoveryStep) -> Void = { _ in }) async throws(OperatorError) -> MadeRecoveryKey {
    if let file, PrivateFiles.exists(file) { throw OperatorError("file-exists", "\(file) is there already; name another file") }
    var made: RecoveryKey?
    do throws(OperatorError) {
      try await order(file: file, made: &made)
    } catch {
      guard let file, let made else { throw error }
      // A refusal means that it opens nothing. Anything else leaves that open, and the key may be needed.
      if let status = error.refusal?.status, status < 500 {
        try PrivateFiles.remove(file)
        throw error
      }
      throw OperatorError(
        error.code, "\(error.reason); whether the device took the key in \(file) tells its fingerprint, \(made.fingerprint) (see: haechi recovery-key status)",
        cause: error.cause, refusal: error.refusal)
    }
    guard let made, let id = device.deviceId else { throw OperatorError("bad-answer", "no recovery key was made") }
    tell(.ordered(key: file == nil ? made.text : nil))
    let now = try await stateAfterRestart()
    guard now.state == "in-force", now.fingerprint == made.fingerprint else {
      throw OperatorError("refused-by-device", "the device has restarted, and its disk does not have the new key \(made.fingerprint); see: haechi logs")
    }
    return MadeRecoveryKey(deviceId: id.text, fingerprint: made.fingerprint, key: file == nil ? made.text : nil, file: file)
  }

  private func order(file: String?, made: inout RecoveryKey?) async throws(OperatorError) {
    var newest: RecoveryKey?
    defer { made = newest }
    _ = try await device.with { (client) throws(OperatorError) in
      let id = try client.device
      return try await signer.order(
        OwnerStatement.setRecoveryKey, from: try await signer.state(client), over: client, to: id,
        body: { (state) throws(OperatorError) in
          // A key for each statement: one that was sealed to a key that was not the supervisor's is known to somebody else.
          let key = try Self.newKey()
          let offer = try await client.send(RecoveryOffer.self, DeviceRequest(.post, "/v1/recovery-key"))
          let sealed = try Self.seal(key, for: id, state: state, offer, from: client)
          if let file { try PrivateFiles.write(Array(key.text.utf8), to: file, existing: newest == nil ? .refuse : .replace) }
          newest = key
          return sealed
        },
        send: { (proof, sealed) throws(OperatorError) in
          try await client.send(
            RecoveryKeyState.self,
            DeviceRequest(.put, "/v1/recovery-key", body: try encode(RecoveryOrder(sealedKey: hexadecimal(sealed), proof: proof))))
        }
      ).answer
    }
  }

  private static func newKey() throws(OperatorError) -> RecoveryKey {
    do {
      return try RecoveryKey.random()
    } catch {
      throw OperatorError("bad-argument", "no recovery key could be made", cause: error)
    }
  }

  private static func seal(
    _ key: RecoveryKey, for device: DeviceIdentifier, state: GuardState, _ offer: RecoveryOffer, from client: DeviceClient
  ) throws(OperatorError) -> [UInt8] {
    guard let publicKey = bytes(hexadecimal: offer.publicKey), let nonce = bytes(hexadecimal: state.nonce) else {
      throw OperatorError("bad-answer", "the field 'publicKey' that \(client.connection.endpoint) sent is not hexadecimal; nothing was signed")
    }
    do {
      return try key.sealed(to: publicKey, device: device, event: state.event, nonce: nonce)
    } catch {
      throw OperatorError("bad-answer", "the field 'publicKey' that \(client.connection.endpoint) sent is no X25519 key; nothing was signed", cause: error)
    }
  }

  /// Takes the key away, and returns once it opens the device's disk no more.
  ///
  /// - Throws: as `make`.
  public func remove(tell: (RecoveryStep) -> Void = { _ in }) async throws(OperatorError) -> RemovedRecoveryKey {
    let before = try await Self.state(device)
    guard let id = device.deviceId else { throw OperatorError("unknown-device", "nothing is known of \(device.name)") }
    guard before.state != "none" || before.pending != nil else { return RemovedRecoveryKey(deviceId: id.text, fingerprint: nil) }
    _ = try await device.with { (client) throws(OperatorError) in
      try await signer.order(OwnerStatement.removeRecoveryKey, from: try await signer.state(client), over: client, to: try client.device) {
        (proof) throws(OperatorError) in
        try await client.send(RecoveryKeyState.self, DeviceRequest(.delete, "/v1/recovery-key", body: try encode(proof)))
      }.answer
    }
    tell(.ordered(key: nil))
    guard try await stateAfterRestart().state == "none" else {
      throw OperatorError("refused-by-device", "the device has restarted, and its recovery key is still there; see: haechi logs")
    }
    return RemovedRecoveryKey(deviceId: id.text, fingerprint: before.fingerprint)
  }

  /// What the device says once nothing is pending any more.
  private func stateAfterRestart() async throws(OperatorError) -> RecoveryKeyState {
    let end_s = secondsNow() + Int64(patience.restart_s)
    while true {
      do throws(OperatorError) {
        let state = try await Self.state(device)
        if state.pending == nil { return state }
      } catch {
        // It is away for a while, and then for a moment not yet what it will be.
        guard error.mayPassByItself || error.code == "tls-refused" || error.refusal?.status == 503 else { throw error }
      }
      guard secondsNow() < end_s else {
        throw OperatorError("silent", "device \(device.name) did not come back within \(patience.restart_s) s; see: haechi recovery-key status")
      }
      do {
        try await Task.sleep(for: .milliseconds(patience.poll_ms))
      } catch {
        throw OperatorError("silent", "the restart was not waited for; see: haechi recovery-key status", cause: error)
      }
    }
  }

  /// A key that somebody wrote down, read from a file; its text may be typed in any way that people do.
  ///
  /// - Throws: `file-malformed`, saying what is wrong with it, and what reading a file throws.
  public static func read(_ file: String) throws(OperatorError) -> RecoveryKey {
    let bytes = try PrivateFiles.read(file, isPrivate: true)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw OperatorError("file-malformed", "\(file) is no text, so it holds no recovery key") }
    do {
      return try RecoveryKey(text: text)
    } catch {
      throw OperatorError("file-malformed", "\(file): \(error.reason)")
    }
  }
}
