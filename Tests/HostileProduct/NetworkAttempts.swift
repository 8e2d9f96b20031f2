import Foundations
import Glibc

/// Packets to an address that nobody declared.
enum NetworkAttempts {
  /// 198.51.100.1 (TEST-NET-2, RFC 5737), in network byte order.
  private static let address = UInt32(0xc633_6401).bigEndian

  /// A datagram, and a connection to the port that a broker has.
  static func undeclared() -> [String] { [datagram(port: 9), connection(port: 8883)] }

  private static func datagram(port: UInt16) -> String {
    let what = "UDP to 198.51.100.1 port \(port)"
    let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return "\(what): socket: \(systemErrorMessage(errno))" }
    defer { close(descriptor) }
    let payload = Array("taken over".utf8)
    let sent = withAddress(port) { sendto(descriptor, payload, payload.count, CInt(MSG_DONTWAIT), $0, $1) }
    return sent >= 0 ? "\(what): sent" : "\(what): sendto: \(systemErrorMessage(errno))"
  }

  /// It is left open, so that the kernel goes on knocking.
  private static func connection(port: UInt16) -> String {
    let what = "TCP to 198.51.100.1 port \(port)"
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return "\(what): socket: \(systemErrorMessage(errno))" }
    let result = withAddress(port) { connect(descriptor, $0, $1) }
    return result == 0 ? "\(what): connected" : "\(what): connect: \(systemErrorMessage(errno))"
  }

  private static func withAddress<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = address
    return withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
