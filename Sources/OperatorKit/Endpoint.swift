/// Where a device listens: a host name or address, and a TCP port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  /// The port of Haechi's one service where none is named.
  public static let defaultPort = 8443

  /// A host name, an IPv4 address, or an IPv6 address without brackets.
  public let host: String
  /// 1…65535.
  public let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address.
  ///
  /// - Parameter defaultPort: what stands for a port that is not named.
  /// - Throws: `bad-argument`, naming the text and the form that is wanted.
  public init(_ text: String, defaultPort: Int = Self.defaultPort) throws(OperatorError) {
    func refuse(_ why: String) -> OperatorError {
      OperatorError(
        "bad-argument",
        "'\(printable(text))' is no address: \(why); write HOST:PORT, as in 192.168.1.20:\(defaultPort) or [fe80::1%eth0]:\(defaultPort)")
    }
    let host: Substring
    let portText: Substring?
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { throw refuse("the bracket is not closed") }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw refuse("after the bracket only :PORT may follow") }
      portText = rest.isEmpty ? nil : rest.dropFirst()
    } else if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) > 1 {
      // More than one colon without brackets can only be a bare IPv6 address.
      host = text[...]
      portText = nil
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      portText = text[text.index(after: colon)...]
    } else {
      host = text[...]
      portText = nil
    }
    guard !host.isEmpty else { throw refuse("the host is empty") }
    // RFC 1123 names are 253 characters at the most; the zone of an IPv6 address adds a few, and nothing else is longer.
    guard host.utf8.count <= 300 else { throw refuse("the host is too long") }
    let allowed = host.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%"): true
      default: false
      }
    }
    guard allowed else { throw refuse("the host holds a character that no name or address has") }
    if let portText {
      guard portText.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(portText),
        (1...65535).contains(port)
      else {
        throw refuse("the port must be a number from 1 to 65535")
      }
      self.port = port
    } else {
      port = defaultPort
    }
    self.host = String(host)
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The `Host` header's form (RFC 9110 7.2): an IPv6 zone is local to this machine and is left out.
  var authority: String {
    let name = host.split(separator: "%", maxSplits: 1).first.map(String.init) ?? host
    return name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)"
  }
}
