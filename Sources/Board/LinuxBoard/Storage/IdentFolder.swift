internal import BoardAPI
internal import Foundations
internal import Glibc

/// The runtime's folder of what survives a wipe, as a worker reads and fills it. The runtime writes there, so nothing in it is trusted.
struct IdentFolder {
  let path: String
  /// Whose its files are; nil leaves them this process's.
  let user: (uid: UInt32, gid: UInt32)?

  /// What AtomicFile writes to before it renames.
  private static let incoming = ".new"
  /// The folder lies in memory, with room for fewer.
  private static let maximumEntries = 4_096

  /// What lies there now.
  struct Found: Equatable {
    /// In one order, so that the same folder gives the same record.
    var files: [IdentFile] = []
    /// Declared ones that cannot be kept, and why.
    var refused: [IdentityFile: String] = [:]
    var undeclared = UndeclaredFiles.none
  }

  /// Reads the declared files, and counts the others.
  func read(_ declared: [IdentityFile]) throws(BoardError) -> Found {
    let folder = try openFolder()
    var found = Found()
    for file in declared.sorted(by: { $0.name < $1.name }) {
      do throws(BoardError) {
        if let content = try readFile(file.name, in: folder.number, maximum_bytes: file.maximum_bytes) {
          found.files.append(IdentFile(name: file.name, content: content))
        }
      } catch {
        found.refused[file] = error.reason
      }
    }
    let names = Set(declared.flatMap { [$0.name, $0.name + Self.incoming] } + [".", ".."])
    found.undeclared = try others(than: names, in: folder.number)
    return found
  }

  private func others(than names: Set<String>, in folder: CInt) throws(BoardError) -> UndeclaredFiles {
    let copy = dup(folder)
    guard let listing = fdopendir(copy) else {
      let fault = errno
      close(copy)
      throw .system(code: "identity-refused", call: "fdopendir", subject: path, number: fault)
    }
    defer { closedir(listing) }
    var others: [String] = []
    var seen = 0
    while seen < Self.maximumEntries, let entry = readdir(listing) {
      seen += 1
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if !names.contains(name) { others.append(name) }
    }
    let example = (others.min() ?? "").unicodeScalars.prefix(IdentFile.nameMaximum_bytes).map { (0x21...0x7e).contains($0.value) ? Character($0) : "?" }
    return UndeclaredFiles(count: others.count, example: String(example))
  }

  /// Puts files into it, which is empty: mode 0600, the user's own. What another firmware kept and this one does not declare stays out.
  func fill(_ files: [IdentFile]) throws(BoardError) {
    let folder = try openFolder()
    for file in files where file.isDeclared {
      let number = openat(folder.number, file.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      guard number >= 0 else { throw failure("open", file.name) }
      let opened = OwnedDescriptor(adopting: number)
      guard file.content.isEmpty || Glibc.write(opened.number, file.content, file.content.count) == file.content.count else {
        throw failure("write", file.name)
      }
      if let user, fchown(opened.number, user.uid, user.gid) != 0 { throw failure("chown", file.name) }
    }
  }

  private func openFolder() throws(BoardError) -> OwnedDescriptor {
    let number = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard number >= 0 else { throw .system(code: "identity-refused", call: "open", subject: path, number: errno) }
    return OwnedDescriptor(adopting: number)
  }

  /// nil where there is no such file.
  private func readFile(_ name: String, in folder: CInt, maximum_bytes: Int) throws(BoardError) -> [UInt8]? {
    // A pipe would keep a reader waiting, and a link lead elsewhere.
    let number = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard number >= 0 else {
      if errno == ENOENT { return nil }
      throw failure("open", name)
    }
    let opened = OwnedDescriptor(adopting: number)
    var facts = stat()
    guard fstat(opened.number, &facts) == 0 else { throw failure("fstat", name) }
    guard facts.st_mode & S_IFMT == S_IFREG else { throw BoardError(code: "identity-refused", reason: "\(path)/\(name) is no regular file") }
    // It may grow meanwhile: one byte more than allowed is asked for.
    var content = [UInt8](repeating: 0, count: maximum_bytes + 1)
    var filled = 0
    while filled < content.count {
      let taken = content.withUnsafeMutableBytes { Glibc.read(opened.number, $0.baseAddress.map { $0 + filled }, $0.count - filled) }
      if taken < 0, errno == EINTR { continue }
      guard taken >= 0 else { throw failure("read", name) }
      if taken == 0 { break }
      filled += taken
    }
    guard filled <= maximum_bytes else {
      throw BoardError(code: "identity-refused", reason: "\(path)/\(name) has more than the \(maximum_bytes) bytes that such a file may have")
    }
    return Array(content.prefix(filled))
  }

  private func failure(_ call: String, _ name: String) -> BoardError {
    .system(code: "identity-refused", call: call, subject: "\(path)/\(name)", number: errno)
  }
}
