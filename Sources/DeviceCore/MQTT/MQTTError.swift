public import Foundations

/// What a broker says of a request, by its number (MQTT 5 section 2.4); 128 and above are refusals.
public struct MQTTReasonCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public var isRefusal: Bool { rawValue >= 0x80 }

  /// The name that MQTT 5 gives it, in lower case: `not authorized`; `reason 200` where it has none.
  public var description: String { Self.names[rawValue] ?? "reason \(rawValue)" }

  private static let names: [UInt8: String] = [
    0x00: "success", 0x10: "no matching subscribers", 0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
    0x83: "implementation specific error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid",
    0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8a: "banned",
    0x8b: "server shutting down", 0x8d: "keep alive timeout", 0x8e: "session taken over", 0x8f: "topic filter invalid",
    0x90: "topic name invalid", 0x93: "receive maximum exceeded", 0x95: "packet too large", 0x96: "message rate too high",
    0x97: "quota exceeded", 0x98: "administrative action", 0x99: "payload format invalid", 0x9a: "retain not supported",
    0x9b: "QoS not supported", 0x9c: "use another server", 0x9d: "server moved", 0x9f: "connection rate exceeded",
  ]
}

/// Why a connection to a broker did not come about, or ended. What TLS found is a `TLSError` instead, what TCP found a `SystemCallError`.
///
/// Codes: `client-invalid` (libmosquitto takes no such client), `broker-refused` (the answer to CONNECT), `broker-disconnected` (the broker
/// said that it ends the connection), `connection-lost`, `connect-timeout`, `packet-too-large`, `protocol-error`.
public struct MQTTError: HaechiError {
  public let code: String
  public let reason: String
  /// What the broker said, where it said something.
  public let reasonCode: MQTTReasonCode?
  public var cause: (any Error)? { nil }

  init(_ code: String, _ reason: String, reasonCode: MQTTReasonCode? = nil) {
    self.code = code
    self.reason = reason
    self.reasonCode = reasonCode
  }
}
