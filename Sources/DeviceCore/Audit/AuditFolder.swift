internal import CHaechi
internal import Foundations
internal import Glibc

/// The files of a log in a folder: `state` (its worker's alone), `anchor` and one `N.segment` each (the runtime may read them where the folder lets it).
///
/// Who fills the file system may take the last of its files too, and a worker with room in reserve still has no file to write to. So the log makes none once
/// it runs: what is replaced changes places with an empty file (`NAME.new`) that stays for the next time, and the file of a segment that goes is kept
/// for another (`N.spare`). The two never mix, since the runtime may hold a segment open, and would read what comes there.
struct AuditFolder: AuditStorage {
  let path: String

  private func file(_ name: String) -> String { path + "/" + name }

  func names() throws(SystemCallError) -> [String] {
    guard let folder = opendir(path) else { throw SystemCallError("opendir", number: errno, subject: path) }
    defer { closedir(folder) }
    var names: [String] = []
    // The name is NUL-terminated within its array (readdir(3)).
    while let entry = readdir(folder) { names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }) }
    return names
  }

  func read(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8]? {
    let file = file(name)
    let number = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard number >= 0 else {
      if errno == ENOENT { return nil }
      throw SystemCallError("open", number: errno, subject: file)
    }
    defer { close(number) }
    var content = [UInt8](repeating: 0, count: maximum_bytes)
    var filled = 0
    while filled < content.count {
      let count = content.withUnsafeMutableBytes { Glibc.read(number, $0.baseAddress.map { $0 + filled }, $0.count - filled) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw SystemCallError("read", number: errno, subject: file) }
      if count == 0 { break }
      filled += count
    }
    return Array(content.prefix(filled))
  }

  func readSecret(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> SecretBytes? {
    try AtomicFile.readSecret(file(name), maximum_bytes: maximum_bytes)
  }

  func write(_ name: String, _ bytes: [UInt8], at offset: Int, isNew: Bool) throws(SystemCallError) {
    let file = file(name)
    if isNew { try takeSpare(as: file) }
    let number = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (isNew ? O_CREAT | O_TRUNC : 0), 0o644)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: file) }
    defer { close(number) }
    guard ftruncate(number, off_t(offset)) == 0 else { throw SystemCallError("ftruncate", number: errno, subject: file) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { pwrite(number, $0.baseAddress.map { $0 + written }, $0.count - written, off_t(offset + written)) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw SystemCallError("pwrite", number: count == 0 ? ENOSPC : errno, subject: file) }
      written += count
    }
    guard fsync(number) == 0 else { throw SystemCallError("fsync", number: errno, subject: file) }
    if isNew { try syncFolder() }
  }

  func replace(_ name: String, with bytes: [UInt8]) throws(SystemCallError) {
    try exchange(file(name), mode: 0o644) { Glibc.write($0, bytes, bytes.count) == bytes.count }
  }

  func replace(_ name: String, with secret: SecretBytes) throws(SystemCallError) {
    try exchange(file(name), mode: 0o600) { number in secret.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) == $0.count } }
  }

  /// Fills the empty file beside it, has the two change places, and empties what was there before.
  private func exchange(_ file: String, mode: mode_t, _ fill: (CInt) -> Bool) throws(SystemCallError) {
    let incoming = file + Self.incoming
    let number = open(incoming, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: incoming) }
    defer { close(number) }
    guard fchmod(number, mode) == 0 else { throw SystemCallError("chmod", number: errno, subject: incoming) }
    errno = 0
    // A short write leaves errno alone: the medium is full.
    guard fill(number), fsync(number) == 0 else { throw SystemCallError("write", number: errno == 0 ? ENOSPC : errno, subject: incoming) }
    if haechi_exchange_files(incoming, file) == 0 {
      // What was there before may go only when it is certain that it has the other name.
      try syncFolder()
      guard truncate(incoming, 0) == 0 else { throw SystemCallError("truncate", number: errno, subject: incoming) }
    } else {
      guard errno == ENOENT else { throw SystemCallError("renameat2", number: errno, subject: incoming) }
      guard rename(incoming, file) == 0 else { throw SystemCallError("rename", number: errno, subject: incoming) }
      let next = open(incoming, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode)
      guard next >= 0 else { throw SystemCallError("open", number: errno, subject: incoming) }
      close(next)
      try syncFolder()
    }
  }

  private static let incoming = ".new"
  private static let segment = ".segment"
  private static let spare = ".spare"

  func reserve(_ count: Int) throws(SystemCallError) {
    for index in 0..<count {
      let file = file("\(index)\(Self.spare)")
      let number = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
      guard number >= 0 else { throw SystemCallError("open", number: errno, subject: file) }
      close(number)
    }
    try syncFolder()
  }

  /// A spare file has the name `file` from now on, where there is one and there is no such file yet.
  private func takeSpare(as file: String) throws(SystemCallError) {
    var facts = stat()
    guard lstat(file, &facts) != 0, let name = try names().first(where: { $0.hasSuffix(Self.spare) }) else { return }
    let spare = self.file(name)
    // Empty already, but for a cut.
    guard truncate(spare, 0) == 0 else { throw SystemCallError("truncate", number: errno, subject: spare) }
    guard rename(spare, file) == 0 else { throw SystemCallError("rename", number: errno, subject: spare) }
  }

  func remove(_ name: String) throws(SystemCallError) {
    guard name.hasSuffix(Self.segment) else {
      guard unlink(file(name)) == 0 || errno == ENOENT else { throw SystemCallError("unlink", number: errno, subject: file(name)) }
      return
    }
    let spare = file(name.dropLast(Self.segment.count) + Self.spare)
    guard rename(file(name), spare) == 0 else {
      if errno == ENOENT { return }
      throw SystemCallError("rename", number: errno, subject: file(name))
    }
    guard truncate(spare, 0) == 0 else { throw SystemCallError("truncate", number: errno, subject: spare) }
  }

  private func syncFolder() throws(SystemCallError) {
    let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: path) }
    defer { close(number) }
    guard fsync(number) == 0 else { throw SystemCallError("fsync", number: errno, subject: path) }
  }
}
