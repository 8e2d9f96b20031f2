public import Foundations

/// The few things that a vault asks of a file system: one folder of its own.
///
/// What the vault relies on: after `synchronise` of a file its content is on the medium; after `synchronise` of the folder so are its names; a rename
/// replaces the old file as a whole. Before that, a power cut may leave any part of it, in any order.
public protocol VaultStorage: Sendable {
  /// Where it is, for messages.
  var path: String { get }
  /// An existing regular file; symbolic links are not followed. `ENOENT` where there is none, `EAGAIN` where another vault has it open to write.
  func open(_ name: String, writable: Bool) throws(SystemCallError) -> any VaultFile
  /// A new, empty file of mode 0600; `EEXIST` where there is one.
  func create(_ name: String) throws(SystemCallError) -> any VaultFile
  func rename(_ name: String, to newName: String) throws(SystemCallError)
  func remove(_ name: String) throws(SystemCallError)
  /// Returns when the names are on the medium.
  func synchronise() throws(SystemCallError)
}

/// An open file of a vault, closed when the last reference goes.
public protocol VaultFile: AnyObject, Sendable {
  func size() throws(SystemCallError) -> Int
  /// Up to `count` bytes from `offset`; fewer only where the file ends.
  func read(at offset: Int, count: Int) throws(SystemCallError) -> [UInt8]
  /// Writes all of `bytes` or throws; some of them may be there then.
  func write(_ bytes: [UInt8], at offset: Int) throws(SystemCallError)
  func truncate(to size: Int) throws(SystemCallError)
  /// Returns when the content is on the medium.
  func synchronise() throws(SystemCallError)
}

/// A number that only ever grows, kept where whoever copies the files cannot set it back: an NV counter of a TPM.
///
/// One counter belongs to one vault. A vault asks for its value when it opens, and raises it when it opens, when it rewrites its file and for each
/// anchored commit: not so often that a TPM's counter would wear out.
public protocol MonotonicCounter: Sendable {
  func value() throws -> UInt64
  /// One more than before; returned when it is permanent.
  func increment() throws -> UInt64
}
