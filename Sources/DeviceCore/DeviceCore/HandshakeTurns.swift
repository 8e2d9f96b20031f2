import NIOConcurrencyHelpers
import NIOCore

/// Lets a few handshakes go on at a time and the others wait their turn, first come, first served.
///
/// For peers that keep being refused while the device is restricted: handshakes are what costs, and the owner may come from the same address
/// as the attacker (behind a router, they all do), so nobody is turned away, only slowed down. A waiting connection costs a socket and no TLS
/// object; how many there may be is the ledger's to say.
final class HandshakeTurns: Sendable {
  private struct State {
    var running: Set<UInt64> = []
    var waiting: [(number: UInt64, promise: EventLoopPromise<Void>)] = []
  }
  private let most: Int
  private let state = NIOLockedValueBox(State())

  init(most: Int) { self.most = max(1, most) }

  /// Succeeds when the handshake of connection `number` may begin: at once, or when those before it are done. `done` must follow.
  func turn(_ number: UInt64, on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
    let promise = eventLoop.makePromise(of: Void.self)
    let isNow = state.withLockedValue { state in
      guard state.running.count < most else {
        state.waiting.append((number, promise))
        return false
      }
      state.running.insert(number)
      return true
    }
    if isNow { promise.succeed() }
    return promise.futureResult
  }

  /// The handshake of connection `number` is over, or the connection is. Nothing happens where it had no turn.
  func done(_ number: UInt64) {
    let (next, lost) = state.withLockedValue { state -> (EventLoopPromise<Void>?, EventLoopPromise<Void>?) in
      guard state.running.remove(number) != nil else {
        guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return (nil, nil) }
        return (nil, state.waiting.remove(at: index).promise)
      }
      guard !state.waiting.isEmpty else { return (nil, nil) }
      let (number, promise) = state.waiting.removeFirst()
      state.running.insert(number)
      return (promise, nil)
    }
    lost?.fail(ChannelError.ioOnClosedChannel)
    next?.succeed()
  }

  /// How many run and wait.
  var counts: (running: Int, waiting: Int) { state.withLockedValue { ($0.running.count, $0.waiting.count) } }
}
