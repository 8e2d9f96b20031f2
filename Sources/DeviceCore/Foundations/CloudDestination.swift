/// A broker that a device may speak to: the declared destination of its outbound traffic.
public struct CloudDestination: Hashable, Sendable, CustomStringConvertible {
  /// A host name has at most this many bytes here; longer ones exist (RFC 1035 section 2.3.4), none that a broker needs.
  public static let hostMaximum_bytes = 64

  /// A DNS name (RFC 1123) or a numeric address: what the broker's certificate must be for.
  public let host: String
  /// TCP, never 0.
  public let port: UInt16

  /// nil where `host` is neither, or `port` is 0. A name is kept in lower case.
  public init?(host: some StringProtocol, port: UInt16) {
    guard port != 0, (1...Self.hostMaximum_bytes).contains(host.utf8.count) else { return nil }
    if let address = NetworkAddress(host) {
      self.host = address.description
    } else {
      guard Self.isHostName(host) else { return nil }
      self.host = host.lowercased()
    }
    self.port = port
  }

  /// The port (2 bytes, big endian), then the host: what a statement that binds a device holds.
  public var encoded: [UInt8] { [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)] + Array(host.utf8) }

  /// The destination that has exactly this encoding, byte for byte; nil for anything else, so that there is one form for each.
  public init?(encoded bytes: [UInt8]) {
    guard bytes.count > 2, let host = String(validating: bytes.dropFirst(2), as: UTF8.self) else { return nil }
    self.init(host: host, port: UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
    guard encoded == bytes else { return nil }
  }

  /// The numeric address where `host` is one.
  public var address: NetworkAddress? { NetworkAddress(host) }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Labels of letters, digits and inner hyphens, joined by dots; the last one not all digits, so that it cannot be taken for an address.
  private static func isHostName(_ text: some StringProtocol) -> Bool {
    let labels = Array(text.utf8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    let isPlain = { (byte: UInt8) in
      isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        || byte == UInt8(ascii: "-")
    }
    guard let last = labels.last, !last.allSatisfy(isDigit) else { return false }
    return labels.allSatisfy {
      (1...63).contains($0.count) && $0.allSatisfy(isPlain) && $0.first != UInt8(ascii: "-") && $0.last != UInt8(ascii: "-")
    }
  }
}
