internal import Glibc

/// Small files that are replaced as a whole: after a crash or a power cut the old content or the new one is there, never a mixture.
public enum AtomicFile {
  /// Replaces `path` by a file of mode 0600 that holds `bytes`, and waits until it is on the medium.
  ///
  /// - Parameter onStep: called after each system call that changed something: what lies there then is what a cut at this moment leaves.
  public static func replace(_ path: String, with bytes: [UInt8], onStep: () -> Void = {}) throws(SystemCallError) {
    try replace(path, onStep) { number in write(number, bytes, bytes.count) == bytes.count }
  }

  /// As above, for what must have no copy outside `secret`.
  public static func replace(_ path: String, with secret: SecretBytes, onStep: () -> Void = {}) throws(SystemCallError) {
    try replace(path, onStep) { number in secret.withUnsafeBytes { write(number, $0.baseAddress, $0.count) == $0.count } }
  }

  /// Removes the file, where there is one, and waits until that is on the medium. `onStep` as above.
  public static func remove(_ path: String, onStep: () -> Void = {}) throws(SystemCallError) {
    guard unlink(path) == 0 else {
      let fault = errno
      // A file system that is read-only says so before it looks.
      var status = stat()
      if fault == ENOENT || (fault == EROFS && lstat(path, &status) != 0 && errno == ENOENT) { return }
      throw SystemCallError("unlink", number: fault, subject: path)
    }
    onStep()
    try synchroniseFolder(of: path)
  }

  /// Removes everything in `folder`, folders in it too, and waits until that is on the medium. `onStep` as above.
  ///
  /// - Parameters:
  ///   - depth: how many levels of folders may lie in it; what lies deeper is an error.
  ///   - kept: names in `folder` itself that stay.
  public static func removeAll(
    in folder: String, depth: Int = 4, except kept: Set<String> = [], onStep: () -> Void = {}
  ) throws(SystemCallError) {
    guard let stream = opendir(folder) else { throw SystemCallError("opendir", number: errno, subject: folder) }
    var names: [String] = []
    while let entry = readdir(stream) {
      // The name is NUL-terminated within its array (readdir(3)).
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    closedir(stream)
    for name in names.sorted() where !kept.contains(name) {
      let path = folder + "/" + name
      var status = stat()
      if lstat(path, &status) != 0 {
        // Somebody who still writes here renamed it.
        if errno == ENOENT { continue }
        throw SystemCallError("lstat", number: errno, subject: path)
      }
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      if isFolder {
        guard depth > 0 else { throw SystemCallError("rmdir", number: ELOOP, subject: path) }
        try removeAll(in: path, depth: depth - 1, onStep: onStep)
      }
      guard isFolder ? rmdir(path) == 0 : unlink(path) == 0 || errno == ENOENT else { throw SystemCallError("unlink", number: errno, subject: path) }
      onStep()
    }
    try synchronise(folder)
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

  private static func replace(_ path: String, _ onStep: () -> Void, _ fill: (CInt) -> Bool) throws(SystemCallError) {
    let incoming = path + ".new"
    // A leftover of an earlier try may be a link or have another mode.
    guard unlink(incoming) == 0 || errno == ENOENT else { throw SystemCallError("unlink", number: errno, subject: incoming) }
    let number = open(incoming, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: incoming) }
    onStep()
    errno = 0
    guard fill(number), fsync(number) == 0 else {
      // A short write leaves errno alone: the medium is full.
      let fault = errno == 0 ? ENOSPC : errno
      close(number)
      unlink(incoming)
      throw SystemCallError("write", number: fault, subject: incoming)
    }
    close(number)
    onStep()
    guard rename(incoming, path) == 0 else {
      let fault = errno
      unlink(incoming)
      throw SystemCallError("rename", number: fault, subject: path)
    }
    onStep()
    // The new name itself lies in the folder.
    try synchroniseFolder(of: path)
  }

  private static func synchroniseFolder(of path: String) throws(SystemCallError) {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    try synchronise(folder.isEmpty ? "/" : folder)
  }

  private static func synchronise(_ folder: String) throws(SystemCallError) {
    let number = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: folder) }
    defer { close(number) }
    guard fsync(number) == 0 else { throw SystemCallError("fsync", number: errno, subject: folder) }
  }
}
