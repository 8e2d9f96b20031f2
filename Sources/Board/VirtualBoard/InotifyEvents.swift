internal import CHaechi
internal import Glibc

/// The packed events that read(2) gives from an inotify descriptor: wd (4 bytes), mask (4), cookie (4), length of the name (4), the
/// name, padded with zeros (inotify(7), “Reading events from an inotify file descriptor”).
enum InotifyEvents {
  private static let header_bytes = 16

  /// The names in the events; nil where the kernel dropped some (IN_Q_OVERFLOW) or the bytes are not such events.
  static func names(in bytes: some Collection<UInt8>) -> [String]? {
    let bytes = Array(bytes)
    var names: [String] = []
    var offset = 0
    while offset < bytes.count {
      guard bytes.count - offset >= header_bytes else { return nil }
      let mask = word(bytes, offset + 4)
      let length = Int(word(bytes, offset + 12))
      guard length <= bytes.count - offset - header_bytes, mask & UInt32(IN_Q_OVERFLOW) == 0 else { return nil }
      let name = bytes[(offset + header_bytes)..<(offset + header_bytes + length)].prefix { $0 != 0 }
      if !name.isEmpty { names.append(String(decoding: name, as: UTF8.self)) }
      offset += header_bytes + length
    }
    return names
  }

  /// A 32-bit number in the machine's byte order.
  private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
  }
}
