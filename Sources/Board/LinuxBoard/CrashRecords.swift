internal import BoardAPI
internal import Foundations
internal import Glibc

/// What a kernel that crashed left with the firmware (pstore; Documentation/admin-guide/pstore-blk.rst and ABI/testing/pstore of the kernel): the one place
/// outside the encrypted volume where something of a running device lies.
struct CrashRecords {
  let folder: String

  /// A record of the firmware's variables has 1 to 2 KiB; a driver of memory has what its region has.
  private static let maximum_bytes = 64 * 1024
  private static let maximumRecords = 256
  /// What the kernel says of its end; the rest of a record may name processes and addresses, and is not kept anywhere.
  private static let verdicts = ["Kernel panic - not syncing: ", "Internal error: ", "kernel BUG at ", "Unable to handle kernel "]
  private static let sentence_bytes = 96

  /// Removes every record, and returns what they say: each sentence once, and one for what says nothing that is known.
  ///
  /// - Throws: `crash-records-failed` where the folder cannot be read. One that cannot be removed is a sentence too, at each boot.
  func take() throws(BoardError) -> [String] {
    guard let stream = opendir(folder) else {
      if errno == ENOENT { return [] }
      throw failure("opendir", folder)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while names.count < Self.maximumRecords, let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    var sentences: [String] = []
    for name in names.sorted() {
      let path = folder + "/" + name
      let sentence = Self.sentence(in: read(path))
      if unlink(path) != 0, errno != ENOENT { sentences.append(failure("unlink", path).description) }
      if let sentence, !sentences.contains(sentence) { sentences.append(sentence) }
    }
    return sentences.isEmpty && !names.isEmpty ? ["it does not say why"] : sentences
  }

  /// The kernel's verdict in a record, printable ASCII only; nil where it has none.
  static func sentence(in record: [UInt8]) -> String? {
    for line in record.split(separator: UInt8(ascii: "\n")) {
      let text = String(decoding: line.lazy.filter { (0x20...0x7e).contains($0) }, as: UTF8.self)
      for verdict in verdicts {
        if let begin = text.firstRange(of: verdict)?.lowerBound { return String(text[begin...].prefix(sentence_bytes)) }
      }
    }
    return nil
  }

  /// As much as there is and can be read: a record that cannot be read still counts, and goes.
  private func read(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: Self.maximum_bytes)
    let count = Glibc.read(file, &bytes, bytes.count)
    return Array(bytes.prefix(max(count, 0)))
  }

  private func failure(_ call: String, _ path: String) -> BoardError {
    .system(code: "crash-records-failed", call: call, subject: path, number: errno)
  }
}
