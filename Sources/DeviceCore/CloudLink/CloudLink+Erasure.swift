import Foundations
import MQTT
import NIOConcurrencyHelpers

/// Before a wipe: the cloud is asked to erase what it holds of this device, and says so.
extension CloudLink {
  /// A question that waits for its answer.
  struct Erasure {
    let correlation: [UInt8]
    let answer: AsyncStream<Bool>.Continuation
  }

  /// `{"erased":true}` has 15 bytes; the rest is for spaces.
  private static let erasurePayload_bytes = 256

  /// Asks, and waits for the answer at most `limit_ms`. From now on no reading goes out, and the last thing that the broker hears of this device takes away
  /// what it retains of it, until `stay` says otherwise.
  ///
  /// - Returns: whether the cloud has confirmed; nil where the device has no broker.
  public func askForErasure(limit_ms: UInt64) async -> Bool? {
    var generator = SystemRandomNumberGenerator()
    let correlation = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let (answers, answer) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingOldest(1))
    let isAsked: Bool? = state.withLockedValue { state in
      guard state.binding != nil else { return nil }
      state.isLeaving = true
      guard state.isConnected, state.grade < .quarantined, let client = state.client,
        let message = messages.erasure(time_s: clock.now_s(), correlation: correlation),
        // In this order: the broker knows where the answer goes before anybody can give it.
        client.subscribe(messages.topics.erased, wantsRetained: false), Self.hand(message, &state, isUrgent: true) != nil
      else { return false }
      state.erasure = Erasure(correlation: correlation, answer: answer)
      return true
    }
    guard isAsked == true else { return isAsked }
    let timer = Task {
      try? await Task.sleep(for: .milliseconds(limit_ms))
      answer.yield(false)
    }
    defer {
      timer.cancel()
      state.withLockedValue { $0.erasure = nil }
    }
    for await isErased in answers { return isErased }
    return false
  }

  /// The device is not wiped after all.
  public func stay() { state.withLockedValue { $0.isLeaving = false } }

  /// What came on the topic of answers: it counts where it is one to the question that waits.
  func takeErasure(_ message: MQTTMessage) {
    guard !message.isRetained, message.payload.count <= Self.erasurePayload_bytes,
      case .success(let outline) = scanJSON(message.payload, maximumDepth: 2), let document = try? outline.decode(ErasedDocument.self)
    else { return }
    state.withLockedValue { state in
      guard let erasure = state.erasure, message.properties.correlationData == erasure.correlation else { return }
      erasure.answer.yield(document.erased)
    }
  }
}

private struct ErasedDocument: Decodable {
  let erased: Bool
}
