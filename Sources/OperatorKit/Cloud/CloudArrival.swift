internal import FoundationEssentials
internal import Foundations
internal import MQTT

/// A reading as a device publishes it.
public struct CloudReading: Codable, Equatable, Sendable {
  public var name: String
  public var value: Double
  public var unit: String
  /// RFC 3339, UTC.
  public var time: String
  public var simulated: Bool
  /// Counts a device's messages, so that a gap is seen.
  public var sequence: UInt64
}

/// An event as a device publishes it.
public struct CloudAlert: Codable, Equatable, Sendable {
  /// `grade`; a later device has others.
  public var kind: String
  public var grade: String?
  public var cause: String?
  public var evidence: String?
  public var event: UInt64?
  /// RFC 3339, UTC.
  public var time: String
  public var sequence: UInt64
}

/// Whether a device is connected, and how it was when it said so; the broker keeps the newest.
public struct CloudPresence: Codable, Equatable, Sendable {
  public var online: Bool
  public var grade: String?
  /// RFC 3339, UTC; absent in the last will.
  public var time: String?
}

/// What arrived at the broker.
public struct CloudArrival: Encodable, Equatable, Sendable {
  /// What a message says, by its topic.
  public enum Content: Equatable, Sendable {
    case reading(CloudReading)
    case event(CloudAlert)
    case status(CloudPresence)
    /// Anything else, or a message that is not what its topic promises: its text, cut where it is long.
    case other(String)
  }
  public let topic: String
  /// Nil where the topic names no device.
  public let deviceId: String?
  public let content: Content
  /// Whether the broker kept it from before.
  public let isRetained: Bool

  /// Characters of a message that is shown as it is.
  static let shownText = 200

  init(_ message: MQTTMessage) {
    topic = message.topic
    isRetained = message.isRetained
    let levels = message.topic.split(separator: "/", omittingEmptySubsequences: false)
    let device = levels.count >= 3 && levels[0] == "haechi" ? DeviceIdentifier(levels[1]) : nil
    deviceId = device?.text
    func read<Value: Decodable>(_ type: Value.Type) -> Value? { try? JSONDecoder().decode(type, from: Data(message.payload)) }
    let known: Content? =
      switch (device == nil ? "" : String(levels[2]), levels.count) {
      case ("reading", 4): read(CloudReading.self).map { .reading($0) }
      case ("event", 3): read(CloudAlert.self).map { .event($0) }
      case ("status", 3): read(CloudPresence.self).map { .status($0) }
      default: nil
      }
    content = known ?? .other(String(String(decoding: message.payload.prefix(4 * Self.shownText), as: UTF8.self).prefix(Self.shownText)))
  }

  private enum Field: String, CodingKey { case topic, deviceId, retained, reading, event, status, text }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Field.self)
    try fields.encode(topic, forKey: .topic)
    try fields.encodeIfPresent(deviceId, forKey: .deviceId)
    try fields.encode(isRetained, forKey: .retained)
    switch content {
    case .reading(let reading): try fields.encode(reading, forKey: .reading)
    case .event(let event): try fields.encode(event, forKey: .event)
    case .status(let status): try fields.encode(status, forKey: .status)
    case .other(let text): try fields.encode(text, forKey: .text)
    }
  }
}

extension Sheet {
  /// An arrival in one line. `name`: what the operator calls the device.
  public static func arrival(_ arrival: CloudArrival, name: String?) -> String {
    let who = printable(name ?? arrival.deviceId ?? arrival.topic)
    let kept = arrival.isRetained ? "  (kept by the broker)" : ""
    switch arrival.content {
    case .reading(let reading):
      let shown = Reading(name: reading.name, value: reading.value, unit: reading.unit, time: reading.time, simulated: reading.simulated)
      return "\(who)  \(Self.reading(shown))\(kept)"
    case .event(let event):
      let what =
        event.grade.map { grade in
          self.event(.grade(GradeEvent(grade: grade, cause: event.cause ?? "none", evidence: event.evidence ?? "", event: event.event ?? 0)))
        } ?? printable(event.kind)
      return "\(who)  \(timeOfDay(event.time))  \(what)\(kept)"
    case .status(let status):
      let time = status.time.map { "\(timeOfDay($0))  " } ?? ""
      return "\(who)  \(time)\(status.online ? "online" : "offline")\(status.grade.map { ", grade \(printable($0))" } ?? "")\(kept)"
    case .other(let text): return "\(printable(arrival.topic))  \(printable(text))\(kept)"
    }
  }
}
