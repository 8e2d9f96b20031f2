/// Where a device may reach its peers: the declared destinations of that part of its outbound traffic.
public struct PeerDestinations: Hashable, Sendable {
  /// One peer's.
  public struct Destination: Hashable, Sendable, CustomStringConvertible {
    public let address: NetworkAddress
    /// TCP, never 0.
    public let port: UInt16

    /// nil where `port` is 0.
    public init?(address: NetworkAddress, port: UInt16) {
      guard port != 0 else { return nil }
      self.address = address
      self.port = port
    }

    public var description: String { address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }

    /// The count of the address's bytes, the address, the port (2 bytes, big endian).
    fileprivate var encoded: [UInt8] {
      [UInt8(truncatingIfNeeded: address.bytes.count)] + address.bytes + [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
    }
  }

  /// Each costs rules in the kernel; a device with more neighbours than this lets them come to it.
  public static let maximumCount = 4
  /// Four IPv6 addresses.
  public static let encodedMaximum_bytes = maximumCount * (1 + 16 + 2)

  /// In the order of their encoding, none twice.
  public let list: [Destination]

  public static let none = PeerDestinations(sorted: [])

  private init(sorted list: [Destination]) { self.list = list }

  /// nil where there are more than `maximumCount`. The same one twice counts once.
  public init?(_ destinations: some Sequence<Destination>) {
    let list = Set(destinations).sorted { $0.encoded.lexicographicallyPrecedes($1.encoded) }
    guard list.count <= Self.maximumCount else { return nil }
    self.init(sorted: list)
  }

  /// One after the other: what a statement that sets them holds. Empty for none.
  public var encoded: [UInt8] { list.flatMap(\.encoded) }

  /// The destinations that have exactly this encoding, byte for byte; nil for anything else, so that there is one form for each set.
  public init?(encoded bytes: [UInt8]) {
    guard bytes.count <= Self.encodedMaximum_bytes else { return nil }
    var list: [Destination] = []
    var rest = bytes[...]
    while let count = rest.popFirst() {
      guard rest.count >= Int(count) + 2, let address = NetworkAddress(bytes: Array(rest.prefix(Int(count)))) else { return nil }
      rest = rest.dropFirst(Int(count))
      guard let high = rest.popFirst(), let low = rest.popFirst(), let one = Destination(address: address, port: UInt16(high) << 8 | UInt16(low)) else {
        return nil
      }
      list.append(one)
    }
    self.init(list)
    guard encoded == bytes else { return nil }
  }
}
