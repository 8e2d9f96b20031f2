internal import FoundationEssentials
internal import Foundations
internal import Glibc

/// Files of the operator: folders 0700, files 0600, written whole or not at all, never over one that is there unless the caller says so.
public enum PrivateFiles {
  /// What to do where a file of that name is already there.
  public enum Existing: Sendable { case refuse, replace }

  /// The most bytes that are read of any file: a key, a certificate chain and the list of devices are all far smaller.
  public static let largestFile_bytes = 1024 * 1024

  /// Makes `folder` and what is missing above it, each 0700. A folder that is there keeps its mode.
  ///
  /// - Throws: `file-unwritable`, naming the folder and the system's reason.
  public static func makeFolder(_ folder: String) throws(OperatorError) {
    guard !folder.isEmpty else { throw OperatorError("bad-argument", "the name of a folder is empty") }
    var path = folder.hasPrefix("/") ? "/" : ""
    for part in folder.split(separator: "/") {
      path += path.isEmpty || path.hasSuffix("/") ? String(part) : "/" + part
      guard mkdir(path, 0o700) != 0 else { continue }
      let number = errno
      var info = stat()
      // EEXIST is not the only answer for a folder that is there: a read-only file system answers EROFS, an unwritable parent EACCES.
      if stat(path, &info) == 0 {
        guard info.st_mode & S_IFMT == S_IFDIR else {
          throw OperatorError("file-exists", "\(path) is in the way: it is a file, and a folder is needed; move it or name another folder")
        }
        continue
      }
      throw failed("mkdir", number, path, "make the folder")
    }
  }

  /// Whether something, of any kind, has that name.
  public static func exists(_ path: String) -> Bool {
    var info = stat()
    return lstat(path, &info) == 0
  }

  /// Writes `bytes` as the whole of `path`: to a new file beside it, flushed to the disk, then moved into place in one step.
  ///
  /// - Throws: `file-exists` when `existing` is `.refuse` and the name is taken, also by another process at the same instant; `file-unwritable` otherwise.
  public static func write(_ bytes: [UInt8], to path: String, existing: Existing, mode: UInt32 = 0o600) throws(OperatorError) {
    try write(count: bytes.count, to: path, existing: existing, mode: mode) { descriptor, offset in
      let rest = Array(bytes[offset...])
      return Glibc.write(descriptor, rest, rest.count)
    }
  }

