public import Foundations
internal import Glibc

/// A UDP socket for multicast DNS over IPv4: port 5353 of the group 224.0.0.251, on the interface that has one address. It takes no privilege.
///
/// Bound to the group's address, it gets what was sent to the group and nothing else.
public enum MulticastSocket {
  public static let port: UInt16 = 5_353
  /// 224.0.0.251 (RFC 6762 section 3).
  public static let group = NetworkAddress(ipv4: 0xe000_00fb)

  /// - Parameters:
  ///   - interface: an IPv4 address of the interface.
  ///   - loops: whether other programs on this machine hear it too, and so it itself.
  /// - Returns: a descriptor that the caller closes.
  public static func open(interface: NetworkAddress, loops: Bool) throws(SystemCallError) -> CInt {
    let kind = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let number = socket(AF_INET, kind, 0)
    guard number >= 0 else { throw failure("socket", interface) }
    let descriptor = OwnedDescriptor(adopting: number)
    // Others on a development host have the port too.
    try set(number, SOL_SOCKET, SO_REUSEADDR, CInt(1), interface)
    // RFC 6762 section 11: so that a neighbour can tell that no router passed it on.
    try set(number, CInt(IPPROTO_IP), IP_MULTICAST_TTL, CInt(255), interface)
    try set(number, CInt(IPPROTO_IP), IP_MULTICAST_LOOP, CInt(loops ? 1 : 0), interface)
    var membership = ip_mreqn()
    membership.imr_multiaddr = address(group)
    membership.imr_address = address(interface)
    try set(number, CInt(IPPROTO_IP), IP_MULTICAST_IF, membership, interface)
    try set(number, CInt(IPPROTO_IP), IP_ADD_MEMBERSHIP, membership, interface)
    var here = sockaddr_in()
    here.sin_family = sa_family_t(AF_INET)
    here.sin_port = in_port_t(port).bigEndian
    here.sin_addr = address(group)
    let isBound = withUnsafePointer(to: &here) { here in
      here.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
    guard isBound else { throw failure("bind to UDP port 5353 of", group) }
    return descriptor.release()
  }

  private static func set<Value: BitwiseCopyable>(
    _ number: CInt, _ level: CInt, _ option: CInt, _ value: Value, _ interface: NetworkAddress
  ) throws(SystemCallError) {
    var value = value
    guard setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Value>.size)) == 0 else { throw failure("setsockopt \(option)", interface) }
  }

  private static func address(_ address: NetworkAddress) -> in_addr {
    // Four bytes in network order, as they stand in memory; of an IPv6 address the first ones, which no interface has.
    in_addr(s_addr: address.bytes.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.littleEndian)
  }

  private static func failure(_ call: String, _ subject: NetworkAddress) -> SystemCallError {
    SystemCallError(call, number: errno, subject: subject.description)
  }
}
