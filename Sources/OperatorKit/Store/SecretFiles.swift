internal import Foundations
internal import Glibc

/// Private keys in files: read and written without a copy that nobody erases.
extension PrivateFiles {
  /// A private key's file is below 1 KiB.
  static let largestSecret_bytes = 16 * 1024

  /// Writes `secret` to the new file `path`, readable by its owner alone.
  static func write(secret: SecretBytes, to path: String, existing: Existing) throws(OperatorError) {
    try write(count: secret.count, to: path, existing: existing, mode: 0o600) { descriptor, offset in
      secret.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, $0.count - offset) }
    }
  }

  /// Reads a private key; refuses a file that others can read.
  static func readSecret(_ path: String) throws(OperatorError) -> SecretBytes {
    let (descriptor, size) = try openPlain(path, isPrivate: true)
    defer { close(descriptor) }
    guard size <= largestSecret_bytes else {
      throw OperatorError("file-malformed", "\(path) is larger than \(largestSecret_bytes) bytes, so it is no private key")
    }
    return try SecretBytes(capacity: size) { (buffer) throws(OperatorError) in
      var filled = 0
      while filled < size {
        let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, size - filled)
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw unreadable("read", path) }
        if got == 0 { break }
        filled += got
      }
      return filled
    }
  }
}
