import LocalAPI
import NIOConcurrencyHelpers
import NIOPosix

/// The one thread that waits for the device's own key, where that lies outside: what needs it takes its turn, and what is too much is refused. A key of the
/// runtime's own signs at once, wherever it is asked.
final class KeyThread: Sendable {
  /// So many wait for their turn, each about as long as a TPM takes for a signature: the last one is served well within a handshake's deadline.
  static let most = 8

  private let threads: NIOThreadPool?
  private let waiting = NIOLockedValueBox(0)

  /// - Parameter threads: one that runs; nil where nothing needs it.
  init(_ threads: NIOThreadPool? = nil) { self.threads = threads }

  /// Whether there is such a thread.
  var isThere: Bool { threads != nil }

  /// Runs `step` in its turn; false where too many wait, and it never runs.
  func take(_ step: @escaping @Sendable () -> Void) -> Bool {
    guard let threads else { return false }
    let isTaken = waiting.withLockedValue { waiting in
      guard waiting < Self.most else { return false }
      waiting += 1
      return true
    }
    guard isTaken else { return false }
    // A pool that has ended runs it here and now: the link is closed then, and nothing is waited for.
    threads.submit { [self] _ in
      step()
      waiting.withLockedValue { $0 -= 1 }
    }
    return true
  }

  /// What `work` returns, in its turn.
  func run<Value: Sendable>(_ work: @escaping @Sendable () throws(Problem) -> Value) async throws(Problem) -> Value {
    guard isThere else { return try work() }
    let result: Result<Value, Problem> = await withCheckedContinuation { continuation in
      let isTaken = take {
        do throws(Problem) {
          continuation.resume(returning: .success(try work()))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
      if !isTaken { continuation.resume(returning: .failure(.unavailable("The device's own key has too much to sign; try again."))) }
    }
    return try result.get()
  }
}
