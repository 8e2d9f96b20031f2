internal import CMosquitto
internal import Foundations
internal import Glibc
internal import TLS

extension MosquittoSession {
  /// Looks whether what was just done ended the connection. `result` is libmosquitto's, 0 for none.
  func settle(_ result: CInt) {
    guard phase != .idle else { return }
    if let violation { return end(violation) }
    if tls.isOverdrawn {
      return end(MQTTError("packet-too-large", "\(peer) sends a packet of more than \(configuration.maximumIncomingPacket_bytes) bytes"))
    }
    // Some versions of libmosquitto go on asking a handshake that has failed.
    if !tls.isEstablished, tls.failure != nil || tls.systemError != nil { return end(failure(result)) }
    if result != 0 || endCode != nil || mosquitto_socket(client) < 0 { end(failure(result)) }
  }

  /// Why the connection is over: what TLS found, else what the system said, else what the broker or libmosquitto said. nil where it was asked for.
  func failure(_ result: CInt) -> (any HaechiError)? {
    if case .disconnecting = phase { return nil }
    if let failure = tls.failure { return failure }
    if let number = tls.systemError { return SystemCallError("connect", number: number, subject: peer) }
    let code = endCode ?? result
    if code >= 0x80, let said = UInt8(exactly: code) {
      let reason = MQTTReasonCode(rawValue: said)
      return MQTTError("broker-disconnected", "\(peer) ended the connection: \(reason)", reasonCode: reason)
    }
    switch code {
    case CInt(MOSQ_ERR_PROTOCOL.rawValue), CInt(MOSQ_ERR_MALFORMED_PACKET.rawValue), CInt(MOSQ_ERR_DUPLICATE_PROPERTY.rawValue),
      CInt(MOSQ_ERR_MALFORMED_UTF8.rawValue):
      return MQTTError("protocol-error", "\(peer) does not keep to MQTT 5: \(libraryWords(code))")
    case CInt(MOSQ_ERR_KEEPALIVE.rawValue): return MQTTError("connection-lost", "\(peer) was silent for \(configuration.keepAlive_s) s after a ping")
    default:
      if case .connecting = phase, tls.isEstablished {
        // Its alert says why, unless the reset of a broker that does not read on overtakes it.
        return MQTTError("connection-lost", "\(peer) ended the connection as soon as TLS was up: it may not accept this side's certificate")
      }
      let words = code == 0 || code == CInt(MOSQ_ERR_ERRNO.rawValue) ? "it was closed" : libraryWords(code)
      return MQTTError("connection-lost", "the connection to \(peer) ended: \(words)")
    }
  }

  /// Ends what there is of a connection, and tells it once. A socket that libmosquitto still holds is shut down here, and closed by its
  /// next attempt or with the client.
  func end(_ reason: (any HaechiError)?) {
    guard phase != .idle else { return }
    phase = .idle
    mailbox.setConnected(false)
    let socket = mosquitto_socket(client)
    if socket >= 0 { shutdown(socket, CInt(SHUT_RDWR)) }
    if let refusal { handler(.refused(refusal)) } else { handler(.disconnected(reason)) }
  }

  // MARK: libmosquitto's callbacks, inside calls of the thread's own

  func setCallbacks() {
    mosquitto_connect_v5_callback_set(client) { _, context, code, _, _ in session(context)?.answered(code) }
    mosquitto_disconnect_v5_callback_set(client) { _, context, code, _ in session(context)?.endCode = code }
    mosquitto_publish_v5_callback_set(client) { _, context, identifier, code, _ in session(context)?.published(identifier, code) }
    mosquitto_subscribe_v5_callback_set(client) { _, context, identifier, count, codes, _ in
      session(context)?.subscribed(identifier, count > 0 ? codes?.pointee ?? 0x80 : 0x80)
    }
    mosquitto_message_v5_callback_set(client) { _, context, message, properties in
      guard let message else { return }
      session(context)?.arrived(message.pointee, properties)
    }
  }

  private func answered(_ code: CInt) {
    tls.renewAllowance()
    guard code == 0 else {
      refusal = MQTTReasonCode(rawValue: UInt8(clamping: code))
      return
    }
    // Told only where the server was verified: no connection without TLS can come so far, and this is the last place to see one.
    guard case .connecting = phase, tls.isEstablished else {
      violation = MQTTError("protocol-error", "\(peer) answered before TLS was established")
      return
    }
    phase = .connected
    mailbox.setConnected(true)
    handler(.connected)
  }

  private func published(_ identifier: CInt, _ code: CInt) {
    tls.renewAllowance()
    guard let token = tokens.removeValue(forKey: identifier) else { return }
    let reason = MQTTReasonCode(rawValue: UInt8(clamping: code))
    guard !reason.isRefusal else { return drop(token, reason) }
    mailbox.finish(token)
    handler(.acknowledged(token))
  }

  private func subscribed(_ identifier: CInt, _ code: CInt) {
    tls.renewAllowance()
    guard let filter = filters.removeValue(forKey: identifier) else { return }
    handler(.subscribed(filter: filter, MQTTReasonCode(rawValue: UInt8(clamping: code))))
  }

  private func arrived(_ message: mosquitto_message, _ properties: OpaquePointer?) {
    tls.renewAllowance()
    guard let topic = message.topic, message.payloadlen >= 0, message.payloadlen <= configuration.maximumIncomingPacket_bytes else {
      violation = MQTTError("packet-too-large", "\(peer) sent a packet of more than \(configuration.maximumIncomingPacket_bytes) bytes")
      return
    }
    // libmosquitto keeps each alias with its topic, although it is told of none that is allowed: a broker could fill the memory.
    var alias: UInt16 = 0
    guard mosquitto_property_read_int16(properties, CInt(MQTT_PROP_TOPIC_ALIAS.rawValue), &alias, false) == nil else {
      violation = MQTTError("protocol-error", "\(peer) does not keep to MQTT 5: a topic alias where none is allowed (section 3.1.2.11.5)")
      return
    }
    let payload = UnsafeRawBufferPointer(start: message.payload, count: message.payload == nil ? 0 : Int(message.payloadlen))
    handler(
      .message(
        MQTTMessage(
          topic: String(cString: topic), payload: Array(payload), quality: message.qos == 0 ? .atMostOnce : .atLeastOnce, isRetained: message.retain,
          properties: MQTTProperties(borrowing: properties))))
  }
}

/// The session that a callback is for: the client was given it, and lives no longer than it.
private func session(_ context: UnsafeMutableRawPointer?) -> MosquittoSession? {
  context.map { Unmanaged<MosquittoSession>.fromOpaque($0).takeUnretainedValue() }
}
