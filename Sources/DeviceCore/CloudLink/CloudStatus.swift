public import Foundations

/// Where a cloud link stands.
public enum CloudState: String, Sendable {
  /// It has no broker.
  case unbound
  /// It failed and waits before it tries again, or has no credential yet.
  case waiting
  case connecting
  case connected
  /// The grade allows no connection.
  case suspended
}

/// Why the link failed last.
public struct CloudFailure: Hashable, Sendable {
  /// A `TLSError`'s, `MQTTError`'s or `SystemCallError`'s; or `name-not-resolved`, `addresses-not-permitted`, `addresses-unknown`, `credential-missing`;
  /// or, while connected, `commands-refused` (the broker does not let the device listen) and `events-refused` (it does not take an event or
  /// the status; each is tried again on the next connection).
  public let code: String
  public let reason: String

  init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  init(_ error: any HaechiError) { self.init(error.code, error.reason) }
}

/// A cloud link at one moment.
public struct CloudStatus: Hashable, Sendable {
  public var state = CloudState.unbound
  public var destination: CloudDestination?
  /// Since the last connection; while connected, what the broker refuses.
  public var failure: CloudFailure?
  /// Messages that were handed to MQTT.
  public var published: UInt64 = 0
  /// Of those, the ones that the broker has.
  public var acknowledged: UInt64 = 0
  /// Messages that were not taken, refused by the broker, or lost with their client.
  public var dropped: UInt64 = 0
  public var connections: UInt64 = 0

  public init() {}
}
