internal import BoardAPI

// The few messages of rtnetlink(7) that a device with one interface needs.

enum RouteMessageType {
  // linux/rtnetlink.h
  static let newLink: UInt16 = 16
  static let getLink: UInt16 = 18
  static let newAddress: UInt16 = 20
  static let deleteAddress: UInt16 = 21
  static let getAddress: UInt16 = 22
  static let newRoute: UInt16 = 24
  static let deleteRoute: UInt16 = 25
}

/// What is asked of the kernel.
enum RouteRequest {
  private static let addressFamilyIPv4: UInt8 = 2

  /// Sets an interface up.
  static func setLinkUp(index: UInt32) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.newLink, flags: [.request, .acknowledge])
    let up: UInt32 = 1  // IFF_UP
    appendLinkHeader(to: &message, index: index, flags: up, change: up)
    return message
  }

  /// Asks for an interface.
  static func getLink(index: UInt32) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.getLink, flags: [.request, .acknowledge])
    appendLinkHeader(to: &message, index: index, flags: 0, change: 0)
    return message
  }

  /// struct ifinfomsg: family, padding, hardware type, index, flags, which flags to change.
  static func appendLinkHeader(to message: inout NetlinkEncoder, index: UInt32, flags: UInt32, change: UInt32) {
    message.append(UInt8(0))
    message.append(UInt8(0))
    message.append(UInt16(0))
    message.append(index)
    message.append(flags)
    message.append(change)
  }

  /// Asks for all IPv4 addresses of the machine.
  static func getAddresses() -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.getAddress, flags: [.request, .dump])
    appendAddressHeader(to: &message, prefixLength: 0, index: 0)
    return message
  }

  /// Sets an address, also where it is there already.
  static func replaceAddress(index: UInt32, address: UInt32, prefixLength: UInt8) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.newAddress, flags: [.request, .acknowledge, .create, .replace])
    appendAddressHeader(to: &message, prefixLength: prefixLength, index: index)
    message.append(attribute: 2, NetlinkEncoder.networkOrder(address))  // IFA_LOCAL
    message.append(attribute: 1, NetlinkEncoder.networkOrder(address))  // IFA_ADDRESS: the same where the link is not point to point
    // Prefixes of 31 and 32 bits have no broadcast address (RFC 3021).
    if prefixLength < 31 {
      message.append(attribute: 4, NetlinkEncoder.networkOrder(address | (UInt32.max >> UInt32(prefixLength))))  // IFA_BROADCAST
    }
    return message
  }

  static func deleteAddress(index: UInt32, address: UInt32, prefixLength: UInt8) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.deleteAddress, flags: [.request, .acknowledge])
    appendAddressHeader(to: &message, prefixLength: prefixLength, index: index)
    message.append(attribute: 2, NetlinkEncoder.networkOrder(address))
    return message
  }

  /// struct ifaddrmsg: family, prefix length, flags, scope, index.
  private static func appendAddressHeader(to message: inout NetlinkEncoder, prefixLength: UInt8, index: UInt32) {
    message.append(addressFamilyIPv4)
    message.append(prefixLength)
    message.append(UInt8(0))
    message.append(UInt8(0))
    message.append(index)
  }

  /// Sets the default route, in place of the one there is.
  /// - Parameter isOnLink: the router is reached directly although it lies outside our prefix, as some providers have it.
  static func replaceDefaultRoute(index: UInt32, router: UInt32, isOnLink: Bool) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.newRoute, flags: [.request, .acknowledge, .create, .replace])
    // RTPROT_DHCP 16, RT_SCOPE_UNIVERSE 0, RTN_UNICAST 1, RTNH_F_ONLINK 4.
    appendRouteHeader(to: &message, protocolNumber: 16, scope: 0, type: 1, flags: isOnLink ? 4 : 0)
    message.append(attribute: 5, NetlinkEncoder.networkOrder(router))  // RTA_GATEWAY
    message.append(attribute: 4, NetlinkEncoder.littleEndian(index))  // RTA_OIF
    return message
  }

  /// Removes the default route of an interface.
  static func deleteDefaultRoute(index: UInt32) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: RouteMessageType.deleteRoute, flags: [.request, .acknowledge])
    // RT_SCOPE_NOWHERE 255: whatever its scope; protocol and type 0: whatever they are.
    appendRouteHeader(to: &message, protocolNumber: 0, scope: 255, type: 0, flags: 0)
    message.append(attribute: 4, NetlinkEncoder.littleEndian(index))
    return message
  }

  /// struct rtmsg: family, destination and source prefix lengths (0: default), type of service, table (254: main), protocol, scope, type, flags.
  private static func appendRouteHeader(to message: inout NetlinkEncoder, protocolNumber: UInt8, scope: UInt8, type: UInt8, flags: UInt32) {
    for byte in [addressFamilyIPv4, 0, 0, 0, 254, protocolNumber, scope, type] { message.append(byte) }
    message.append(flags)
  }
}

/// An interface as the kernel describes it.
struct LinkFacts: Equatable {
  let index: UInt32
  let isUp: Bool
  /// The cable is in and the other side answers (IFF_LOWER_UP).
  let hasCarrier: Bool
  let hardwareAddress: [UInt8]

  /// nil where `message` is no RTM_NEWLINK or a length in it is wrong.
  init?(_ message: NetlinkMessage) {
    guard message.type == RouteMessageType.newLink, let index = Netlink.number(UInt32.self, message.payload, 4),
      let flags = Netlink.number(UInt32.self, message.payload, 8), let attributes = Netlink.attributes(message.payload, from: 16)
    else { return nil }
    self.index = index
    isUp = flags & 0x1 != 0  // IFF_UP
    hasCarrier = flags & 0x1_0000 != 0  // IFF_LOWER_UP
    hardwareAddress = attributes[1] ?? []  // IFLA_ADDRESS
  }
}

/// An IPv4 address of an interface.
struct AddressFacts: Equatable {
  let index: UInt32
  let address: UInt32
  let prefixLength: UInt8

  /// nil where `message` is no RTM_NEWADDR of IPv4 or a length in it is wrong.
  init?(_ message: NetlinkMessage) {
    guard message.type == RouteMessageType.newAddress, message.payload.count >= 8, message.payload[0] == 2, message.payload[1] <= 32,
      let index = Netlink.number(UInt32.self, message.payload, 4), let attributes = Netlink.attributes(message.payload, from: 8),
      let address = Netlink.address(attributes[2] ?? attributes[1])
    else { return nil }
    self.index = index
    self.address = address
    prefixLength = message.payload[1]
  }
}
