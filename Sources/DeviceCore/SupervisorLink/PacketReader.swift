internal import Foundations

/// Reads the fields of one packet in order. Total: it refuses what is not there and never traps.
///
/// Integers are in network byte order. A text is one length byte and so many bytes.
struct PacketReader {
  private let bytes: [UInt8]
  private var next = 2  // after version and kind

  /// - Parameter bytes: a whole packet.
  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func byte(_ field: StaticString) throws(LinkError) -> UInt8 {
    guard bytes.indices.contains(next) else { throw LinkError("packet-field", "\(field): the packet ends before it") }
    defer { next += 1 }
    return bytes[next]
  }

  mutating func bool(_ field: StaticString) throws(LinkError) -> Bool {
    switch try byte(field) {
    case 0: return false
    case 1: return true
    case let other: throw LinkError("packet-field", "\(field): \(other) is neither 0 nor 1")
    }
  }

  mutating func uint16(_ field: StaticString) throws(LinkError) -> UInt16 { UInt16(try byte(field)) << 8 | UInt16(try byte(field)) }

  mutating func uint32(_ field: StaticString) throws(LinkError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 { value = value << 8 | UInt32(try byte(field)) }
    return value
  }

  mutating func uint64(_ field: StaticString) throws(LinkError) -> UInt64 {
    var value: UInt64 = 0
    for _ in 0..<8 { value = value << 8 | UInt64(try byte(field)) }
    return value
  }

  /// A length byte, at most `maximum`, and so many bytes.
  mutating func bytes(_ field: StaticString, maximum: Int) throws(LinkError) -> [UInt8] {
    let count = Int(try byte(field))
    guard count <= maximum else { throw LinkError("packet-field", "\(field): \(count) bytes, of which \(maximum) are allowed") }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    for _ in 0..<count { result.append(try byte(field)) }
    return result
  }

  /// Exactly `count` bytes, without a length before them.
  mutating func fixed(_ field: StaticString, count: Int) throws(LinkError) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    for _ in 0..<count { result.append(try byte(field)) }
    return result
  }

  /// A length of two bytes, at most `maximum`, and so many bytes.
  mutating func longBytes(_ field: StaticString, maximum: Int) throws(LinkError) -> [UInt8] {
    let count = Int(try byte(field)) << 8 | Int(try byte(field))
    guard count <= maximum else { throw LinkError("packet-field", "\(field): \(count) bytes, of which \(maximum) are allowed") }
    return try fixed(field, count: count)
  }

  /// A length byte, 4 or 16, and so many bytes.
  mutating func address(_ field: StaticString) throws(LinkError) -> NetworkAddress {
    guard let address = NetworkAddress(bytes: try bytes(field, maximum: 16)) else {
      throw LinkError("packet-field", "\(field): neither 4 nor 16 bytes")
    }
    return address
  }

  /// A count of at most `DestinationReport.maximumAddresses`, and so many addresses.
  mutating func addresses(_ field: StaticString) throws(LinkError) -> [NetworkAddress] {
    let count = try byte(field)
    guard count <= DestinationReport.maximumAddresses else {
      throw LinkError("packet-field", "\(field): \(count), of which \(DestinationReport.maximumAddresses) are allowed")
    }
    var result: [NetworkAddress] = []
    for _ in 0..<count { result.append(try address(field)) }
    return result
  }

  /// A text in UTF-8 without repair: what is not valid is refused.
  mutating func text(_ field: StaticString, maximum: Int) throws(LinkError) -> String {
    let bytes = try bytes(field, maximum: maximum)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw LinkError("packet-field", "\(field): not UTF-8") }
    return text
  }

  mutating func name(_ field: StaticString) throws(LinkError) -> ShortName {
    guard let name = ShortName(try text(field, maximum: ShortName.maximumBytes)) else {
      throw LinkError("packet-field", "\(field): not 1 to \(ShortName.maximumBytes) bytes of printable ASCII without spaces")
    }
    return name
  }

  /// One byte that is one of an enum's numbers.
  mutating func choice<Choice: RawRepresentable>(_ field: StaticString, _: Choice.Type) throws(LinkError) -> Choice
  where Choice.RawValue == UInt8 {
    let number = try byte(field)
    guard let choice = Choice(rawValue: number) else { throw LinkError("packet-field", "\(field): \(number) is unknown") }
    return choice
  }

  /// Everything after the last field must be zero: there is one form for each message, and no room to smuggle.
  func end() throws(LinkError) {
    guard let stray = bytes.indices.dropFirst(next).first(where: { bytes[$0] != 0 }) else { return }
    throw LinkError("packet-padding", "byte \(stray) after the last field is not zero")
  }
}
