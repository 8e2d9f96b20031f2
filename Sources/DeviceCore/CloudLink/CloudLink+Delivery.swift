import Foundations
import MQTT
import NIOConcurrencyHelpers

/// The status and the events: what is sent until the broker has it.
extension CloudLink {
  /// Publishes the status and each event that is due, as far as there is room. What cannot be written as a message counts as refused.
  func sendDue() {
    state.withLockedValue { state in
      if let presence = state.presence, presence.delivery.isDue {
        let message =
          presence.isForgotten ? messages.statusTakenBack : messages.status(isOnline: presence.isOnline, grade: presence.grade, time_s: clock.now_s())
        guard let delivery = Self.deliver(message, &state) else { return }
        state.presence?.delivery = delivery
      }
      for index in state.events.indices where state.events[index].delivery.isDue {
        guard let delivery = Self.deliver(messages.event(state.events[index].event), &state) else { return }
        state.events[index].delivery = delivery
      }
    }
  }

  /// nil where there is no room, or no connection.
  private static func deliver(_ message: MQTTMessage?, _ state: inout State) -> Delivery? {
    guard let message, message.isWellFormed else { return Delivery(isRefused: true) }
    guard let sent = hand(message, &state, isUrgent: true) else { return nil }
    state.awaited.insert(sent)
    return Delivery(sent: sent)
  }

  func acknowledge(_ sent: Sent) {
    finish(sent) { state in
      state.status.acknowledged += 1
      state.events.removeAll { $0.delivery.sent == sent }
      if state.presence?.delivery.sent == sent { state.presence = nil }
    }
  }

  /// Something will not be delivered. Where the client lives that is the broker's doing: the same message would fare the same at once.
  func drop(_ sent: Sent, _ reason: MQTTReasonCode?) {
    finish(sent) { state in
      state.status.dropped += 1
      let isRefused = state.client != nil && state.clientNumber == sent.client
      guard state.changeDeliveries(sent, { $0 = Delivery(isRefused: isRefused) }), isRefused else { return }
      let words = reason.map { "\($0)" } ?? "it is larger, or asks for more, than the broker allows"
      state.refusal = CloudFailure("events-refused", "the broker does not take an event or the status of the device: \(words)")
    }
  }

  private func finish(_ sent: Sent, _ change: (inout State) -> Void) {
    let isSettled = state.withLockedValue { state in
      change(&state)
      let isLast = state.awaited.remove(sent) != nil && state.awaited.isEmpty
      return isLast || state.isSomethingDue || state.refusal != nil
    }
    if isSettled { signal.yield(.settled) }
  }

  /// Tells a refusal that is not told yet, of a connection that goes on.
  func tellRefusal() {
    let refusal = state.withLockedValue { state in
      defer { state.refusal = nil }
      return state.refusal
    }
    if let refusal { fail(refusal, to: .connected) }
  }
}

extension CloudLink.State {
  var isSomethingDue: Bool { isConnected && (presence?.delivery.isDue == true || events.contains { $0.delivery.isDue }) }

  /// Changes each delivery, of the status and of the events, that is on the way as `sent`; nil for every one.
  mutating func changeDeliveries(_ sent: CloudLink.Sent?, _ change: (inout CloudLink.Delivery) -> Void) -> Bool {
    var isFound = false
    if var delivery = presence?.delivery, sent == nil || delivery.sent == sent {
      change(&delivery)
      presence?.delivery = delivery
      isFound = true
    }
    for index in events.indices where sent == nil || events[index].delivery.sent == sent {
      change(&events[index].delivery)
      isFound = true
    }
    return isFound
  }
}
