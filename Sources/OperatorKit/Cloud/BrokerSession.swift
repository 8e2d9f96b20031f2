internal import Crypto
internal import Foundations
internal import MQTT
internal import TLS

/// One connection of the operator's to a broker.
struct BrokerSession: Sendable {
  private enum Signal: Sendable {
    case mqtt(MQTTEvent)
    case timeUp(OperatorError)
  }

  let access: BrokerAccess
  /// Unlike that of any other session: a broker ends an older one of the same name.
  let identifier: String
  private let client: MQTTClient
  private let signals: AsyncStream<Signal>
  private let signal: AsyncStream<Signal>.Continuation

  private init(_ access: BrokerAccess) throws(OperatorError) {
    self.access = access
    identifier = "\(access.person)-\(hexadecimal((0..<8).map { _ in UInt8.random(in: 0...255) }))"
    // A reader that does not keep up loses the oldest of 4096 messages, and never this machine's memory.
    let (signals, signal) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .bufferingNewest(4096))
    self.signals = signals
    self.signal = signal
    let broker = access.broker
    let name = broker.destination.address.map { SubjectAlternativeName.address($0) } ?? .dns(broker.destination.host)
    guard let key = access.credential.key else {
      throw OperatorError("file-malformed", "\(access.credential.name) has no key")
    }
    do {
      let tls = try LibraryClientContext(
        chain: access.credential.chain, key: key, authorities: [broker.authority], server: name, clock: WallClock(floor_s: 0))
      client = try MQTTClient(MQTTConfiguration(clientIdentifier: identifier), tls: tls) { event in signal.yield(.mqtt(event)) }
    } catch {
      throw OperatorError("file-malformed", "no connection to the broker \(broker.address) can be made with \(access.credential.name)", cause: error)
    }
  }

  /// Connects, runs `body`, and closes in order.
  ///
  /// - Throws: `unreachable`, `connection-lost`, `silent`, `tls-failed`, `refused-by-broker` and their kin, and what `body` throws.
  static func with<Value: Sendable>(
    _ access: BrokerAccess, _ body: (BrokerSession) async throws(OperatorError) -> Value
  ) async throws(OperatorError) -> Value {
    let addresses = try await access.addresses()
    for (number, address) in addresses.enumerated() {
      let session = try BrokerSession(access)
      defer { session.client.close() }
      session.client.connect(to: address, port: access.broker.destination.port)
      do throws(OperatorError) {
        try await session.waitForConnection()
      } catch {
        // A name may have an address that this machine cannot reach, or that nobody serves.
        guard error.mayPassByItself, number + 1 < addresses.count else { throw error }
        continue
      }
      return try await body(session)
    }
    throw OperatorError("unreachable", "the broker \(access.address) has no address")
  }

  private func waitForConnection() async throws(OperatorError) {
    while true {
      if case .connected = try await next() { return }
    }
  }

  /// The next thing that happens.
  ///
  /// - Throws: why the connection is over.
  func next() async throws(OperatorError) -> MQTTEvent {
    var iterator = signals.makeAsyncIterator()
    switch await iterator.next() {
    case .mqtt(.refused(let reason)): throw access.refused("this client", reason)
    case .mqtt(.disconnected(let error)): throw access.explanation(error)
    case .mqtt(.closed), nil: throw OperatorError("connection-lost", "the connection to the broker \(access.address) was ended")
    case .timeUp(let error): throw error
    case .mqtt(let event): return event
    }
  }

  /// Asks for the messages of `filter`, and waits until the broker has agreed.
  ///
  /// - Returns: the messages that came before its answer.
  func subscribe(_ filter: String, wantsRetained: Bool) async throws(OperatorError) -> [MQTTMessage] {
    guard client.subscribe(filter, wantsRetained: wantsRetained) else {
      throw OperatorError("connection-lost", "the connection to the broker \(access.address) was lost")
    }
    var early: [MQTTMessage] = []
    while true {
      switch try await next() {
      case .subscribed(filter, let reason):
        guard !reason.isRefusal else { throw access.refused("\(access.person) reading \(filter)", reason) }
        return early
      case .message(let message): early.append(message)
      default: break
      }
    }
  }

  /// Hands over a message; `next` tells what becomes of it.
  func publish(_ message: MQTTMessage) throws(OperatorError) -> MQTTToken {
    guard let token = client.publish(message) else {
      throw OperatorError("connection-lost", "the connection to the broker \(access.address) was lost before the message was sent")
    }
    return token
  }

  /// Lets `next` throw `error` after `limit_s` seconds, unless the task that it gives is cancelled.
  func limit(_ limit_s: Int64, _ error: OperatorError) -> Task<Void, Never> {
    Task {
      try? await Task.sleep(for: .seconds(limit_s))
      if !Task.isCancelled { signal.yield(.timeUp(error)) }
    }
  }
}

extension BrokerAccess {
  /// `what` was refused by the broker.
  func refused(_ what: String, _ reason: MQTTReasonCode) -> OperatorError {
    OperatorError("refused-by-broker", "the broker \(address) refused \(what): \(reason) (\(reason.rawValue)); see its log and its access list")
  }

  /// Why a connection to the broker is over, with what to do.
  func explanation(_ error: (any HaechiError)?) -> OperatorError {
    switch error {
    case let fault as TLSError:
      switch (fault.side, fault.code) {
      case (_, "truncated"), (_, "connection-closed"):
        OperatorError("connection-lost", "the broker \(address) closed the connection: it restarted, or it wants no more clients")
      case (_, "handshake-timeout"): OperatorError("silent", "the broker \(address) did not finish the TLS handshake in time")
      case (_, "not-tls"), (_, "plaintext-http"):
        OperatorError("tls-failed", "\(address) does not speak TLS; check the port: brokers serve TLS at \(KnownBroker.defaultPort) mostly")
      case (_, "unsupported-version"): OperatorError("tls-failed", "the broker \(address) does not speak TLS 1.3, and nothing older is spoken here")
      case (.peer, _):
        OperatorError(
          "tls-refused",
          "the broker \(address) refused \(person)'s certificate\(fault.alert.map { " with the alert \($0)" } ?? ""): it must know your owner's CA, "
            + "and the certificate must be valid"
        )
      case (_, let code) where code.hasPrefix("certificate-"):
        OperatorError("tls-failed", "what answers at \(address) is not the broker that you named: \(fault.reason)")
      default: OperatorError("tls-failed", "the connection to the broker \(address) failed", cause: fault)
      }
    case let fault as MQTTError:
      switch fault.code {
      case "broker-refused": OperatorError("refused-by-broker", "the broker \(address) refused this client: \(fault.reason)")
      case "connect-timeout": OperatorError("silent", "the broker \(address) did not answer in time")
      case "client-invalid": OperatorError("bad-argument", "no client for the broker \(address) could be made", cause: fault)
      default: OperatorError("connection-lost", "the connection to the broker \(address) was lost: \(fault.reason)")
      }
    case let fault?: OperatorError("unreachable", "no connection to the broker \(address)", cause: fault)
    case nil: OperatorError("connection-lost", "the connection to the broker \(address) was ended")
    }
  }
}
