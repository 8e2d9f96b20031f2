internal import Crypto
internal import Foundations
internal import Identity
internal import Synchronization

/// What became of the bad connections.
public struct AttackTally: Encodable, Sendable, Equatable {
  /// Refused by the device with a TLS alert.
  public internal(set) var refused = 0
  /// Closed by it without a word, as under load.
  public internal(set) var dropped = 0
  /// Not taken in at all, or not answered in time.
  public internal(set) var unanswered = 0
  /// Answered: the device let a bad certificate in, which is a fault.
  public internal(set) var letIn = 0

  public var count: Int { refused + dropped + unanswered + letIn }

  enum Outcome { case refused, dropped, unanswered, letIn }

  mutating func add(_ outcome: Outcome) {
    switch outcome {
    case .refused: refused += 1
    case .dropped: dropped += 1
    case .unanswered: unanswered += 1
    case .letIn: letIn += 1
    }
  }
}

/// What a demonstration of an attack tells as it goes.
public enum AttackUpdate: Sendable, Equatable {
  /// The device is one's own, it answered, and this is how it was before.
  case begins(GuardState)
  /// The grade, as the owner's own connection sees it change.
  case grade(GuardState)
  /// All bad connections are over.
  case sent(AttackTally)
}

/// Connections with bad certificates against one's own device, to see its guard at work: never more at a time than a small device bears,
/// and never against anything that does not prove to be that device.
public struct Attack: Sendable {
  /// More would only measure this machine.
  public static let mostConnections = 2_000
  /// At most so many at a time.
  static let atOnce = 16
  /// How long after the last bad connection the grade may take to rise. It rises within a second; a slow machine gets more.
  static let patience_ms: UInt64 = 20_000
  /// How long a grade that ends by itself is followed: it ends 60 s after the last evidence.
  static let followed_ms: UInt64 = 300_000

  private let device: OwnedDevice
  private let count: Int

  /// - Parameter count: how many connections: 1…`mostConnections`.
  /// - Throws: `bad-argument`; `unknown-device` where `device` is an address that is not of a device of the operator's.
  public init(_ device: OwnedDevice, count: Int) throws(OperatorError) {
    guard (1...Self.mostConnections).contains(count) else {
      throw OperatorError("bad-argument", "an attack has 1 to \(Self.mostConnections) connections, not \(count)")
    }
    guard device.deviceId != nil else {
      throw OperatorError(
        "unknown-device",
        "\(device.endpoint) is not the address of a device that you have claimed, and only one's own device is attacked; see: haechi devices")
    }
    self.device = device
    self.count = count
  }

  /// Attacks, and follows the grade until it is `normal` again or does not change any more by itself.
  ///
  /// - Throws: what keeps the owner's own connection from working; what becomes of the bad ones is told and never thrown.
  public func run(_ tell: @escaping @Sendable (AttackUpdate) -> Void) async throws(OperatorError) {
    let bad = try badCredentials()
    let before = try await device.guardState()
    tell(.begins(before))
    let progress = Progress()
    let sending = Task {
      tell(.sent(await send(bad)))
      progress.sentAt_ms.withLock { $0 = BootClock.now_ms() }
    }
    defer { sending.cancel() }
    try await follow(from: before, progress, tell)
  }

  /// When the last bad connection was over, milliseconds of `BootClock`; nil before.
  private final class Progress: Sendable {
    let sentAt_ms = Mutex<UInt64?>(nil)
  }

  /// Self-signed, of another owner, and none.
  private func badCredentials() throws(OperatorError) -> [Credential] {
    let now_s = secondsNow()
    let ownerKey = try KeyFiles.newKey()
    let issuer = try Profiles.issuer(try Profiles.ownerCA(key: ownerKey, now_s: now_s), ownerKey)
    let key = try KeyFiles.newKey()
    let stranger = try Profiles.person(
      issuer: issuer, key: key.publicKey, owner: OwnerIdentifier(publicKey: ownerKey.publicKey), name: try OwnerFolder.memberName("mallory"),
      role: .admin, validity_s: leafValidity_s, now_s: now_s)
    return [
      try Claiming.claimant(now_s: now_s), Credential(chain: [stranger], key: key, name: "of another owner"),
      Credential(chain: [], key: nil, name: "none"),
    ]
  }

  private func send(_ bad: [Credential]) async -> AttackTally {
    await withTaskGroup(of: AttackTally.Outcome.self) { group in
      var tally = AttackTally()
      for number in 0..<count {
        if number >= Self.atOnce, let outcome = await group.next() { tally.add(outcome) }
        let credential = bad[number % bad.count]
        group.addTask { await connect(credential) }
      }
      for await outcome in group { tally.add(outcome) }
      return tally
    }
  }

  /// One bad connection. What answers must prove to be the device: to anything else nothing is shown.
  private func connect(_ credential: Credential) async -> AttackTally.Outcome {
    var deadlines = DeviceConnection.Deadlines()
    (deadlines.connect_s, deadlines.handshake_s, deadlines.answer_s) = (5, 10, 10)
    do throws(OperatorError) {
      _ = try await DeviceConnection.with(device.endpoint, security: try device.security(showing: credential), deadlines: deadlines) {
        // With TLS 1.3 a client hears what the server thinks of its certificate only after its own handshake: with the first answer.
        (connection) throws(OperatorError) in try await connection.exchange(DeviceRequest(.get, "/v1/info"))
      }
      return .letIn
    } catch {
      switch error.code {
      case "tls-refused": return .refused
      case "unreachable", "silent": return .unanswered
      default: return .dropped
      }
    }
  }

  /// Follows the grade by the owner's own connection, over as many as it takes, until there is nothing more to see.
  private func follow(from before: GuardState, _ progress: Progress, _ tell: @Sendable (AttackUpdate) -> Void) async throws(OperatorError) {
    var last = before
    var backoff = Backoff()
    while !Task.isCancelled {
      do throws(OperatorError) {
        return try await device.with { (client) throws(OperatorError) in
          while !Task.isCancelled {
            // Asked before the grade is: what is seen then is from after the attack.
            let sentAt_ms = progress.sentAt_ms.withLock { $0 }
            let now = try await client.guardState()
            backoff.reset()
            if now.event != last.event || now.grade != last.grade { tell(.grade(now)) }
            let hasRisen = now.event != before.event || now.grade != Grade.normal.word
            last = now
            if let sentAt_ms {
              let waited_ms = BootClock.now_ms() - sentAt_ms
              let limit_ms = hasRisen ? Self.followed_ms : Self.patience_ms
              if hasRisen && now.decaysInMilliseconds == nil || waited_ms >= limit_ms { return }
            }
            try? await Task.sleep(for: .milliseconds(250))
          }
        }
      } catch {
        // The owner must get in while others are refused: only what may pass is waited out, and not for ever.
        let waited_ms = progress.sentAt_ms.withLock { $0 }.map { BootClock.now_ms() - $0 } ?? 0
        guard error.mayPassByItself, waited_ms < Self.followed_ms else { throw error }
        try? await Task.sleep(for: .milliseconds(backoff.wait_ms()))
      }
    }
  }
}
