internal import Glibc

/// Small files that are replaced as a whole: after a crash or a power cut the old content or the new one is there, never a mixture.
public enum AtomicFile {
  /// Replaces `path` by a file of mode 0600 that holds `bytes`, and waits until it is on the medium.
  public static func replace(_ path: String, with bytes: [UInt8]) throws(SystemCallError) {
    try replace(path) { number in write(number, bytes, bytes.count) == bytes.count }
  }

  /// As above, for what must have no copy outside `secret`.
  public static func replace(_ path: String, with secret: SecretBytes) throws(SystemCallError) {
    try replace(path) { number in secret.withUnsafeBytes { write(number, $0.baseAddress, $0.count) == $0.count } }
  }

  /// The content of a regular file, nil where there is none. Symbolic links are not followed.
  ///
  /// - Throws: `SystemCallError`; `EFBIG` where it holds more than `maximum_bytes`, `EACCES` where others than its owner may read it.
  public static func read(_ path: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8]? {
    guard let number = try openPrivate(path, maximum_bytes: maximum_bytes) else { return nil }
    defer { close(number) }
    return try readAll(number, path, maximum_bytes)
  }

  /// As above, straight into a secret.
  public static func readSecret(_ path: String, maximum_bytes: Int) throws(SystemCallError) -> SecretBytes? {
    guard let number = try openPrivate(path, maximum_bytes: maximum_bytes) else { return nil }
    defer { close(number) }
    return try SecretBytes(capacity: maximum_bytes) { (buffer) throws(SystemCallError) -> Int in
      var filled = 0
      while filled < buffer.count {
        let count = Glibc.read(number, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw SystemCallError("read", number: errno, subject: path) }
        if count == 0 { break }
        filled += count
      }
      return filled
    }
  }

  /// The first bytes of a file of the kernel's own (/proc), which has no size.
  public static func readSmall(_ path: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8] {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: path) }
    defer { close(number) }
    return try readAll(number, path, maximum_bytes)
  }

  private static func readAll(_ number: CInt, _ path: String, _ maximum_bytes: Int) throws(SystemCallError) -> [UInt8] {
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while content.count < maximum_bytes {
      let count = Glibc.read(number, &buffer, min(buffer.count, maximum_bytes - content.count))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw SystemCallError("read", number: errno, subject: path) }
      if count == 0 { break }
      content += buffer.prefix(count)
    }
    return content
  }

  private static func openPrivate(_ path: String, maximum_bytes: Int) throws(SystemCallError) -> CInt? {
    let number = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard number >= 0 else {
      if errno == ENOENT { return nil }
      throw SystemCallError("open", number: errno, subject: path)
    }
    var status = stat()
    var fault: CInt = 0
    if fstat(number, &status) != 0 {
      fault = errno
    } else if status.st_mode & S_IFMT != S_IFREG {
      fault = EINVAL
    } else if status.st_mode & 0o077 != 0 {
      fault = EACCES
    } else if status.st_size > off_t(maximum_bytes) {
      fault = EFBIG
    }
    guard fault == 0 else {
      close(number)
      throw SystemCallError("open", number: fault, subject: path)
    }
    return number
  }

  private static func replace(_ path: String, _ fill: (CInt) -> Bool) throws(SystemCallError) {
    let incoming = path + ".new"
    // A leftover of an earlier try may be a link or have another mode.
    guard unlink(incoming) == 0 || errno == ENOENT else { throw SystemCallError("unlink", number: errno, subject: incoming) }
    let number = open(incoming, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: incoming) }
    errno = 0
    guard fill(number), fsync(number) == 0 else {
      // A short write leaves errno alone: the medium is full.
      let fault = errno == 0 ? ENOSPC : errno
      close(number)
      unlink(incoming)
      throw SystemCallError("write", number: fault, subject: incoming)
    }
    close(number)
    guard rename(incoming, path) == 0 else { throw SystemCallError("rename", number: errno, subject: path) }
    // The new name itself lies in the folder.
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let folderNumber = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folderNumber >= 0 else { throw SystemCallError("open", number: errno, subject: folder) }
    defer { close(folderNumber) }
    guard fsync(folderNumber) == 0 else { throw SystemCallError("fsync", number: errno, subject: folder) }
  }
}
