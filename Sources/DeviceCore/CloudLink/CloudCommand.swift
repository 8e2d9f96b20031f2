internal import Foundations
internal import MQTT

/// An order to switch an actuator.
public struct CloudCommand: Hashable, Sendable {
  public let actuator: String
  public let isOn: Bool
}

/// Where an answer goes, and what it repeats.
struct CloudReply: Hashable, Sendable {
  let topic: String
  let correlationData: [UInt8]?
}

/// What a message on a command topic is.
enum CommandReading: Hashable, Sendable {
  case command(CloudCommand, CloudReply?)
  case refused(CloudProblem, CloudReply?)
}

/// Bounds of what a command may be.
enum CommandLimits {
  /// `{"on":true}` has 11 bytes; the rest is for spaces and for a refusal that says more than "too large".
  static let payload_bytes = 4_096
  /// A UUID has 36 characters.
  static let correlation_bytes = 64
  static let replyTopic_bytes = 256
  /// The longest name of a line.
  static let actuatorName_bytes = 31
  static let nesting = 4
}

/// Reads a message on a command topic of the device that `topics` are of. Total: whatever the bytes are, it is a command or a problem that names
/// what is wrong; nothing is guessed.
func readCommand(_ message: MQTTMessage, topics: CloudTopics) -> CommandReading {
  let reply: CloudReply?
  do throws(CloudProblem) {
    reply = try readReply(message.properties, topics: topics)
  } catch {
    return .refused(error, nil)
  }
  if let data = message.properties.correlationData, data.count > CommandLimits.correlation_bytes {
    let problem = CloudProblem.invalid("correlation-too-long", "Correlation data have at most \(CommandLimits.correlation_bytes) bytes, not \(data.count).")
    return .refused(problem, reply.map { CloudReply(topic: $0.topic, correlationData: nil) })
  }
  do throws(CloudProblem) {
    return .command(try readOrder(message, topics: topics), reply)
  } catch {
    return .refused(error, reply)
  }
}

private func readReply(_ properties: MQTTProperties, topics: CloudTopics) throws(CloudProblem) -> CloudReply? {
  guard let topic = properties.responseTopic else { return nil }
  let rest = topic.utf8.dropFirst(topics.replyPrefix.utf8.count)
  guard topic.utf8.starts(with: topics.replyPrefix.utf8), !rest.isEmpty, topic.utf8.count <= CommandLimits.replyTopic_bytes,
    rest.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "#") && $0 != UInt8(ascii: "+") })
  else { throw .invalid("reply-topic-invalid", "A response topic lies under \(topics.replyPrefix).") }
  return CloudReply(topic: topic, correlationData: properties.correlationData)
}

private func readOrder(_ message: MQTTMessage, topics: CloudTopics) throws(CloudProblem) -> CloudCommand {
  let name = message.topic.utf8.dropFirst(topics.commandPrefix.utf8.count)
  guard message.topic.utf8.starts(with: topics.commandPrefix.utf8), (1...CommandLimits.actuatorName_bytes).contains(name.count),
    name.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "/") })
  else { throw CloudProblem(status: 404, code: "not-found", title: "There is no such resource", reason: "The topic names no actuator.") }
  // What was kept for whoever comes later is an order of the past.
  guard !message.isRetained else { throw .invalid("command-retained", "Commands must not be retained.") }
  if let type = message.properties.contentType, type.lowercased() != "application/json" {
    throw CloudProblem(
      status: 415, code: "media-type-unsupported", title: "The command has the wrong media type", reason: "Send it as application/json.")
  }
  guard message.payload.count <= CommandLimits.payload_bytes else {
    throw CloudProblem(
      status: 413, code: "body-too-large", title: "The command is too large", reason: "A command has at most \(CommandLimits.payload_bytes) bytes.")
  }
  let outline: JSONOutline
  switch scanJSON(message.payload, maximumDepth: CommandLimits.nesting) {
  case .success(let scanned): outline = scanned
  case .failure(let error): throw .invalid(error.code, error.detail)
  }
  guard let names = outline.memberNames else { throw .invalid("field-type", "The command must be a JSON object.") }
  if let unknown = names.first(where: { $0 != "on" }) {
    throw .invalid("field-unknown", "The field \(unknown.prefix(64)) is not known here; known: on.")
  }
  guard !names.isEmpty else { throw .invalid("field-missing", "The field on is missing.") }
  guard let document = try? outline.decode(OrderDocument.self) else {
    throw .invalid("field-type", "The field on must be true or false.")
  }
  return CloudCommand(actuator: String(decoding: Array(name), as: UTF8.self), isOn: document.on)
}

private struct OrderDocument: Decodable {
  let on: Bool
}

extension CloudProblem {
  static func invalid(_ code: String, _ reason: String) -> CloudProblem {
    CloudProblem(status: 400, code: code, title: "The command is not what this device takes", reason: reason)
  }
  static let tooMany = CloudProblem(
    status: 429, code: "too-many-requests", title: "Too many requests",
    reason: "At most \(CommandRate.perSecond) commands a second are carried out; come back in a second.")
  static let notInThisGrade = CloudProblem(
    status: 409, code: "not-in-this-grade", title: "The device's state does not allow this", reason: "The device is quarantined and takes no commands.")
}

/// Lets at most 10 commands through in any second: it knows when the newest 10 were.
struct CommandRate: Sendable {
  /// A relay's contacts and a person's patience need fewer; a broker that floods must not starve the rest of the runtime.
  static let perSecond = 10
  private var newest_ms = Ring<UInt64>(capacity: Self.perSecond)

  /// Whether one more may be carried out now. `now_ms` never goes back.
  mutating func take(now_ms: UInt64) -> Bool {
    let times = newest_ms.elements
    guard times.count < Self.perSecond || now_ms >= times[0] + 1_000 else { return false }
    newest_ms.append(now_ms)
    return true
  }
}
