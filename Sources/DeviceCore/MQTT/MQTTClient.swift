public import Foundations
internal import Glibc
internal import Synchronization
public import TLS

/// One client of a broker: MQTT 5 over TLS 1.3, and over nothing else. It connects when told to, one attempt at a time; when to try again is
/// for its owner to decide. Messages at QoS 1 that are on the way when a connection ends are sent again on the next one.
///
/// Every method returns at once and may be called from any thread, the handler included. What happens is told by the handler, from a thread
/// of the client's own: libmosquitto is driven there with poll(2), and not on an NIO event loop, because NIO watches only sockets that it
/// has made itself, and because libmosquitto's calls may encrypt, verify and allocate at length.
public final class MQTTClient: Sendable {
  private let mailbox: Mailbox
  private let thread: MQTTThread

  /// - Parameters:
  ///   - tls: the only way that bytes leave; for this one client.
  ///   - handler: is told what happens, in order; must not wait.
  /// - Throws: `client-invalid`.
  public init(_ configuration: MQTTConfiguration, tls: LibraryClientContext, handler: @escaping @Sendable (MQTTEvent) -> Void) throws(MQTTError) {
    guard (1...64).contains(configuration.clientIdentifier.utf8.count), !configuration.clientIdentifier.utf8.contains(0),
      configuration.keepAlive_s >= 5, configuration.maximumInFlight > 0, configuration.receiveMaximum > 0,
      (0..<configuration.maximumOutstanding).contains(configuration.urgentReserve),
      configuration.maximumIncomingPacket_bytes >= 1_024, configuration.will?.isWellFormed ?? true
    else { throw MQTTError("client-invalid", "the client \(configuration.clientIdentifier) is configured outside its bounds") }
    mailbox = try Mailbox(maximumOutstanding: configuration.maximumOutstanding, urgentReserve: configuration.urgentReserve)
    let session = try MosquittoSession(configuration, tls: tls, mailbox: mailbox, handler: handler)
    thread = try MQTTThread(session)
  }

  /// Ends it: see `close`.
  deinit { mailbox.post(.end) }

  /// Tries to connect; `.connected`, `.refused` or `.disconnected` tells the outcome. Any connection that there is ends first, without a DISCONNECT.
  public func connect(to address: NetworkAddress, port: UInt16) { mailbox.post(.connect(address, port: port)) }

  /// Ends the connection with a DISCONNECT, so that the broker does not send the will; an attempt to connect is given up.
  public func disconnect() { mailbox.post(.disconnect) }

  /// Takes a message; `.acknowledged` or `.dropped` tells what became of it, also over several connections.
  ///
  /// - Parameter isUrgent: whether it may use what is kept free for urgent messages (`urgentReserve`).
  /// - Returns: nil, and nothing is kept, where there is no connection, where as many messages as it may be among wait already, or where the
  ///   message is not well formed.
  public func publish(_ message: MQTTMessage, isUrgent: Bool = false) -> MQTTToken? { mailbox.take(message, isUrgent: isUrgent) }

  /// Asks for messages; `.subscribed` tells the broker's answer. A subscription ends with its connection. false where there is no connection.
  ///
  /// - Parameter wantsRetained: whether those are wanted that the broker keeps for later subscribers.
  public func subscribe(_ filter: String, _ quality: MQTTQuality = .atLeastOnce, wantsRetained: Bool = true) -> Bool {
    guard isFilter(filter) else { return false }
    return mailbox.postConnected(.subscribe(filter, quality, wantsRetained: wantsRetained))
  }

  /// Asks for messages no longer. false where there is no connection.
  public func unsubscribe(_ filter: String) -> Bool {
    guard isFilter(filter) else { return false }
    return mailbox.postConnected(.unsubscribe(filter))
  }

  /// Messages that were taken and have come to no end yet.
  public var outstandingCount: Int { mailbox.outstandingCount }

  /// Ends the client for good, with a DISCONNECT where there is a connection. `.closed` is the last event.
  public func close() { mailbox.post(.end) }

  /// Closes and waits for the thread to end. Blocks: not for an event loop.
  ///
  /// - Returns: whether it ended before `deadline_ms` had passed.
  public func closeAndWait(deadline_ms: UInt64 = 5_000) -> Bool {
    mailbox.post(.end)
    return thread.join(deadline_ms: deadline_ms)
  }
}

/// libmosquitto checks a filter's wildcards; here only that it reaches C in one piece.
private func isFilter(_ text: String) -> Bool { (1...65_535).contains(text.utf8.count) && !text.utf8.contains(0) }

/// What other threads want of the client's thread, and what both must agree on. Bounded: messages by `maximumOutstanding`, and everything
/// else is posted by the one owner, who waits for its outcome.
final class Mailbox: Sendable {
  enum Command {
    case connect(NetworkAddress, port: UInt16)
    case disconnect
    case publish(MQTTMessage, MQTTToken)
    case subscribe(String, MQTTQuality, wantsRetained: Bool)
    case unsubscribe(String)
    case end
  }
  private struct State {
    var commands: [Command] = []
    var isConnected = false
    var outstanding: Set<MQTTToken> = []
    var lastToken: UInt64 = 0
  }
  /// A token that is older than so many others would meet its own packet identifier again, of which there are 65,535.
  private static let maximumTokenAge: UInt64 = 32_768

  private let maximumOutstanding: Int
  private let urgentReserve: Int
  private let state = Mutex(State())
  /// Readable while there are commands.
  let wake: EventDescriptor

  init(maximumOutstanding: Int, urgentReserve: Int) throws(MQTTError) {
    self.maximumOutstanding = maximumOutstanding
    self.urgentReserve = urgentReserve
    wake = try EventDescriptor()
  }

  func post(_ command: Command) {
    state.withLock { $0.commands.append(command) }
    wake.signal()
  }

  func postConnected(_ command: Command) -> Bool {
    let isPosted = state.withLock { state in
      if state.isConnected { state.commands.append(command) }
      return state.isConnected
    }
    if isPosted { wake.signal() }
    return isPosted
  }

  func take(_ message: MQTTMessage, isUrgent: Bool) -> MQTTToken? {
    guard message.isWellFormed else { return nil }
    let token: MQTTToken? = state.withLock { state in
      guard state.isConnected, state.outstanding.count < maximumOutstanding - (isUrgent ? 0 : urgentReserve),
        state.outstanding.allSatisfy({ state.lastToken - $0.number < Self.maximumTokenAge })
      else { return nil }
      state.lastToken += 1
      let token = MQTTToken(number: state.lastToken)
      state.outstanding.insert(token)
      state.commands.append(.publish(message, token))
      return token
    }
    if token != nil { wake.signal() }
    return token
  }

  var outstandingCount: Int { state.withLock { $0.outstanding.count } }

  // MARK: the thread's side

  func setConnected(_ isConnected: Bool) { state.withLock { $0.isConnected = isConnected } }

  func takeCommands() -> [Command] {
    wake.clear()
    return state.withLock { state in
      defer { state.commands = [] }
      return state.commands
    }
  }

  func finish(_ token: MQTTToken) { state.withLock { _ = $0.outstanding.remove(token) } }

  /// Every token that has come to no end, oldest first, each of which has now.
  func finishAll() -> [MQTTToken] {
    state.withLock { state in
      defer { state.outstanding = [] }
      return state.outstanding.sorted { $0.number < $1.number }
    }
  }
}