  /// The one way a file comes to be: `writeRest` writes what lies after an offset and says how much it wrote, as `write(2)` does.
  static func write(
    count: Int, to path: String, existing: Existing, mode: UInt32, _ writeRest: (CInt, Int) -> Int
  ) throws(OperatorError) {
    if existing == .refuse, exists(path) { throw taken(path) }
    let temporary = "\(path).\(hexadecimal((0..<8).map { _ in UInt8.random(in: 0...255) })).new"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_t(mode))
    guard descriptor >= 0 else { throw failed("open", errno, temporary, "make a file there") }
    var moved = false
    defer { if !moved { unlink(temporary) } }
    do {
      defer { close(descriptor) }
      // The mode of `open` is narrowed by the process's mask; a public file that was asked for 0644 should get it, and a private one never more.
      guard fchmod(descriptor, mode_t(mode)) == 0 else { throw failed("fchmod", errno, temporary, "set its mode") }
      var offset = 0
      while offset < count {
        let written = writeRest(descriptor, offset)
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { throw failed("write", errno, temporary, "write the file") }
        offset += written
      }
      guard fsync(descriptor) == 0 else { throw failed("fsync", errno, temporary, "flush the file to the disk") }
    }
    switch existing {
    case .refuse:
      // `link` fails when the name is taken; `rename` would replace what is there.
      if link(temporary, path) != 0 {
        switch errno {
        case EEXIST: throw taken(path)
        case EPERM, EOPNOTSUPP: moved = try claim(path, for: temporary)
        default: throw failed("link", errno, path, "make the file")
        }
      }
    case .replace:
      guard rename(temporary, path) == 0 else { throw failed("rename", errno, path, "replace the file") }
      moved = true
    }
    flushFolder(of: path)
  }

  /// Moves `temporary` to a name that nobody has, where there are no hard links (FAT: most memory sticks). The name is taken by an empty file first.
  private static func claim(_ path: String, for temporary: String) throws(OperatorError) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
    guard descriptor >= 0 else { throw errno == EEXIST ? taken(path) : failed("open", errno, path, "make the file") }
    close(descriptor)
    guard rename(temporary, path) == 0 else {
      let number = errno
      unlink(path)
      throw failed("rename", number, path, "make the file")
    }
    return true
  }

  /// Reads the whole of `path`.
  ///
  /// - Parameter isPrivate: refuses a file whose mode lets its group or others read or change it, as a secret's must not.
  /// - Throws: `file-missing`, `file-unreadable`, `file-too-open`, `file-malformed` (no plain file, or too large).
  public static func read(_ path: String, isPrivate: Bool = false, atMost limit_bytes: Int = largestFile_bytes) throws(OperatorError) -> [UInt8] {
    let (descriptor, _) = try openPlain(path, isPrivate: isPrivate)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let got = Glibc.read(descriptor, &buffer, buffer.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw unreadable("read", path) }
      if got == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<got])
      guard bytes.count <= limit_bytes else {
        throw OperatorError("file-malformed", "\(path) is larger than \(limit_bytes) bytes, so it is not what it should be")
      }
    }
  }

  /// Opens a plain file for reading; the caller closes it. The second value is its size in bytes.
  static func openPlain(_ path: String, isPrivate: Bool) throws(OperatorError) -> (descriptor: CInt, size: Int) {
    // A pipe in the file's place must not make the command wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { throw OperatorError("file-missing", "there is no file \(path)") }
      throw unreadable("open", path)
    }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw OperatorError("file-malformed", "\(path) is not a plain file")
    }
    guard !isPrivate || info.st_mode & 0o077 == 0 else {
      close(descriptor)
      let mode = String(info.st_mode & 0o777, radix: 8)
      throw OperatorError("file-too-open", "\(path) holds a secret and its mode 0\(mode) lets others at it; run: chmod 600 \(path)")
    }
    return (descriptor, Int(info.st_size))
  }

  /// `file-unreadable`, with `errno` as `call` left it.
  static func unreadable(_ call: String, _ path: String) -> OperatorError {
    OperatorError("file-unreadable", "\(path) cannot be read", cause: SystemCallError(call, number: errno, subject: path))
  }

  /// The names in `folder`, in order.
  static func names(_ folder: String) throws(OperatorError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
      throw OperatorError("file-unreadable", "the folder \(folder) cannot be listed", cause: error)
    }
  }

  /// Removes the file; one that is not there is no error.
  ///
  /// - Throws: `file-unwritable`.
  static func remove(_ path: String) throws(OperatorError) {
    guard unlink(path) != 0, errno != ENOENT else { return flushFolder(of: path) }
    throw failed("unlink", errno, path, "remove the file")
  }

  /// Runs `body` while no other process runs one under the same lock file; waits for its turn.
  public static func locked<Result>(_ lockFile: String, _ body: () throws(OperatorError) -> Result) throws(OperatorError) -> Result {
    let descriptor = open(lockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
    guard descriptor >= 0 else { throw failed("open", errno, lockFile, "make the lock file") }
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw failed("flock", errno, lockFile, "take the lock") }
    }
    return try body()
  }

  private static func taken(_ path: String) -> OperatorError {
    OperatorError("file-exists", "\(path) is already there and is not overwritten; move it away first, or name another folder")
  }

  private static func failed(_ call: String, _ number: CInt, _ path: String, _ what: String) -> OperatorError {
    OperatorError("file-unwritable", "could not \(what): \(path)", cause: SystemCallError(call, number: number, subject: path))
  }

  /// A name that was just moved survives a power cut only once its folder was flushed. Some file systems cannot, and that is no error.
  private static func flushFolder(of path: String) {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}
