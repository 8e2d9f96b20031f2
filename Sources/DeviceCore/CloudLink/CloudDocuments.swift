internal import Crypto
public import Foundations
internal import MQTT

/// A measured value for the cloud.
public struct CloudReading: Hashable, Sendable {
  public let name: String
  public let value: Double
  public let unit: String
  /// Seconds since 1970 UTC.
  public let time_s: Int64
  public let isSimulated: Bool
  /// Counts up for each name.
  public let sequence: UInt64

  public init(name: String, value: Double, unit: String, time_s: Int64, isSimulated: Bool, sequence: UInt64) {
    self.name = name
    self.value = value
    self.unit = unit
    self.time_s = time_s
    self.isSimulated = isSimulated
    self.sequence = sequence
  }
}

/// A change of grade for the cloud.
public struct CloudGradeEvent: Hashable, Sendable {
  public let grade: Grade
  public let cause: GradeCause
  public let evidence: String
  /// Counts the changes of grade since boot.
  public let event: UInt64
  /// Seconds since 1970 UTC.
  public let time_s: Int64
  /// Counts the device's events since boot.
  public let sequence: UInt64

  public init(grade: Grade, cause: GradeCause, evidence: String, event: UInt64, time_s: Int64, sequence: UInt64) {
    self.grade = grade
    self.cause = cause
    self.evidence = evidence
    self.event = event
    self.time_s = time_s
    self.sequence = sequence
  }
}

/// Makes the messages of one device. Times in documents are RFC 3339 in UTC.
struct CloudMessages: Sendable {
  /// A reading that is older than this is of no use to who controls by it.
  static let readingExpiry_s: UInt32 = 300
  /// Somebody looks at events at least once a week.
  static let eventExpiry_s: UInt32 = 7 * 86_400

  let topics: CloudTopics

  func reading(_ reading: CloudReading) -> MQTTMessage? {
    message(
      topics.reading(reading.name),
      ReadingDocument(
        name: reading.name, value: reading.value, unit: reading.unit, time: rfc3339(reading.time_s), simulated: reading.isSimulated,
        sequence: reading.sequence),
      schema: "haechi.reading.v1", expiry_s: Self.readingExpiry_s)
  }

  func event(_ event: CloudGradeEvent) -> MQTTMessage? {
    message(
      topics.event,
      EventDocument(
        kind: "grade", grade: event.grade.word, cause: event.cause.word, evidence: event.evidence, event: event.event, time: rfc3339(event.time_s),
        sequence: event.sequence),
      schema: "haechi.event.v1", expiry_s: Self.eventExpiry_s)
  }

  func status(isOnline: Bool, grade: Grade, time_s: Int64) -> MQTTMessage? {
    message(topics.status, StatusDocument(online: isOnline, grade: grade.word, time: rfc3339(time_s)), schema: "haechi.status.v1", isRetained: true)
  }

  /// Nothing is retained of a device that was wiped (MQTT 5, 3.3.1.3: an empty retained message takes the one before away).
  var statusTakenBack: MQTTMessage? { MQTTMessage(topic: topics.status, payload: [], isRetained: true) }

  /// The device is about to be wiped: what is held of it is to be erased. The answer repeats the correlation data.
  func erasure(time_s: Int64, correlation: [UInt8]) -> MQTTMessage? {
    message(topics.erase, EraseDocument(time: rfc3339(time_s)), schema: "haechi.erase.v1", replyTo: topics.erased, correlationData: correlation)
  }

  /// What the broker says of a device that is gone without a word.
  var will: MQTTMessage? { message(topics.status, StatusDocument(online: false), schema: "haechi.status.v1", isRetained: true) }

  func answer(_ state: CloudActuatorState, to reply: CloudReply) -> MQTTMessage? {
    message(reply.topic, ActuatorDocument(name: state.name, on: state.isOn, safe: state.isSafe), correlationData: reply.correlationData)
  }

  func answer(_ problem: CloudProblem, to reply: CloudReply) -> MQTTMessage? {
    message(
      reply.topic,
      ProblemDocument(type: "urn:haechi:problem:" + problem.code, title: problem.title, status: problem.status, detail: problem.reason),
      contentType: "application/problem+json", correlationData: reply.correlationData)
  }

  /// nil where a document cannot be written: a value that is no number in JSON.
  private func message(
    _ topic: String, _ document: some Encodable, contentType: String = "application/json", schema: String? = nil, expiry_s: UInt32? = nil,
    isRetained: Bool = false, replyTo: String? = nil, correlationData: [UInt8]? = nil
  ) -> MQTTMessage? {
    guard let payload = try? jsonText(document) else { return nil }
    return MQTTMessage(
      topic: topic, payload: payload, isRetained: isRetained,
      properties: MQTTProperties(
        contentType: contentType, messageExpiry_s: expiry_s, responseTopic: replyTo, correlationData: correlationData,
        user: schema.map { [MQTTUserProperty(name: "schema", value: $0)] } ?? []))
  }
}

private struct ReadingDocument: Encodable {
  let name: String
  let value: Double
  let unit: String
  let time: String
  let simulated: Bool
  let sequence: UInt64
}

private struct EventDocument: Encodable {
  let kind: String
  let grade: String
  let cause: String
  let evidence: String
  let event: UInt64
  let time: String
  let sequence: UInt64
}

private struct StatusDocument: Encodable {
  let online: Bool
  var grade: String?
  var time: String?
}

private struct EraseDocument: Encodable {
  let time: String
}

private struct ActuatorDocument: Encodable {
  let name: String
  let on: Bool
  let safe: Bool
}

private struct ProblemDocument: Encodable {
  let type: String
  let title: String
  let status: Int
  let detail: String
}
