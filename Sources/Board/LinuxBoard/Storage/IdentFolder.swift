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

  /// Every file. Throws, naming it, at anything that is no regular file, has a name of another form, or is too large.
  func read() throws(BoardError) -> [IdentFile] {
    let folder = try openFolder()
    guard let listing = fdopendir(dup(folder.number)) else { throw .system(code: "identity-refused", call: "fdopendir", subject: path, number: errno) }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name == "." || name == ".." || name.hasSuffix(Self.incoming) { continue }
      guard IdentFile.isName(name), names.count < IdentContent.maximumFiles else {
        throw BoardError(code: "identity-refused", reason: "\(path): a file's name is not plain, or there are more than \(IdentContent.maximumFiles)")
      }
      names.append(name)
    }
    var files: [IdentFile] = []
    var left_bytes = IdentContent.filesMaximum_bytes
    // In one order, so that the same folder gives the same record.
    for name in names.sorted() {
      let content = try readFile(name, in: folder.number, maximum_bytes: left_bytes)
      left_bytes -= content.count
      files.append(IdentFile(name: name, content: content))
    }
    return files
  }

  /// Puts files into it, which is empty: mode 0600, the user's own.
  func fill(_ files: [IdentFile]) throws(BoardError) {
    let folder = try openFolder()
    for file in files {
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

  private func readFile(_ name: String, in folder: CInt, maximum_bytes: Int) throws(BoardError) -> [UInt8] {
    // A pipe would keep a reader waiting, and a link lead elsewhere.
    let number = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard number >= 0 else { throw failure("open", name) }
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
      throw BoardError(code: "identity-too-large", reason: "\(path)/\(name): the files are more than \(IdentContent.filesMaximum_bytes) bytes in all")
    }
    return Array(content.prefix(filled))
  }

  private func failure(_ call: String, _ name: String) -> BoardError {
    .system(code: "identity-refused", call: call, subject: "\(path)/\(name)", number: errno)
  }
}
