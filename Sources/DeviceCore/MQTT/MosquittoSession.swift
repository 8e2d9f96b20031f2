internal import CMosquitto
internal import Foundations
internal import Glibc
internal import TLS

/// libmosquitto's client and the loop that drives it. Made by any thread, then used by the client's own thread only.
final class MosquittoSession {
  /// Where the connection stands.
  enum Phase: Equatable {
    /// There is none. libmosquitto may still hold a dead socket, which its next attempt closes.
    case idle
    /// On the way to CONNACK.
    case connecting(deadline_ms: UInt64)
    case connected
    /// DISCONNECT is being written.
    case disconnecting(deadline_ms: UInt64)
  }

  let configuration: MQTTConfiguration
  let tls: LibraryClientContext
  let mailbox: Mailbox
  let handler: @Sendable (MQTTEvent) -> Void
  let client: OpaquePointer

  var phase = Phase.idle
  private var isEnding = false
  /// What is being connected to, for words.
  var peer = ""
  /// The socket has been writable: TCP is connected.
  private var isReachable = false
  /// libmosquitto's packet identifiers, as they stand for our tokens and filters.
  var tokens: [CInt: MQTTToken] = [:]
  var filters: [CInt: String] = [:]
  /// Messages that were taken while there was a connection, which had ended when they came here: for the next one. Their tokens bound them.
  private var held: [(message: MQTTMessage, token: MQTTToken)] = []
  /// What the callbacks left: the broker's refusal, the end of the connection, a rule that the broker broke.
  var refusal: MQTTReasonCode?
  var endCode: CInt?
  var violation: MQTTError?
  private var nextCare_ms: UInt64 = 0

  /// libmosquitto looks at its keep-alive so often; a sixth of the usual 30 s is fine enough, and wakes a sleeping board seldom.
  private static let care_ms: UInt64 = 5_000
  /// A DISCONNECT of 4 bytes is written at once or the connection is dead; a second is for what stands before it.
  private static let disconnect_ms: UInt64 = 1_000
  /// Records carry more than packets: the certificate in a handshake, heads, tags, and the tail of a record whose first packet was complete.
  private static let recordSlack_bytes = 2 * 16_640
  /// An answer to a ping tells nobody and has 24 bytes with its record's head: so many are forgiven at each look.
  private static let pingAllowance_bytes = 64

  /// - Throws: `client-invalid`.
  init(
    _ configuration: MQTTConfiguration, tls: LibraryClientContext, mailbox: Mailbox, handler: @escaping @Sendable (MQTTEvent) -> Void
  ) throws(MQTTError) {
    guard Self.isInitialised, let client = mosquitto_new(configuration.clientIdentifier, true, nil) else {
      throw MQTTError("client-invalid", "libmosquitto makes no client \(configuration.clientIdentifier)")
    }
    self.client = client
    self.configuration = configuration
    self.tls = tls
    self.mailbox = mailbox
    self.handler = handler
    // From here on `deinit` frees the client also where an error is thrown.
    mosquitto_user_data_set(client, Unmanaged.passUnretained(self).toOpaque())
    try setOptions()
    try setWill()
    setCallbacks()
  }

  deinit { mosquitto_destroy(client) }

  /// Once for each process, and never undone: other clients may live.
  private static let isInitialised = mosquitto_lib_init() == CInt(MOSQ_ERR_SUCCESS.rawValue)

