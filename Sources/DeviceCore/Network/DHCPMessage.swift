/// A DHCP message (RFC 2131 section 2, figure 1) as values.
///
/// The fields `sname` and `file` are not kept: nothing here boots from a server. Where a server put options into them
/// (option 52), those are among `options`.
public struct DHCPMessage: Hashable, Sendable {
  /// `op`: who speaks.
  public enum Operation: UInt8, Sendable {
    case request = 1
    case reply = 2
  }

  public var operation: Operation
  /// `htype`; 1 is Ethernet (RFC 1700).
  public var hardwareType: UInt8
  /// `hops`: relays on the way.
  public var hops: UInt8
  /// `xid`: chosen by the client, repeated by the server.
  public var transaction: UInt32
  /// `secs`: seconds since the client began to ask; 65535 means that or more.
  public var elapsed_s: UInt16
  /// The BROADCAST flag: the client cannot receive unicast before it has an address (RFC 2131 section 4.1).
  public var broadcast: Bool
  /// `ciaddr`: the address that the client already uses.
  public var clientAddress: IPv4Address
  /// `yiaddr`: the address given to the client.
  public var yourAddress: IPv4Address
  /// `siaddr`: the next server of a boot.
  public var nextServerAddress: IPv4Address
  /// `giaddr`: the relay.
  public var relayAddress: IPv4Address
  /// `chaddr`, its first `hlen` bytes: 0…16 of them.
  public var hardwareAddress: [UInt8]
  /// Each code at most once, in the order of their first appearance; without pad, end and overload.
  public var options: [DHCPOption]

  public init(
    operation: Operation, hardwareType: UInt8 = 1, hops: UInt8 = 0, transaction: UInt32, elapsed_s: UInt16 = 0,
    broadcast: Bool = false, clientAddress: IPv4Address = .unspecified, yourAddress: IPv4Address = .unspecified,
    nextServerAddress: IPv4Address = .unspecified, relayAddress: IPv4Address = .unspecified, hardwareAddress: [UInt8],
    options: [DHCPOption]
  ) {
    self.operation = operation
    self.hardwareType = hardwareType
    self.hops = hops
    self.transaction = transaction
    self.elapsed_s = elapsed_s
    self.broadcast = broadcast
    self.clientAddress = clientAddress
    self.yourAddress = yourAddress
    self.nextServerAddress = nextServerAddress
    self.relayAddress = relayAddress
    self.hardwareAddress = hardwareAddress
    self.options = options
  }

  /// The value of an option, or nil where the message has none of that code.
  public func value(_ code: UInt8) -> [UInt8]? { options.first { $0.code == code }?.value }

  /// Option 53, or nil for plain BOOTP and for numbers without a meaning.
  public var type: DHCPMessageType? {
    guard let value = value(DHCPOptionCode.messageType), value.count == 1 else { return nil }
    return DHCPMessageType(rawValue: value[0])
  }

  /// An option of four bytes as a number in network order; nil where it is missing or of another length.
  public func number(_ code: UInt8) -> UInt32? {
    guard let value = value(code), value.count == 4 else { return nil }
    return value.reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// An option of four bytes as an address; nil where it is missing or of another length.
  public func address(_ code: UInt8) -> IPv4Address? { number(code).map(IPv4Address.init(rawValue:)) }

  /// An option that lists addresses; empty where it is missing or its length is no multiple of four.
  public func addresses(_ code: UInt8) -> [IPv4Address] {
    guard let value = value(code), value.count % 4 == 0 else { return [] }
    return stride(from: 0, to: value.count, by: 4).map { start in
      IPv4Address(rawValue: value[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) })
    }
  }

  /// The server's own words (option 56), only its printable ASCII and at most 80 characters: it goes into a log.
  public var serverWords: String? {
    guard let value = value(DHCPOptionCode.message) else { return nil }
    let text = String(decoding: value.filter { (0x20...0x7e).contains($0) }.prefix(80), as: UTF8.self)
    return text.isEmpty ? nil : text
  }
}

extension DHCPOption {
  /// An option whose value is one address.
  public static func address(_ code: UInt8, _ address: IPv4Address) -> DHCPOption { .init(code: code, value: address.bytes) }
  /// An option whose value is a list of addresses.
  public static func addresses(_ code: UInt8, _ addresses: [IPv4Address]) -> DHCPOption {
    .init(code: code, value: addresses.flatMap(\.bytes))
  }
  /// An option whose value is a number of four bytes.
  public static func number(_ code: UInt8, _ number: UInt32) -> DHCPOption {
    .init(code: code, value: IPv4Address(rawValue: number).bytes)
  }
  /// Option 53.
  public static func type(_ type: DHCPMessageType) -> DHCPOption { .init(code: DHCPOptionCode.messageType, value: [type.rawValue]) }
}
