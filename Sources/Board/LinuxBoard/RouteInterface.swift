internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// One Ethernet interface, configured over rtnetlink(7).
final class RouteInterface: NetworkInterface {
  let name: String
  /// Opened when first used: a board is made before anything can fail.
  private var openedQuestions: NetlinkSocket?
  private var openedEvents: NetlinkSocket?
  /// The kernel has no such route or address.
  private static let absent: Set<Int32> = [ESRCH, EADDRNOTAVAIL]

  init(name: String) { self.name = name }

  func bringUp() throws(BoardError) {
    try ask(RouteRequest.setLinkUp(index: try index(of: "lo")), "loopback up")
    try ask(RouteRequest.setLinkUp(index: try index(of: name)), "link up")
  }

  func hardwareAddress() throws(BoardError) -> [UInt8] {
    let address = try link().hardwareAddress
    guard address.count == 6 else {
      throw BoardError(code: "network-failed", reason: "\(name) has a hardware address of \(address.count) bytes: it is no Ethernet interface")
    }
    return address
  }

  func apply(_ configuration: InterfaceConfiguration) throws(BoardError) {
    guard configuration.prefixLength <= 32, configuration.address != 0 else {
      throw BoardError(code: "network-failed", reason: "\(name): \(Self.text(configuration)) is no address of a host")
    }
    let index = try index(of: name)
    // First those that go: the kernel would remove a new address of the same prefix together with the old one.
    for old in try addresses(index) where old.address != configuration.address || old.prefixLength != configuration.prefixLength {
      try remove(old)
    }
    try ask(
      RouteRequest.replaceAddress(index: index, address: configuration.address, prefixLength: configuration.prefixLength),
      "address \(Self.text(configuration))")
    do throws(BoardError) {
      try setDefaultRoute(configuration, index: index)
      // From now on what claims to come from elsewhere than its route leads is dropped (strict reverse path, RFC 3704 section 2.2).
      try setReversePathFilter("1")
    } catch {
      // No half of a configuration: better none, which the DHCP client will see and say.
      try? clear()
      throw error
    }
  }

  func clear() throws(BoardError) {
    let index = try index(of: name)
    // Without an address every packet would fail the reverse path filter, the DHCP server's answer too.
    try setReversePathFilter("0")
    try ask(RouteRequest.deleteDefaultRoute(index: index), "default route", tolerated: Self.absent)
    for address in try addresses(index) { try remove(address) }
  }

  func setHostName(_ name: String) throws(BoardError) {
    let bytes = Array(name.utf8)
    guard Self.isHostNameLabel(bytes) else {
      throw BoardError(code: "network-failed", reason: "“\(name)” is no host name: 1 to 63 letters, digits and inner hyphens (RFC 1123 section 2.1)")
    }
    guard sethostname(name, bytes.count) == 0 else { throw .system(code: "network-failed", call: "sethostname", subject: name, number: errno) }
  }

  static func isHostNameLabel(_ bytes: [UInt8]) -> Bool {
    let isAlphanumeric = { (byte: UInt8) in
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
    guard (1...63).contains(bytes.count), let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
      return false
    }
    return bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
  }

  var eventDescriptor: CInt? { try? events().descriptor }

  func takeCarrier() throws(BoardError) -> Bool {
    // What the events say is old by now; the state is asked for.
    try events().drain()
    return try link().hasCarrier
  }

  func makeDHCPSocket() throws(BoardError) -> CInt? { try Self.makeDHCPSocket(on: name) }

  // MARK: Parts

  private func events() throws(BoardError) -> NetlinkSocket {
    if let openedEvents { return openedEvents }
    let socket = try NetlinkSocket(.route, groups: 1, code: "network-failed")  // RTMGRP_LINK
    openedEvents = socket
    return socket
  }

  @discardableResult
  private func ask(_ request: NetlinkEncoder, _ subject: String, tolerated: Set<Int32> = []) throws(BoardError) -> [NetlinkMessage] {
    let socket: NetlinkSocket
    if let openedQuestions { socket = openedQuestions } else { socket = try NetlinkSocket(.route, groups: 0, code: "network-failed") }
    openedQuestions = socket
    return try socket.request(request, subject: "\(name): \(subject)", tolerated: tolerated)
  }

  private func setDefaultRoute(_ configuration: InterfaceConfiguration, index: UInt32) throws(BoardError) {
    guard configuration.router != 0 else {
      try ask(RouteRequest.deleteDefaultRoute(index: index), "default route", tolerated: Self.absent)
      return
    }
    let mask = configuration.prefixLength == 0 ? 0 : UInt32.max << UInt32(32 - configuration.prefixLength)
    try ask(
      RouteRequest.replaceDefaultRoute(
        index: index, router: configuration.router, isOnLink: (configuration.router ^ configuration.address) & mask != 0),
      "default route by \(Self.text(configuration.router))")
  }

  private func setReversePathFilter(_ value: String) throws(BoardError) {
    try KernelSetting(path: "net/ipv4/conf/INTERFACE/rp_filter", value: value).apply(interface: name)
  }

  private func index(of name: String) throws(BoardError) -> UInt32 {
    let index = if_nametoindex(name)
    guard index != 0 else {
      throw .system(
        code: "network-failed", call: "if_nametoindex", subject: name, number: errno, hint: "has this machine that interface, and the kernel its driver?")
    }
    return index
  }

  private func link() throws(BoardError) -> LinkFacts {
    let index = try index(of: name)
    for message in try ask(RouteRequest.getLink(index: index), "link") {
      if let link = LinkFacts(message), link.index == index { return link }
    }
    throw BoardError(code: "network-failed", reason: "\(name): the kernel described no such link")
  }

  private func addresses(_ index: UInt32) throws(BoardError) -> [AddressFacts] {
    try ask(RouteRequest.getAddresses(), "addresses").compactMap(AddressFacts.init).filter { $0.index == index }
  }

  private func remove(_ address: AddressFacts) throws(BoardError) {
    try ask(
      RouteRequest.deleteAddress(index: address.index, address: address.address, prefixLength: address.prefixLength),
      "old address \(Self.text(address.address))", tolerated: Self.absent)
  }

  private static func text(_ address: UInt32) -> String {
    [24, 16, 8, 0].map { String(address >> UInt32($0) & 0xff) }.joined(separator: ".")
  }
  private static func text(_ configuration: InterfaceConfiguration) -> String {
    "\(text(configuration.address))/\(configuration.prefixLength)"
  }
}
