import Glibc

/// Where the device listens: a numeric address and a TCP port.
struct ListenAddress: Equatable, CustomStringConvertible {
  /// Numeric IPv4 or IPv6, without brackets.
  let host: String
  let port: UInt16

  init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `192.0.2.1:8443` or `[2001:db8::1]:8443`; nil for anything else.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = String(text[..<colon])
    var isIPv6 = false
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      isIPv6 = true
    }
    var binary = [UInt8](repeating: 0, count: 16)
    guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, host, &binary) == 1 else { return nil }
    self.init(host: host, port: port)
  }

  var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
