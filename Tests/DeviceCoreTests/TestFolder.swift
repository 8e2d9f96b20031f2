import Glibc

/// A folder of its own for one test, removed with the files in it when the test is done.
final class TestFolder: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/haechi-device-core-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("mkdtemp failed: is /tmp writable?") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(path) }

  private static func remove(_ path: String) {
    guard let folder = opendir(path) else {
      unlink(path)
      return
    }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    closedir(folder)
    for name in names { remove(path + "/" + name) }
    rmdir(path)
  }

  func mode(of name: String) -> mode_t? {
    var status = stat()
    return stat(path + "/" + name, &status) == 0 ? status.st_mode & 0o7777 : nil
  }

  func write(_ text: String, to name: String, mode: mode_t = 0o600) {
    let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, mode)
    precondition(file >= 0, "cannot write \(path)/\(name)")
    let bytes = Array(text.utf8)
    precondition(Glibc.write(file, bytes, bytes.count) == bytes.count, "cannot write \(path)/\(name)")
    close(file)
    chmod(path + "/" + name, mode)
  }

  func read(_ name: String) -> String? {
    let file = open(path + "/" + name, O_RDONLY)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = Glibc.read(file, &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  /// Every file in it, by name.
  func contents() -> [String: String] {
    guard let folder = opendir(path) else { return [:] }
    defer { closedir(folder) }
    var files: [String: String] = [:]
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { files[name] = read(name) }
    }
    return files
  }

  func remove(_ name: String) { unlink(path + "/" + name) }
}
