internal import Foundations

/// Writes the fields of one packet in order; the mirror of `PacketReader`.
struct PacketWriter {
  private var bytes: [UInt8] = []
  private let size: Int

  init(kind: UInt8) {
    size = SupervisorPacket.size(ofKind: kind)
    bytes.reserveCapacity(size)
    bytes = [SupervisorPacket.version, kind]
  }

  mutating func byte(_ value: UInt8) { bytes.append(value) }
  mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }

  mutating func uint16(_ value: UInt16) {
    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  mutating func uint32(_ value: UInt32) {
    for shift in stride(from: UInt32(24), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  mutating func uint64(_ value: UInt64) {
    for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  mutating func bytes(_ value: some Collection<UInt8>, maximum: Int) {
    let kept = value.prefix(min(maximum, 255))
    bytes.append(UInt8(truncatingIfNeeded: kept.count))
    bytes.append(contentsOf: kept)
  }

  /// Without a length before them: the reader knows how many.
  mutating func fixed(_ value: some Collection<UInt8>) { bytes.append(contentsOf: value) }

  /// With a length of two bytes.
  mutating func longBytes(_ value: some Collection<UInt8>, maximum: Int) {
    let kept = value.prefix(min(maximum, Int(UInt16.max)))
    bytes.append(UInt8(truncatingIfNeeded: kept.count >> 8))
    bytes.append(UInt8(truncatingIfNeeded: kept.count))
    bytes.append(contentsOf: kept)
  }

  mutating func addresses(_ value: [NetworkAddress]) {
    let kept = value.prefix(DestinationReport.maximumAddresses)
    bytes.append(UInt8(truncatingIfNeeded: kept.count))
    for address in kept { bytes(address.bytes, maximum: 16) }
  }

  /// A longer text is cut before the first Unicode scalar that does not fit whole.
  mutating func text(_ value: String, maximum: Int) { bytes(Array(SupervisorPacket.cut(value, to: maximum).utf8), maximum: maximum) }
  mutating func name(_ value: ShortName) { bytes(Array(value.text.utf8), maximum: ShortName.maximumBytes) }

  /// The packet, filled up with zeros.
  func packet() -> [UInt8] {
    // Every message fits: the longest fields of each kind are summed in SupervisorPacketTests. The prefix keeps the size fixed whatever happens.
    Array((bytes + [UInt8](repeating: 0, count: size)).prefix(size))
  }
}
