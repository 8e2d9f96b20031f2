/// How hard delivery is tried (MQTT 5 section 4.3). Exactly once is not offered: nothing here needs it.
public enum MQTTQuality: UInt8, Sendable {
  case atMostOnce = 0
  case atLeastOnce = 1
}

/// A name and value that a publisher adds to a message (MQTT 5 section 3.3.2.3.7).
public struct MQTTUserProperty: Hashable, Sendable {
  public let name: String
  public let value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// What a message says of itself (MQTT 5 section 3.3.2.3); absent parts are nil or empty.
public struct MQTTProperties: Hashable, Sendable {
  /// No more user properties than this are sent or kept.
  public static let maximumUserProperties = 8
  /// A MIME type.
  public var contentType: String?
  /// Seconds after which a broker no longer delivers it.
  public var messageExpiry_s: UInt32?
  /// Where an answer is expected.
  public var responseTopic: String?
  /// What an answer repeats.
  public var correlationData: [UInt8]?
  /// In order; at most 8.
  public var user: [MQTTUserProperty]

  public init(
    contentType: String? = nil, messageExpiry_s: UInt32? = nil, responseTopic: String? = nil, correlationData: [UInt8]? = nil,
    user: [MQTTUserProperty] = []
  ) {
    self.contentType = contentType
    self.messageExpiry_s = messageExpiry_s
    self.responseTopic = responseTopic
    self.correlationData = correlationData
    self.user = user
  }
}

/// An application message, sent or received.
public struct MQTTMessage: Hashable, Sendable {
  /// Topic, payload and properties of a message that is sent have at most this many bytes together: a document of the device's has a tenth.
  public static let maximum_bytes = 16_384

  public var topic: String
  public var payload: [UInt8]
  public var quality: MQTTQuality
  /// Sent: the broker keeps it for later subscribers. Received: it was kept.
  public var isRetained: Bool
  public var properties: MQTTProperties

  public init(
    topic: String, payload: [UInt8], quality: MQTTQuality = .atLeastOnce, isRetained: Bool = false, properties: MQTTProperties = MQTTProperties()
  ) {
    self.topic = topic
    self.payload = payload
    self.quality = quality
    self.isRetained = isRetained
    self.properties = properties
  }

  /// Whether it may be sent: a topic without wildcards and zero characters, and everything within its bounds.
  public var isWellFormed: Bool {
    let texts = [properties.contentType, properties.responseTopic].compactMap { $0 } + properties.user.flatMap { [$0.name, $0.value] }
    let count = topic.utf8.count + payload.count + (properties.correlationData?.count ?? 0) + texts.reduce(0) { $0 + $1.utf8.count }
    return isTopic(topic) && properties.responseTopic.map(isTopic) ?? true && texts.allSatisfy { !$0.utf8.contains(0) }
      && properties.user.count <= MQTTProperties.maximumUserProperties && count <= Self.maximum_bytes
  }
}

/// Whether `text` names one topic (MQTT 5 section 4.7): not empty, no wildcard, no zero character, at most 65,535 bytes.
private func isTopic(_ text: String) -> Bool {
  (1...65_535).contains(text.utf8.count) && text.utf8.allSatisfy { $0 != 0 && $0 != UInt8(ascii: "#") && $0 != UInt8(ascii: "+") }
}

/// Stands for one message that was given to a client to be sent.
public struct MQTTToken: Hashable, Sendable {
  /// Counts up from 1 in each client.
  let number: UInt64
}
