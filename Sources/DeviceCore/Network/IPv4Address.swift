/// An IPv4 address as a number: 10.0.2.15 is 0x0a00020f.
public struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// - Parameter text: dotted decimal, four numbers of 0…255 without leading zeros; nil for anything else.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      // A leading zero means octal to some programs and decimal to others: it means nothing here.
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        part.utf8.count == 1 || part.utf8.first != 0x30, let byte = UInt8(part)
      else { return nil }
      value = value << 8 | UInt32(byte)
    }
    rawValue = value
  }

  /// 0.0.0.0, "this host" (RFC 1122 section 3.2.1.3).
  public static let unspecified = IPv4Address(rawValue: 0)
  /// 255.255.255.255, the limited broadcast (RFC 919).
  public static let broadcast = IPv4Address(rawValue: .max)

  /// The four bytes in network order.
  public var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: rawValue >> (24 - 8 * UInt32($0))) } }

  public var description: String { bytes.map(String.init).joined(separator: ".") }

  /// Whether one host can have this address on a network: not 0.0.0.0/8, loopback, link-local, multicast or reserved
  /// (RFC 6890). A link-local address (169.254.0.0/16) is refused because RFC 3927 section 1.6 forbids DHCP to give one.
  public var isUsableByHost: Bool {
    let first = rawValue >> 24
    return first != 0 && first != 127 && first < 224 && rawValue >> 16 != 0xa9fe
  }

  /// The mask of a prefix: 24 is 255.255.255.0. More than 32 counts as 32.
  static func mask(prefixLength: UInt8) -> UInt32 {
    prefixLength == 0 ? 0 : UInt32.max << (32 - UInt32(min(prefixLength, 32)))
  }

  /// Whether both lie in one network of that prefix length (0…32).
  func isOnLink(with other: IPv4Address, prefixLength: UInt8) -> Bool {
    let mask = Self.mask(prefixLength: prefixLength)
    return rawValue & mask == other.rawValue & mask
  }

  /// Whether this is the first (network) or last (broadcast) address of its network: no host may have it.
  func isNetworkOrBroadcast(prefixLength: UInt8) -> Bool {
    let host = ~Self.mask(prefixLength: prefixLength)
    return rawValue & host == 0 || rawValue & host == host
  }
}
