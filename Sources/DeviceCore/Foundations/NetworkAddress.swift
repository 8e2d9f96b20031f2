internal import Glibc

/// An IPv4 or IPv6 address.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  /// 4 or 16 bytes in network byte order.
  public let bytes: [UInt8]

  /// nil where there are neither 4 nor 16 bytes.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// - Parameter ipv4: the address as a number: 10.0.2.15 is 0x0a00020f.
  public init(ipv4: UInt32) { bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: ipv4 >> UInt32($0)) } }

  /// A numeric address (inet_pton(3)); nil for anything else, names included.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
    let text = String(text)
    var binary = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, text, &binary) == 1 {
      bytes = Array(binary.prefix(4))
    } else if inet_pton(AF_INET6, text, &binary) == 1 {
      bytes = binary
    } else {
      return nil
    }
  }

  public var isIPv4: Bool { bytes.count == 4 }

  /// An address that one host can have: not unspecified, loopback, multicast, reserved or broadcast (RFC 6890), nor an IPv4 address in IPv6's clothes.
  public var isUnicastHost: Bool {
    if isIPv4 { return bytes[0] != 0 && bytes[0] != 127 && bytes[0] < 224 }
    let isUnspecifiedOrLoopback = bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] <= 1
    let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
    return bytes[0] != 0xff && !isUnspecifiedOrLoopback && !isMapped
  }

  /// Numeric: `10.0.2.15`, `fd00::1`.
  public var description: String {
    var text = [CChar](repeating: 0, count: 46)
    guard inet_ntop(isIPv4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return hexadecimal(bytes) }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
