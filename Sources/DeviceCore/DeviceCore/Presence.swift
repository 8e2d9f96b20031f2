import Foundations
import NIOConcurrencyHelpers

/// Whether somebody stands at the device: for a while after its button was pressed.
///
/// Proofs of the label are looked at in that time only, so that nobody far away can use up the tries of whoever holds the device.
final class Presence: Sendable {
  /// Long enough to walk back to the desk; a stranger's tries in it are bounded by the back-off.
  static let window_ms: UInt64 = 60_000

  private let now_ms: @Sendable () -> UInt64
  private let opened_ms = NIOLockedValueBox<UInt64?>(nil)

  /// - Parameter now_ms: a clock that never goes back.
  init(now_ms: @escaping @Sendable () -> UInt64 = BootClock.now_ms) { self.now_ms = now_ms }

  /// The button was pressed.
  func press() {
    let now_ms = now_ms()
    opened_ms.withLockedValue { $0 = now_ms }
  }

  /// A press serves one claim.
  func close() { opened_ms.withLockedValue { $0 = nil } }

  /// Milliseconds until the window closes; 0 where it is closed.
  var remaining_ms: UInt64 {
    let now_ms = now_ms()
    guard let opened_ms = opened_ms.withLockedValue({ $0 }) else { return 0 }
    let passed_ms = now_ms > opened_ms ? now_ms - opened_ms : 0
    return passed_ms < Self.window_ms ? Self.window_ms - passed_ms : 0
  }

  var isOpen: Bool { remaining_ms > 0 }
}
