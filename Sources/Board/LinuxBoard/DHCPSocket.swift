internal import BoardAPI
internal import Foundations
internal import Glibc

extension RouteInterface {
  /// A UDP socket for a DHCP client (RFC 2131 section 4.1): port 68, on this interface only, allowed to broadcast. Opening it takes
  /// privileges that the runtime, which uses it, does not have.
  static func makeDHCPSocket(on interface: String) throws(BoardError) -> CInt {
    let kind = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let number = socket(AF_INET, kind, 0)
    guard number >= 0 else { throw failure("socket", interface) }
    let descriptor = OwnedDescriptor(adopting: number)
    var on: CInt = 1
    let size = socklen_t(MemoryLayout<CInt>.size)
    // The next runtime's socket may come before the last one's is gone.
    guard setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, size) == 0 else { throw failure("setsockopt SO_REUSEADDR", interface) }
    guard setsockopt(number, SOL_SOCKET, SO_BROADCAST, &on, size) == 0 else { throw failure("setsockopt SO_BROADCAST", interface) }
    guard setsockopt(number, SOL_SOCKET, SO_BINDTODEVICE, interface, socklen_t(interface.utf8.count)) == 0 else {
      throw failure("setsockopt SO_BINDTODEVICE", interface)
    }
    var here = sockaddr_in()
    here.sin_family = sa_family_t(AF_INET)
    here.sin_port = in_port_t(68).bigEndian
    let isBound = withUnsafePointer(to: &here) { here in
      here.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
    guard isBound else { throw failure("bind to UDP port 68 on", interface) }
    return descriptor.release()
  }

  private static func failure(_ call: String, _ interface: String) -> BoardError {
    .system(code: "network-failed", call: call, subject: interface, number: errno)
  }
}
