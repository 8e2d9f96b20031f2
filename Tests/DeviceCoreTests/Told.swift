import Synchronization

/// Numbers that were told, from any thread.
final class Told: Sendable {
  private let numbers = Mutex<[UInt64]>([])
  func add(_ number: UInt64) { numbers.withLock { $0.append(number) } }
  var connections: [UInt64] { numbers.withLock { $0 } }
}
