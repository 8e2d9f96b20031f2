// Types of message that every part of the kernel sends (linux/netlink.h).
enum NetlinkMessageType {
  static let error: UInt16 = 2
  static let done: UInt16 = 3
}

/// One message of a netlink datagram.
struct NetlinkMessage: Equatable {
  let type: UInt16
  let flags: UInt16
  /// Of the request that it answers; 0 for what the kernel says unasked.
  let sequence: UInt32
  /// What follows the header.
  let payload: [UInt8]

  /// The messages of one datagram, or nil where a length in it is wrong. Total: any bytes give one of the two.
  static func parse(_ datagram: [UInt8]) -> [NetlinkMessage]? {
    var messages: [NetlinkMessage] = []
    var offset = 0
    while offset < datagram.count {
      let left = datagram.count - offset
      guard left >= 16, let length = Netlink.number(UInt32.self, datagram, offset), length >= 16, length <= left,
        let type = Netlink.number(UInt16.self, datagram, offset + 4), let flags = Netlink.number(UInt16.self, datagram, offset + 6),
        let sequence = Netlink.number(UInt32.self, datagram, offset + 8)
      else { return nil }
      let end = offset + Int(length)
      messages.append(NetlinkMessage(type: type, flags: flags, sequence: sequence, payload: Array(datagram[(offset + 16)..<end])))
      // Messages begin at multiples of 4; the last one may end without its padding.
      offset = (end + 3) & ~3
    }
    return messages
  }
}

/// Reading of bounded bytes.
enum Netlink {
  /// A number in the machine's byte order, or nil where `bytes` ends before it does.
  static func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type, _ bytes: [UInt8], _ offset: Int) -> Number? {
    let count = Number.bitWidth / 8
    guard offset >= 0, offset <= bytes.count - count else { return nil }
    return (0..<count).reduce(0) { $0 | Number(bytes[offset + $1]) << ($1 * 8) }
  }

  /// The attributes in `bytes` from `offset` on, by type; nil where a length is wrong. Of two with the same type the last one counts, as in
  /// the kernel. The two uppermost bits of a type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER) and are taken off.
  static func attributes(_ bytes: [UInt8], from offset: Int) -> [UInt16: [UInt8]]? {
    var attributes: [UInt16: [UInt8]] = [:]
    var offset = offset
    guard offset <= bytes.count else { return nil }
    // Fewer than 4 bytes at the end are padding.
    while bytes.count - offset >= 4 {
      guard let length = number(UInt16.self, bytes, offset), let type = number(UInt16.self, bytes, offset + 2),
        length >= 4, Int(length) <= bytes.count - offset
      else { return nil }
      attributes[type & 0x3fff] = Array(bytes[(offset + 4)..<(offset + Int(length))])
      offset = min((offset + Int(length) + 3) & ~3, bytes.count)
    }
    return attributes
  }

  /// An IPv4 address: four bytes, most significant first.
  static func address(_ bytes: [UInt8]?) -> UInt32? {
    guard let bytes, bytes.count == 4 else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Text up to its closing zero, at most `maximum_bytes`.
  static func text(_ bytes: [UInt8]?, maximum_bytes: Int) -> String? {
    bytes.map { String(decoding: $0.prefix { $0 != 0 }.prefix(maximum_bytes), as: UTF8.self) }
  }
}

/// The kernel's verdict on a request (NLMSG_ERROR); number 0 is success.
struct NetlinkVerdict: Equatable {
  /// As errno.
  let number: Int32
  /// The kernel's own words, at most 128 bytes; empty where it has none.
  let text: String

  /// nil where `message` is no NLMSG_ERROR or a length in it is wrong.
  init?(_ message: NetlinkMessage) {
    guard message.type == NetlinkMessageType.error, let raw = Netlink.number(UInt32.self, message.payload, 0) else { return nil }
    // The kernel gives a negative errno; -4095 is the lowest there is.
    let signed = Int32(bitPattern: raw)
    guard (-4095...0).contains(signed) else { return nil }
    number = -signed
    // struct nlmsgerr: error (4), the request's header (16), then, where the flags say so (NLM_F_CAPPED 0x100: the request's body is
    // left out; NLM_F_ACK_TLVS 0x200: attributes follow), attributes. NLMSGERR_ATTR_MSG is 1.
    let hasText = message.flags & 0x300 == 0x300
    let attributes = hasText ? Netlink.attributes(message.payload, from: 20) : [:]
    text = Netlink.text(attributes?[1], maximum_bytes: 128) ?? ""
  }
}
