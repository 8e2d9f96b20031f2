public import Foundations

/// A stretch of the log, one file: `haechi-audit-segment-1`, a zero byte, device id (10), first sequence number (8), the chain's value before it (32),
/// then records, each with a length of two bytes before it and its code of 32 bytes after its body.
public struct AuditSegment: Sendable, Equatable {
  static let magic = Array("haechi-audit-segment-1".utf8) + [0]
  static let head_bytes = magic.count + 10 + 8 + 32

  public let device: DeviceIdentifier
  public let firstSequence: UInt64
  let previous: [UInt8]

  struct Entry: Equatable {
    let record: AuditRecord
    let mac: [UInt8]
  }

  var head: [UInt8] { Self.magic + (bytes(hexadecimal: device.text) ?? []) + bigEndian(firstSequence) + previous }

  init(device: DeviceIdentifier, firstSequence: UInt64, previous: [UInt8]) {
    self.device = device
    self.firstSequence = firstSequence
    self.previous = previous
  }

  init?(head: ArraySlice<UInt8>) {
    guard head.count == Self.head_bytes, head.starts(with: Self.magic) else { return nil }
    var rest = head.dropFirst(Self.magic.count)
    guard let device = DeviceIdentifier(hexadecimal(rest.prefix(10))) else { return nil }
    rest = rest.dropFirst(10)
    guard let first = takeNumber(&rest), first > 0 else { return nil }
    self.init(device: device, firstSequence: first, previous: Array(rest))
  }

  static func encode(_ entry: Entry) -> [UInt8] {
    let body = entry.record.body
    let length = body.count + AuditRecord.mac_bytes
    return [UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)] + body + entry.mac
  }

  /// The entries of a file's bytes after the head, and how many bytes they are: what follows is the torn end of a write, or damage.
  static func entries(_ content: ArraySlice<UInt8>) -> (entries: [Entry], length_bytes: Int) {
    var rest = content
    var entries: [Entry] = []
    while rest.count >= 2 {
      let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
      guard length > AuditRecord.mac_bytes, length + 2 <= AuditRecord.maximum_bytes, rest.count >= length + 2 else { break }
      let whole = rest.dropFirst(2).prefix(length)
      guard let record = AuditRecord(body: whole.dropLast(AuditRecord.mac_bytes)) else { break }
      entries.append(Entry(record: record, mac: Array(whole.suffix(AuditRecord.mac_bytes))))
      rest = rest.dropFirst(length + 2)
    }
    return (entries, content.count - rest.count)
  }
}
