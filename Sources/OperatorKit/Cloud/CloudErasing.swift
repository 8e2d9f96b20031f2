internal import FoundationEssentials
internal import Foundations
internal import MQTT

/// A device that asked to be forgotten, and was.
public struct CloudErased: Codable, Equatable, Sendable {
  public var deviceId: String
}

extension BrokerAccess {
  /// Stands in for a cloud's own service: takes away what the broker retains of each device that says it is about to be wiped, and confirms it to the device,
  /// whose receipt says so. A cloud that stores readings erases them in the same place.
  ///
  /// Troubles that may pass are waited out, each told to `troubled`; anything else ends the sequence with its error.
  public func eraseOnRequest(troubled: @escaping @Sendable (OperatorError) -> Void = { _ in }) -> AsyncThrowingStream<CloudErased, any Error> {
    follow("haechi/+/erase", wantsRetained: false, keeping: 256, troubled: troubled) { (session, early, told) throws(OperatorError) in
      var waiting = early
      while !Task.isCancelled {
        while let message = waiting.popLast() {
          guard let request = EraseRequest(message) else { continue }
          waiting += try await session.erase(request)
          told(CloudErased(deviceId: request.device.text))
        }
        if case .message(let message) = try await session.next() { waiting.append(message) }
      }
    }
  }
}

/// A device's question on `haechi/ID/erase`.
private struct EraseRequest {
  let device: DeviceIdentifier
  let correlation: [UInt8]

  /// nil for what is none: nothing else is answered, and answers go nowhere but to the device that the topic names.
  init?(_ message: MQTTMessage) {
    let parts = message.topic.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "haechi", parts[2] == "erase", let device = DeviceIdentifier(String(parts[1])), !message.isRetained,
      message.properties.responseTopic == "haechi/\(device)/erased", let correlation = message.properties.correlationData
    else { return nil }
    self.device = device
    self.correlation = correlation
  }
}

extension BrokerSession {
  /// Takes away what is retained, waits until the broker has done it, and only then confirms. Returns what came meanwhile.
  fileprivate func erase(_ request: EraseRequest) async throws(OperatorError) -> [MQTTMessage] {
    var early = try await settle(MQTTMessage(topic: "haechi/\(request.device)/status", payload: [], isRetained: true), "taking back what it retains")
    early += try await settle(
      MQTTMessage(
        topic: "haechi/\(request.device)/erased", payload: Array(#"{"erased":true}"#.utf8),
        properties: MQTTProperties(contentType: "application/json", messageExpiry_s: 60, correlationData: request.correlation)), "the confirmation")
    return early
  }

  private func settle(_ message: MQTTMessage, _ what: String) async throws(OperatorError) -> [MQTTMessage] {
    let token = try publish(message)
    var early: [MQTTMessage] = []
    while true {
      switch try await next() {
      case .acknowledged(token): return early
      case .dropped(token, let reason):
        throw reason.map { access.refused(what, $0) } ?? OperatorError("connection-lost", "the connection to the broker \(access.address) was lost")
      case .message(let message): early.append(message)
      default: break
      }
    }
  }
}
