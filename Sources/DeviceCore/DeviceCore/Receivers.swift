import LocalAPI

/// Hands events to whoever subscribed. Receivers never wait; they are called one event after the other, in the order of subscription.
struct Receivers {
  private var receivers: [(identifier: UInt64, deliver: @Sendable (StreamEvent) -> Void)] = []
  private var next: UInt64 = 0

  var isEmpty: Bool { receivers.isEmpty }

  mutating func add(_ deliver: @escaping @Sendable (StreamEvent) -> Void) -> UInt64 {
    next += 1
    receivers.append((next, deliver))
    return next
  }

  mutating func remove(_ identifier: UInt64) { receivers.removeAll { $0.identifier == identifier } }

  func deliver(_ event: StreamEvent) {
    for receiver in receivers { receiver.deliver(event) }
  }
}
