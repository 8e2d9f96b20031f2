import Foundations
import LocalAPI
import NIOConcurrencyHelpers

/// The newest events, in memory, and whoever follows them. Any thread may call; nothing waits.
final class EventJournal: Sendable {
  /// An event has at most some 400 bytes: 256 stay under 100 KB, and hold the last days of a quiet device.
  static let maximumEvents = 256

  private struct State {
    var ring = Ring<EventDocument>(capacity: EventJournal.maximumEvents)
    var last: UInt64 = 0
    var receivers = Receivers()
  }
  private let state = NIOLockedValueBox(State())

  func append(_ happening: EventDocument.Happening) {
    state.withLockedValue { state in
      state.last += 1
      state.ring.append(EventDocument(sequence: state.last, uptimeMilliseconds: BootClock.now_ms(), happening))
      if !state.receivers.isEmpty, let event = Self.streamEvent(happening) { state.receivers.deliver(event) }
    }
  }

  func document() -> EventsDocument {
    state.withLockedValue { EventsDocument(events: $0.ring.elements, forgotten: $0.ring.forgotten) }
  }

  /// Each event from now on.
  func subscribe(_ deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    let identifier = state.withLockedValue { $0.receivers.add(deliver) }
    return FeedSubscription { [self] in state.withLockedValue { $0.receivers.remove(identifier) } }
  }

  private static func streamEvent(_ happening: EventDocument.Happening) -> StreamEvent? {
    switch happening {
    case .input(let input): try? StreamEvent(name: "input", identifier: nil, document: input)
    case .grade(let grade): try? StreamEvent(name: "grade", identifier: nil, document: grade)
    case .cloud(let cloud): try? StreamEvent(name: "cloud", identifier: nil, document: cloud)
    case .claim(let claim): try? StreamEvent(name: "claim", identifier: nil, document: claim)
    case .storage(let storage): try? StreamEvent(name: "storage", identifier: nil, document: storage)
    case .peer(let peer): try? StreamEvent(name: "peer", identifier: nil, document: peer)
    case .discovery(let discovery): try? StreamEvent(name: "discovery", identifier: nil, document: discovery)
    }
  }
}
