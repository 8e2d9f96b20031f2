public import Foundations

/// Why bytes are no DHCP message. `code` is always `dhcp-message-malformed`.
public struct DHCPMessageError: HaechiError, Hashable {
  public let reason: String
  public var code: String { "dhcp-message-malformed" }
  public var cause: (any Error)? { nil }
}

extension DHCPMessage {
  /// The longest message that is read or asked for (option 57): the UDP payload of one Ethernet frame, 1500 - 20 - 8 bytes.
  /// RFC 2132 section 9.10 does not say whether headers count; this number is safe under both readings.
  public static let maximumBytes = 1472
  /// Up to the end of the magic cookie.
  static let headerBytes = 240
  /// RFC 1542 section 2.1: relays may drop anything shorter.
  static let minimumSentBytes = 300
  static let magicCookie: [UInt8] = [99, 130, 83, 99]

  // Offsets of RFC 2131 figure 1.
  private static let hardwareAddressOffset = 28
  private static let serverNameRange = 44..<108
  private static let fileRange = 108..<236

  /// Reads one datagram. Total: any bytes give a message or an error, never a trap.
  ///
  /// Missing end options are tolerated (relays are known to cut them), a length that runs beyond its field is not.
  /// - Throws: `DHCPMessageError` that names the field.
  public init(parsing bytes: [UInt8]) throws(DHCPMessageError) {
    guard bytes.count >= Self.headerBytes else {
      throw DHCPMessageError(reason: "the message has \(bytes.count) bytes, at least \(Self.headerBytes) are needed")
    }
    guard bytes.count <= Self.maximumBytes else {
      throw DHCPMessageError(reason: "the message is longer than \(Self.maximumBytes) bytes")
    }
    guard let operation = Operation(rawValue: bytes[0]) else {
      throw DHCPMessageError(reason: "op is \(bytes[0]), only 1 (request) and 2 (reply) exist")
    }
    guard bytes[2] <= 16 else { throw DHCPMessageError(reason: "hlen is \(bytes[2]), chaddr has 16 bytes") }
    guard Array(bytes[236..<240]) == Self.magicCookie else {
      throw DHCPMessageError(reason: "the magic cookie 99.130.83.99 is missing")
    }
    func number(_ offset: Int) -> UInt32 { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }

    var collected = DHCPOptionCollector()
    try collected.read(bytes[Self.headerBytes...], field: "options")
    if let overload = collected.takeOverload() {
      guard overload.count == 1, (1...3).contains(overload[0]) else {
        throw DHCPMessageError(reason: "option 52 (overload) must be 1, 2 or 3")
      }
      // RFC 3396 section 5: the fields count as one buffer in this order.
      if overload[0] & 1 != 0 { try collected.read(bytes[Self.fileRange], field: "file") }
      if overload[0] & 2 != 0 { try collected.read(bytes[Self.serverNameRange], field: "sname") }
      guard collected.takeOverload() == nil else {
        throw DHCPMessageError(reason: "option 52 (overload) stands inside an overloaded field")
      }
    }
    let options = collected.options
    for option in options where !DHCPOptionCode.isWellFormed(code: option.code, length: option.value.count) {
      throw DHCPMessageError(reason: "option \(option.code) has \(option.value.count) bytes, which is not its length")
    }
    self.init(
      operation: operation, hardwareType: bytes[1], hops: bytes[3], transaction: number(4),
      elapsed_s: UInt16(bytes[8]) << 8 | UInt16(bytes[9]), broadcast: bytes[10] & 0x80 != 0,
      clientAddress: IPv4Address(rawValue: number(12)), yourAddress: IPv4Address(rawValue: number(16)),
      nextServerAddress: IPv4Address(rawValue: number(20)), relayAddress: IPv4Address(rawValue: number(24)),
      hardwareAddress: Array(bytes[Self.hardwareAddressOffset..<Self.hardwareAddressOffset + Int(bytes[2])]), options: options)
  }

  /// The datagram. Values longer than 255 bytes are split (RFC 3396); the end is padded to 300 bytes (RFC 1542).
  /// - Throws: `DHCPMessageError` where the hardware address is longer than 16 bytes, an option's code is 0, 52 or 255, or the
  ///   datagram would be longer than 1472 bytes.
  public func serialized() throws(DHCPMessageError) -> [UInt8] {
    guard hardwareAddress.count <= 16 else {
      throw DHCPMessageError(reason: "the hardware address has \(hardwareAddress.count) bytes, chaddr has 16")
    }
    var bytes: [UInt8] = [operation.rawValue, hardwareType, UInt8(hardwareAddress.count), hops]
    bytes += IPv4Address(rawValue: transaction).bytes
    bytes += [UInt8(elapsed_s >> 8), UInt8(elapsed_s & 255), broadcast ? 0x80 : 0, 0]
    bytes += clientAddress.bytes + yourAddress.bytes + nextServerAddress.bytes + relayAddress.bytes
    bytes += hardwareAddress + [UInt8](repeating: 0, count: 16 - hardwareAddress.count)
    bytes += [UInt8](repeating: 0, count: Self.serverNameRange.count + Self.fileRange.count)
    bytes += Self.magicCookie
    for option in options {
      guard ![DHCPOptionCode.pad, DHCPOptionCode.overload, DHCPOptionCode.end].contains(option.code) else {
        throw DHCPMessageError(reason: "option \(option.code) is framing and cannot be given as an option")
      }
      var rest = option.value[...]
      repeat {
        let part = rest.prefix(255)
        bytes += [option.code, UInt8(part.count)] + part
        rest = rest.dropFirst(255)
      } while !rest.isEmpty
    }
    bytes.append(DHCPOptionCode.end)
    if bytes.count < Self.minimumSentBytes {
      bytes += [UInt8](repeating: DHCPOptionCode.pad, count: Self.minimumSentBytes - bytes.count)
    }
    guard bytes.count <= Self.maximumBytes else {
      throw DHCPMessageError(reason: "the options make a message of \(bytes.count) bytes, \(Self.maximumBytes) is the most")
    }
    return bytes
  }
}

/// Joins options of the same code over all fields, in order (RFC 3396 section 7).
private struct DHCPOptionCollector {
  private var order: [UInt8] = []
  private var values: [UInt8: [UInt8]] = [:]

  var options: [DHCPOption] { order.map { DHCPOption(code: $0, value: values[$0] ?? []) } }

  mutating func read(_ field: ArraySlice<UInt8>, field name: String) throws(DHCPMessageError) {
    var rest = field
    while let code = rest.popFirst() {
      if code == DHCPOptionCode.pad { continue }
      if code == DHCPOptionCode.end { return }
      guard let length = rest.popFirst() else {
        throw DHCPMessageError(reason: "option \(code) in \(name) has no length")
      }
      guard rest.count >= Int(length) else {
        throw DHCPMessageError(reason: "option \(code) in \(name) says \(length) bytes, \(rest.count) are left")
      }
      if values[code] == nil { order.append(code) }
      values[code, default: []] += rest.prefix(Int(length))
      rest = rest.dropFirst(Int(length))
    }
  }

  mutating func takeOverload() -> [UInt8]? {
    order.removeAll { $0 == DHCPOptionCode.overload }
    return values.removeValue(forKey: DHCPOptionCode.overload)
  }
}
