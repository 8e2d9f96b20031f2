internal import Foundations
internal import Glibc

/// The files of a log in a folder: `state` (its worker's alone), `anchor` and one `N.segment` each (the runtime may read them where the folder lets it).
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
    try AtomicFile.replace(file(name), with: bytes)
    guard chmod(file(name), 0o644) == 0 else { throw SystemCallError("chmod", number: errno, subject: file(name)) }
  }

  func replace(_ name: String, with secret: SecretBytes) throws(SystemCallError) { try AtomicFile.replace(file(name), with: secret) }

  func remove(_ name: String) throws(SystemCallError) {
    guard unlink(file(name)) == 0 || errno == ENOENT else { throw SystemCallError("unlink", number: errno, subject: file(name)) }
  }

  private func syncFolder() throws(SystemCallError) {
    let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: path) }
    defer { close(number) }
    guard fsync(number) == 0 else { throw SystemCallError("fsync", number: errno, subject: path) }
  }
}
