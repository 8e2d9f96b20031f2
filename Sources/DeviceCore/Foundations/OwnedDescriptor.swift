internal import Glibc

/// A file descriptor with one owner, closed when the owner goes.
public struct OwnedDescriptor: ~Copyable, Sendable {
  /// Valid for as long as this value lives.
  public let number: CInt

  /// - Parameter number: an open descriptor that nobody else closes.
  public init(adopting number: CInt) { self.number = number }

  deinit { close(number) }

  /// Gives the descriptor away: the receiver closes it.
  public consuming func release() -> CInt {
    let number = self.number
    discard self
    return number
  }
}
