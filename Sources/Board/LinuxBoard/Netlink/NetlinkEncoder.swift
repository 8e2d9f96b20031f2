#if _endian(big)
  #error("netlink speaks the machine's byte order; this encoder and its parser write little-endian only")
#endif

/// Writes one netlink message: a header (struct nlmsghdr), a fixed part that depends on the type, and attributes (struct nlattr), each
/// aligned to 4 bytes (Documentation/userspace-api/netlink/intro.rst).
struct NetlinkEncoder {
  /// What the header says about a message (NLM_F_…).
  struct Flags: OptionSet {
    let rawValue: UInt16
    static let request = Flags(rawValue: 0x001)
    static let acknowledge = Flags(rawValue: 0x004)
    /// Of a GET: all there are (NLM_F_ROOT | NLM_F_MATCH).
    static let dump = Flags(rawValue: 0x300)
    /// Of a NEW: take the place of an existing one, and where there is none, make one.
    static let replace = Flags(rawValue: 0x100)
    static let exclusive = Flags(rawValue: 0x200)
    static let create = Flags(rawValue: 0x400)
  }

  private var bytes: [UInt8]

  init(type: UInt16, flags: Flags) {
    // nlmsg_len and nlmsg_seq are filled in by `message(sequence:)`; nlmsg_pid 0: to the kernel.
    bytes = [UInt8](repeating: 0, count: 16)
    set(type, at: 4)
    set(flags.rawValue, at: 6)
  }

  private mutating func set<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number, at offset: Int) {
    for (index, byte) in Self.littleEndian(value).enumerated() { bytes[offset + index] = byte }
  }

  static func littleEndian<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number) -> [UInt8] {
    (0..<(Number.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  /// An IPv4 address goes over netlink as over the wire: most significant byte first.
  static func networkOrder(_ address: UInt32) -> [UInt8] { littleEndian(address.byteSwapped) }

  /// Appends to the fixed part.
  mutating func append<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number) { bytes += Self.littleEndian(value) }

  /// Appends an attribute: length (2 bytes, without the padding), type (2 bytes), value, padding to 4 bytes.
  mutating func append(attribute type: UInt16, _ value: [UInt8]) {
    precondition(value.count <= 0xfff0, "an attribute's length has 16 bits")
    bytes += Self.littleEndian(UInt16(value.count + 4)) + Self.littleEndian(type) + value
    bytes += [UInt8](repeating: 0, count: -bytes.count & 3)
  }

  /// Appends an attribute that holds text with its closing zero.
  mutating func append(attribute type: UInt16, text: String) { append(attribute: type, Array(text.utf8) + [0]) }

  /// The complete message. `sequence` comes back in every answer.
  func message(sequence: UInt32) -> [UInt8] {
    var complete = self
    complete.set(UInt32(bytes.count), at: 0)
    complete.set(sequence, at: 8)
    return complete.bytes
  }
}
