public import Foundations

/// How a client introduces itself, and what it may hold.
public struct MQTTConfiguration: Sendable {
  /// 1…64 bytes; a broker ends an older connection of the same one.
  public var clientIdentifier: String
  /// Sent by the broker where the connection ends without a DISCONNECT.
  public var will: MQTTMessage?
  /// A broker that was silent for so long is asked (PINGREQ), and given up after as long again; 5…65,535. 30 s are under the shortest
  /// time (a minute) after which network address translators are known to forget a connection.
  public var keepAlive_s: UInt16
  /// A connection must be up, CONNACK included, after so many milliseconds: an emulated board needs seconds for TLS, and the kernel's second
  /// and third SYN leave 1 s and 3 s after the first.
  public var connectDeadline_ms: UInt64
  /// Messages that were taken and are not acknowledged; `publish` takes no more.
  public var maximumOutstanding: Int
  /// Those of them that only urgent messages may be, so that a connection that is dead already is not full when it matters; less than all.
  public var urgentReserve: Int
  /// Those of them that are on the way at a time (what the broker allows counts, too).
  public var maximumInFlight: UInt16
  /// Messages at QoS 1 that the broker may send before one is acknowledged (MQTT 5 section 3.1.2.11.3).
  public var receiveMaximum: UInt16
  /// The largest packet that the broker may send (MQTT 5 section 3.1.2.11.4); a connection with a larger one is ended.
  public var maximumIncomingPacket_bytes: UInt32

  public init(
    clientIdentifier: String, will: MQTTMessage? = nil, keepAlive_s: UInt16 = 30, connectDeadline_ms: UInt64 = 20_000, maximumOutstanding: Int = 64,
    urgentReserve: Int = 0, maximumInFlight: UInt16 = 16, receiveMaximum: UInt16 = 16, maximumIncomingPacket_bytes: UInt32 = 16_384
  ) {
    self.clientIdentifier = clientIdentifier
    self.will = will
    self.keepAlive_s = keepAlive_s
    self.connectDeadline_ms = connectDeadline_ms
    self.maximumOutstanding = maximumOutstanding
    self.urgentReserve = urgentReserve
    self.maximumInFlight = maximumInFlight
    self.receiveMaximum = receiveMaximum
    self.maximumIncomingPacket_bytes = maximumIncomingPacket_bytes
  }
}

/// What a client tells. Each comes from the client's own thread, in order.
public enum MQTTEvent: Sendable {
  /// The broker accepted the connection; what was in flight is being sent again.
  case connected
  /// The broker answered and does not want this client. The connection is over.
  case refused(MQTTReasonCode)
  /// The connection is over, or did not come about: a `TLSError`, `SystemCallError` or `MQTTError`; nil where it was asked for.
  case disconnected((any HaechiError)?)
  /// The broker has the message (QoS 1), or it was written (QoS 0).
  case acknowledged(MQTTToken)
  /// The message will not be delivered: the broker refused it, or the client ended.
  case dropped(MQTTToken, MQTTReasonCode?)
  /// The broker's answer to `subscribe`.
  case subscribed(filter: String, MQTTReasonCode)
  case message(MQTTMessage)
  /// The last event: the thread is done.
  case closed
}
