internal import Glibc

/// Bytes that must not outlive their use: a private key's encoding, a derived key, a shared secret.
///
/// The bytes lie in one allocation of their own, are never moved or copied by it, and are erased when the last reference goes
/// (`explicit_bzero`, which the compiler may not drop). A secret has no textual form: interpolating, dumping or mirroring one
/// shows its length and nothing else.
public final class SecretBytes: @unchecked Sendable, CustomStringConvertible, CustomReflectable {
  // Written only while initialising, so that sharing it between threads is safe.
  private let storage: UnsafeMutableRawBufferPointer

  /// How many bytes it holds; 0 is allowed.
  public let count: Int

  /// A secret that `fill` writes in place.
  ///
  /// - Parameters:
  ///   - capacity: the most bytes that `fill` may write, at least 0.
  ///   - fill: writes into the zeroed buffer and returns how many bytes count, 0…capacity.
  /// - Throws: what `fill` throws; the buffer is erased first.
  public init<Failure: Error>(
    capacity: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    precondition(capacity >= 0, "a secret's capacity is not negative")
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    let written: Int
    do {
      written = try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<capacity]))
    } catch {
      explicit_bzero(buffer.baseAddress!, buffer.count)
      buffer.deallocate()
      throw error
    }
    precondition((0...capacity).contains(written), "a secret's writer says how much it wrote")
    storage = buffer
    count = written
  }

  /// A secret that holds a copy of `bytes`. The caller still owns the original and is to erase it.
  public convenience init(copying bytes: some Collection<UInt8>) {
    self.init(capacity: bytes.count) { buffer in
      buffer.copyBytes(from: bytes)
      return bytes.count
    }
  }

  deinit {
    explicit_bzero(storage.baseAddress!, storage.count)
    storage.deallocate()
  }

  /// Lends the bytes to `body`. They must not leave it.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(storage)[..<count]))
  }

  /// Whether both hold the same bytes; takes the same time wherever they differ. Lengths are not secret.
  public func isEqual(to other: SecretBytes) -> Bool {
    guard count == other.count else { return false }
    return withUnsafeBytes { mine in
      other.withUnsafeBytes { theirs in
        var difference: UInt8 = 0
        for index in 0..<mine.count { difference |= mine[index] ^ theirs[index] }
        return difference == 0
      }
    }
  }

  /// The length; never the bytes.
  public var description: String { "secret of \(count) bytes" }
  public var customMirror: Mirror { Mirror(self, children: ["count": count]) }
}
