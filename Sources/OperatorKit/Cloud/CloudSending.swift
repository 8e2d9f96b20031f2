internal import FoundationEssentials
internal import Foundations
internal import MQTT

extension BrokerAccess {
  /// How long a command waits for its device's answer, seconds: a device answers within a second, and the broker's way is not longer.
  static let answer_s: Int64 = 15

  /// Switches an output of `device` by a command over the broker.
  ///
  /// - Parameter device: its id or alias; nil for the only known one.
  /// - Returns: the state that the device has driven.
  /// - Throws: `silent` where no answer comes; `refused-by-device`, `refused-by-broker`.
  public func send(_ name: String, on: Bool, to device: String?) async throws(OperatorError) -> Actuator {
    try await send(name, on: on, to: device, limit_s: Self.answer_s)
  }

  func send(_ name: String, on: Bool, to device: String?, limit_s: Int64) async throws(OperatorError) -> Actuator {
    let name = try DeviceClient.segment(name)
    guard case .known(let known) = try DeviceBook.load(home).choose(device) else {
      throw OperatorError("unknown-device", "a broker knows devices by their ids, not by addresses; name the device by its id or alias")
    }
    let device = known.deviceId
    return try await BrokerSession.with(self) { (session) throws(OperatorError) in
      let reply = "haechi/\(device)/reply/\(session.identifier)"
      // Asked for before the command goes out, so that no answer can come too early.
      _ = try await session.subscribe(reply, wantsRetained: false)
      let correlation = (0..<16).map { _ in UInt8.random(in: 0...255) }
      let command = MQTTMessage(
        topic: "haechi/\(device)/command/\(name)", payload: try encode(ActuatorChange(on: on)),
        properties: MQTTProperties(
          contentType: "application/json",
          // A device that comes back later must not do what nobody waits for any more.
          messageExpiry_s: UInt32(clamping: limit_s), responseTopic: reply, correlationData: correlation))
      let deadline = session.limit(
        limit_s,
        OperatorError(
          "silent", "device \(known.name) did not answer over the broker \(address) within \(limit_s) s; see: haechi cloud status"))
      defer { deadline.cancel() }
      let token = try session.publish(command)
      while true {
        switch try await session.next() {
        case .dropped(token, let reason):
          throw reason.map { refused("the command", $0) }
            ?? OperatorError("connection-lost", "the connection to the broker \(address) was lost before the command was sent")
        case .message(let answer) where answer.topic == reply && answer.properties.correlationData == correlation:
          let response = DeviceResponse(
            status: answer.properties.contentType == "application/problem+json" ? 422 : 200,
            mediaType: answer.properties.contentType ?? "", body: answer.payload)
          return try read(response, name: known.name)
        default: break
        }
      }
    }
  }

  private func read(_ answer: DeviceResponse, name: String) throws(OperatorError) -> Actuator {
    if answer.mediaType == "application/json" {
      do {
        return try JSONDecoder().decode(Actuator.self, from: Data(answer.body))
      } catch {
        throw OperatorError("bad-answer", "what device \(name) answered is not what this haechi knows: \(explain(decoding: error))")
      }
    }
    let problem = answer.mediaType == "application/problem+json" ? try? JSONDecoder().decode(ProblemDetails.self, from: Data(answer.body)) : nil
    guard let problem else {
      throw OperatorError("bad-answer", "device \(name) answered with '\(printable(answer.mediaType.prefix(60)))' where JSON was expected")
    }
    var told = printable((problem.detail ?? problem.title ?? "no reason given").prefix(400))
    while told.hasSuffix(".") { told.removeLast() }
    throw OperatorError(
      "refused-by-device", "device \(name) refused the command\(problem.code.map { " (\(printable($0.prefix(60))))" } ?? ""): \(told)",
      refusal: .init(status: problem.status ?? 0, problem: problem.code))
  }
}
