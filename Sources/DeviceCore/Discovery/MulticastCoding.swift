internal import Foundations

// The binary form. Names are read with compression and written without: what this device says has some 300 bytes.

extension MulticastMessage {
  private static let classIN: UInt16 = 1
  private static let classAny: UInt16 = 255
  /// Of a question's class: unicast is wanted. Of a record's: it is unique.
  private static let highBit: UInt16 = 0x8000
  private static let response: UInt16 = 0x8000
  private static let authoritative: UInt16 = 0x0400
  private static let truncated: UInt16 = 0x0200
  /// Operation code and response code: both are 0, or the message is ignored (RFC 6762 section 18.3 and 18.11).
  private static let codes: UInt16 = 0x780f

  public var encoded: [UInt8] {
    let flags = (isResponse ? Self.response | Self.authoritative : 0) | (isTruncated ? Self.truncated : 0)
    var bytes = bigEndian(0) + bigEndian(flags)
    for count in [questions.count, answers.count, authorities.count, additionals.count] { bytes += bigEndian(UInt16(clamping: count)) }
    for question in questions {
      bytes += question.name.encoded + bigEndian(question.type) + bigEndian(Self.classIN | (question.wantsUnicast ? Self.highBit : 0))
    }
    for record in records {
      let data = record.data
      bytes += record.name.encoded + bigEndian(record.type) + bigEndian(Self.classIN | (record.isUnique ? Self.highBit : 0))
      bytes += bigEndian(UInt16(truncatingIfNeeded: record.lifetime_s >> 16)) + bigEndian(UInt16(truncatingIfNeeded: record.lifetime_s))
      bytes += bigEndian(UInt16(clamping: data.count)) + data
    }
    return bytes
  }

  /// The message in a datagram. Total: whatever the bytes are, it returns a message or throws. Questions and records of other classes are left out.
  public init(encoded bytes: [UInt8]) throws(DiscoveryError) {
    guard (12...Self.maximum_bytes).contains(bytes.count) else {
      throw DiscoveryError("message-size", "\(bytes.count) bytes, where a message has 12 to \(Self.maximum_bytes)")
    }
    var reader = MessageReader(bytes)
    // The identifier means nothing here.
    _ = try reader.number("identifier")
    let flags = try reader.number("flags")
    guard flags & Self.codes == 0 else { throw DiscoveryError("message-kind", "neither a query nor a response: flags \(flags)") }
    self.init(isResponse: flags & Self.response != 0)
    isTruncated = flags & Self.truncated != 0
    var counts: [Int] = []
    for _ in 0..<4 { counts.append(Int(try reader.number("count"))) }
    guard counts.reduce(0, +) <= Self.maximumEntries else {
      throw DiscoveryError("message-size", "\(counts.reduce(0, +)) questions and records, of which \(Self.maximumEntries) are read")
    }
    for _ in 0..<counts[0] {
      let name = try reader.name()
      let type = try reader.number("type")
      let kind = try reader.number("class")
      guard kind & ~Self.highBit == Self.classIN || kind & ~Self.highBit == Self.classAny else { continue }
      questions.append(MulticastQuestion(name, type, wantsUnicast: kind & Self.highBit != 0))
    }
    answers = try Self.records(counts[1], &reader)
    authorities = try Self.records(counts[2], &reader)
    additionals = try Self.records(counts[3], &reader)
    guard reader.isAtEnd else { throw DiscoveryError("message-size", "bytes are left after the last record") }
  }

  private static func records(_ count: Int, _ reader: inout MessageReader) throws(DiscoveryError) -> [ResourceRecord] {
    var records: [ResourceRecord] = []
    for _ in 0..<count {
      let name = try reader.name()
      let type = try reader.number("type")
      let kind = try reader.number("class")
      let lifetime_s = UInt32(try reader.number("lifetime")) << 16 | UInt32(try reader.number("lifetime"))
      let content = try content(type, &reader)
      guard kind & ~highBit == classIN else { continue }
      records.append(ResourceRecord(name, content, lifetime_s: lifetime_s, isUnique: kind & highBit != 0))
    }
    return records
  }

  private static func content(_ type: UInt16, _ reader: inout MessageReader) throws(DiscoveryError) -> ResourceRecord.Content {
    let length = Int(try reader.number("length"))
    let end = reader.index + length
    guard end <= reader.count else { throw DiscoveryError("message-field", "a record's data is longer than the message") }
    let content: ResourceRecord.Content
    switch type {
    case RecordType.a, RecordType.aaaa:
      guard length == (type == RecordType.a ? 4 : 16), let address = NetworkAddress(bytes: try reader.take(length, "address")) else {
        throw DiscoveryError("message-field", "an address of \(length) bytes")
      }
      content = .address(address)
    case RecordType.ptr: content = .pointer(try reader.name())
    case RecordType.srv:
      content = .service(
        priority: try reader.number("priority"), weight: try reader.number("weight"), port: try reader.number("port"), target: try reader.name())
    default: content = .other(type: type, try reader.take(length, "data"))
    }
    guard reader.index == end else { throw DiscoveryError("message-field", "a record's data has not the length that it says") }
    return content
  }
}

/// The bytes of a message, from the first to the last.
private struct MessageReader {
  private let bytes: [UInt8]
  private(set) var index = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var count: Int { bytes.count }
  var isAtEnd: Bool { index == bytes.count }

  mutating func take(_ count: Int, _ field: StaticString) throws(DiscoveryError) -> [UInt8] {
    guard count <= bytes.count - index else { throw DiscoveryError("message-field", "\(field): the message ends in it") }
    defer { index += count }
    return Array(bytes[index..<index + count])
  }

  mutating func number(_ field: StaticString) throws(DiscoveryError) -> UInt16 {
    let two = try take(2, field)
    return UInt16(two[0]) << 8 | UInt16(two[1])
  }

  /// A name, whose pointers (RFC 1035 section 4.1.4) each lead to before where the part that they end began: so there is no circle.
  mutating func name() throws(DiscoveryError) -> DomainName {
    var labels: [[UInt8]] = []
    var size = 1
    var start = index
    var at = index
    var end: Int?
    while true {
      guard at < bytes.count else { throw DiscoveryError("message-name", "the message ends in a name") }
      let length = Int(bytes[at])
      switch length >> 6 {
      case 0:
        guard length > 0 else {
          index = end ?? at + 1
          guard let name = DomainName(labels: labels) else { throw DiscoveryError("message-name", "a name is longer than it may be") }
          return name
        }
        guard at + 1 + length <= bytes.count else { throw DiscoveryError("message-name", "the message ends in a label") }
        size += 1 + length
        guard size <= DomainName.maximum_bytes else { throw DiscoveryError("message-name", "a name is longer than it may be") }
        labels.append(Array(bytes[at + 1..<at + 1 + length]))
        at += 1 + length
      case 3:
        guard at + 1 < bytes.count else { throw DiscoveryError("message-name", "the message ends in a pointer") }
        let target = (length & 0x3f) << 8 | Int(bytes[at + 1])
        guard target < start else { throw DiscoveryError("message-name", "a pointer that does not lead back") }
        end = end ?? at + 2
        start = target
        at = target
      default: throw DiscoveryError("message-name", "a label of a kind that does not exist")
      }
    }
  }
}
