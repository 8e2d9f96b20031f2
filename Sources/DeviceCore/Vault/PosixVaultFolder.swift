public import Foundations
internal import Glibc

/// A folder of a POSIX file system as a vault's storage. The folder must exist.
///
/// A file that is open to write is locked (an open file description lock), so that two processes never write to one vault.
public struct PosixVaultFolder: VaultStorage {
  public let path: String

  public init(path: String) { self.path = path }

  public func open(_ name: String, writable: Bool) throws(SystemCallError) -> any VaultFile {
    let file = path + "/" + name
    let number = Glibc.open(file, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: file) }
    let opened = PosixVaultFile(adopting: number, path: file)
    try opened.check()
    if writable { try opened.lock() }
    return opened
  }

  public func create(_ name: String) throws(SystemCallError) -> any VaultFile {
    let file = path + "/" + name
    let number = Glibc.open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: file) }
    let created = PosixVaultFile(adopting: number, path: file)
    try created.lock()
    return created
  }

  public func rename(_ name: String, to newName: String) throws(SystemCallError) {
    let old = path + "/" + name
    guard Glibc.rename(old, path + "/" + newName) == 0 else { throw SystemCallError("rename", number: errno, subject: old) }
  }

  public func remove(_ name: String) throws(SystemCallError) {
    let file = path + "/" + name
    guard unlink(file) == 0 else { throw SystemCallError("unlink", number: errno, subject: file) }
  }

  public func synchronise() throws(SystemCallError) {
    let number = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: path) }
    defer { close(number) }
    guard fsync(number) == 0 else { throw SystemCallError("fsync", number: errno, subject: path) }
  }
}

/// fcntl of Linux (asm-generic/fcntl.h), which the C library declares only on request: a lock that belongs to the open file.
private let F_OFD_SETLK: CInt = 37

/// A descriptor that is closed with its last reference.
private final class PosixVaultFile: VaultFile {
  private let number: CInt
  private let path: String

  init(adopting number: CInt, path: String) {
    self.number = number
    self.path = path
  }

  /// The lock ends with this, and not with the last copy of its descriptor: a program that is being started at this moment has one until its `exec`.
  deinit {
    _ = set(F_UNLCK)
    close(number)
  }

  private func failure(_ call: String, _ error: CInt = errno) -> SystemCallError { SystemCallError(call, number: error, subject: path) }

  /// Only a regular file that nobody but its owner may read.
  func check() throws(SystemCallError) {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw failure("fstat") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw failure("open", EINVAL) }
    guard status.st_mode & 0o077 == 0 else { throw failure("open", EACCES) }
  }

  func lock() throws(SystemCallError) { guard set(F_WRLCK) else { throw failure("fcntl") } }

  /// Locks or unlocks all of the file, at once or not at all.
  private func set(_ type: CInt) -> Bool {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    return fcntl(number, F_OFD_SETLK, &lock) == 0
  }

  func size() throws(SystemCallError) -> Int {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw failure("fstat") }
    return Int(status.st_size)
  }

  func read(at offset: Int, count: Int) throws(SystemCallError) -> [UInt8] {
    var content: [UInt8] = []
    while content.count < count {
      var part = [UInt8](repeating: 0, count: count - content.count)
      let got = pread(number, &part, part.count, off_t(offset + content.count))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw failure("read") }
      if got == 0 { break }
      if got < part.count { part.removeLast(part.count - got) }
      // Nearly always the first part is the whole.
      if content.isEmpty { content = part } else { content += part }
    }
    return content
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(SystemCallError) {
    var rest = bytes
    while !rest.isEmpty {
      let put = pwrite(number, rest, rest.count, off_t(offset + bytes.count - rest.count))
      if put < 0 && errno == EINTR { continue }
      guard put >= 0 else { throw failure("write") }
      guard put > 0 else { throw failure("write", ENOSPC) }
      rest.removeFirst(put)
    }
  }

  func truncate(to size: Int) throws(SystemCallError) {
    guard ftruncate(number, off_t(size)) == 0 else { throw failure("ftruncate") }
  }

  func synchronise() throws(SystemCallError) {
    // Whatever is needed to read the content back, its length included.
    guard fdatasync(number) == 0 else { throw failure("fdatasync") }
  }
}