  private func setOptions() throws(MQTTError) {
    // libmosquitto sends the bound to the broker, and takes in whatever comes all the same.
    tls.limitMessages(to: Int(configuration.maximumIncomingPacket_bytes) + Self.recordSlack_bytes)
    // Our own context as it is. Without it, or with libmosquitto's defaults added, the connection would be in the clear, or judged by other rules.
    try check(mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, tls.pointer), "the TLS context")
    try check(mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0), "the TLS context without defaults")
    try check(mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5), "MQTT 5")
    try check(mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, CInt(configuration.receiveMaximum)), "the receive maximum")
    try check(mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, CInt(configuration.maximumInFlight)), "the send maximum")
    try check(mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1), "no delay of small packets")
    var properties = PropertyList()
    try properties.add(MQTT_PROP_MAXIMUM_PACKET_SIZE, configuration.maximumIncomingPacket_bytes)
    // libmosquitto's connect that does not wait takes no properties, but uses those of the call before. This call keeps them and goes no
    // further, because a keep-alive of one second is refused; the broker's view of it is tested.
    let result = mosquitto_connect_bind_v5(client, "127.0.0.1", 1, 1, nil, properties.head)
    guard result == CInt(MOSQ_ERR_INVAL.rawValue) else {
      throw MQTTError("client-invalid", "libmosquitto keeps no properties of a connection: \(libraryWords(result))")
    }
  }

  private func setWill() throws(MQTTError) {
    guard let will = configuration.will else { return }
    var properties = try PropertyList(will.properties).release()
    let result = mosquitto_will_set_v5(
      client, will.topic, CInt(clamping: will.payload.count), will.payload, CInt(will.quality.rawValue), will.isRetained, properties)
    // libmosquitto owns the list where it took it.
    if result != CInt(MOSQ_ERR_SUCCESS.rawValue) { mosquitto_property_free_all(&properties) }
    try check(result, "the last will")
  }

  private func check(_ result: CInt, _ what: String) throws(MQTTError) {
    guard result == CInt(MOSQ_ERR_SUCCESS.rawValue) else { throw MQTTError("client-invalid", "libmosquitto does not take \(what): \(libraryWords(result))") }
  }

  // MARK: the loop

  func run() {
    while true {
      for command in mailbox.takeCommands() { perform(command) }
      sendHeld()
      if isEnding, phase == .idle { break }
      wait()
    }
    for token in mailbox.finishAll() { handler(.dropped(token, nil)) }
    handler(.closed)
  }

  /// Waits for the socket, a command or the next time to look, and does what the socket allows.
  private func wait() {
    var descriptors = [pollfd(fd: mailbox.wake.number, events: Int16(POLLIN), revents: 0)]
    let socket = phase == .idle ? -1 : mosquitto_socket(client)
    if socket >= 0 {
      // libmosquitto does not ask to write while TCP connects, and there is nothing to read before it has.
      let wantsWrite = !isReachable || mosquitto_want_write(client)
      descriptors.append(pollfd(fd: socket, events: Int16(POLLIN | (wantsWrite ? POLLOUT : 0)), revents: 0))
    }
    guard poll(&descriptors, nfds_t(descriptors.count), timeout()) >= 0 || errno == EINTR else { return }
    guard phase != .idle else { return }
    let ready = descriptors.count > 1 ? CInt(descriptors[1].revents) : 0
    if ready != 0 { use(socket, ready) }
    takeCare()
  }

  private func timeout() -> CInt {
    let now_ms = BootClock.now_ms()
    let until_ms: UInt64
    switch phase {
    case .idle: return -1
    case .connecting(let deadline_ms), .disconnecting(let deadline_ms): until_ms = min(deadline_ms, nextCare_ms)
    case .connected: until_ms = nextCare_ms
    }
    return CInt(clamping: until_ms > now_ms ? until_ms - now_ms : 0)
  }

  private func use(_ socket: CInt, _ ready: CInt) {
    if !isReachable {
      var number: CInt = 0
      var size = socklen_t(MemoryLayout<CInt>.size)
      guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) == 0, number == 0 else {
        return end(SystemCallError("connect", number: number, subject: peer))
      }
      isReachable = true
    }
    var result: CInt = 0
    if ready & ~POLLOUT != 0 { result = mosquitto_loop_read(client, 1) }
    // Always: libmosquitto forgets to ask for it where a handshake ends in a read.
    if result == 0, mosquitto_socket(client) >= 0 { result = mosquitto_loop_write(client, 1) }
    settle(result)
    if ready & (POLLHUP | POLLERR) != 0, phase != .idle, mosquitto_socket(client) == socket {
      // There is nothing more to come, and libmosquitto has not noticed.
      end(failure(result))
    }
  }

  /// Keep-alive and deadlines.
  private func takeCare() {
    let now_ms = BootClock.now_ms()
    switch phase {
    case .connecting(let deadline_ms) where now_ms >= deadline_ms:
      return end(MQTTError("connect-timeout", "\(peer) did not accept the connection within \(configuration.connectDeadline_ms / 1_000) s"))
    case .disconnecting(let deadline_ms) where now_ms >= deadline_ms: return end(nil)
    default: break
    }
    guard phase != .idle, now_ms >= nextCare_ms else { return }
    nextCare_ms = now_ms + Self.care_ms
    tls.raiseAllowance(by: Self.pingAllowance_bytes)
    settle(mosquitto_loop_misc(client))
  }

  // MARK: commands

  private func perform(_ command: Mailbox.Command) {
    switch command {
    case .connect(let address, let port): if !isEnding { connect(address, port) }
    case .disconnect: disconnect()
    case .publish(let message, let token): held.append((message, token))
    case .subscribe(let filter, let quality, let wantsRetained):
      // MQTT 5 section 3.8.3.1: retain handling 2.
      let neverRetained = CInt(MQTT_SUB_OPT_SEND_RETAIN_NEVER.rawValue)
      var identifier: CInt = 0
      guard phase == .connected else { return }
      let result = mosquitto_subscribe_v5(client, &identifier, filter, CInt(quality.rawValue), wantsRetained ? 0 : neverRetained, nil)
      if result == 0 { filters[identifier] = filter } else { handler(.subscribed(filter: filter, MQTTReasonCode(rawValue: 0x8f))) }
      settle(0)
    case .unsubscribe(let filter):
      guard phase == .connected else { return }
      _ = mosquitto_unsubscribe_v5(client, nil, filter, nil)
      settle(0)
    case .end:
      isEnding = true
      disconnect()
    }
  }

  private func connect(_ address: NetworkAddress, _ port: UInt16) {
    if phase != .idle { end(nil) }
    peer = address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    (refusal, endCode, violation, isReachable, filters) = (nil, nil, nil, false, [:])
    tls.forget()
    nextCare_ms = BootClock.now_ms() + Self.care_ms
    phase = .connecting(deadline_ms: BootClock.now_ms() + configuration.connectDeadline_ms)
    // A numeric address: libmosquitto's own look-up asks nobody. It does not wait for the connection.
    let result = mosquitto_connect_bind_async(client, address.description, CInt(port), CInt(configuration.keepAlive_s), nil)
    // Below zero it is still on the way.
    settle(max(result, 0))
  }

  private func disconnect() {
    switch phase {
    case .idle, .disconnecting: return
    case .connecting: return end(nil)
    case .connected:
      mailbox.setConnected(false)
      phase = .disconnecting(deadline_ms: BootClock.now_ms() + Self.disconnect_ms)
      _ = mosquitto_disconnect_v5(client, 0, nil)
      settle(0)
    }
  }

  /// Hands messages to libmosquitto in the order in which they were taken.
  private func sendHeld() {
    while phase == .connected, !held.isEmpty {
      let (message, token) = held.removeFirst()
      publish(message, token)
    }
  }

  private func publish(_ message: MQTTMessage, _ token: MQTTToken) {
    guard let properties = try? PropertyList(message.properties) else { return drop(token, nil) }
    var identifier: CInt = 0
    let result = mosquitto_publish_v5(
      client, &identifier, message.topic, CInt(clamping: message.payload.count), message.payload, CInt(message.quality.rawValue), message.isRetained,
      properties.head)
    switch result {
    case CInt(MOSQ_ERR_INVAL.rawValue), CInt(MOSQ_ERR_NOMEM.rawValue), CInt(MOSQ_ERR_PAYLOAD_SIZE.rawValue), CInt(MOSQ_ERR_MALFORMED_UTF8.rawValue),
      CInt(MOSQ_ERR_PROTOCOL.rawValue), CInt(MOSQ_ERR_DUPLICATE_PROPERTY.rawValue), CInt(MOSQ_ERR_OVERSIZE_PACKET.rawValue),
      CInt(MOSQ_ERR_QOS_NOT_SUPPORTED.rawValue), CInt(MOSQ_ERR_RETAIN_NOT_SUPPORTED.rawValue), CInt(MOSQ_ERR_NOT_SUPPORTED.rawValue):
      drop(token, nil)
    case CInt(MOSQ_ERR_SUCCESS.rawValue) where message.quality == .atMostOnce:
      // Its callback may have been inside the call.
      mailbox.finish(token)
      handler(.acknowledged(token))
    case _ where message.quality == .atMostOnce: drop(token, nil)
    // Any other result is the connection's, which has just ended: the message is kept by libmosquitto, as one on the way is.
    default: tokens[identifier] = token
    }
    settle(0)
  }

  func drop(_ token: MQTTToken, _ reason: MQTTReasonCode?) {
    mailbox.finish(token)
    handler(.dropped(token, reason))
  }
}
