public import Foundations

/// What the client says of itself in each message.
public struct DHCPClientConfiguration: Sendable {
  /// The interface's Ethernet address, 6 bytes.
  public let hardwareAddress: [UInt8]
  /// Option 12, or nil to say nothing.
  public let hostName: String?
  /// The longest random wait before the first message after the link came up, in milliseconds.
  ///
  /// RFC 2131 section 4.4.1 proposes 1 to 10 s so that a street that gets its power back does not ask as one. Like the clients of the
  /// usual systems (systemd-networkd, udhcpc) this one asks at once: times to boot differ anyway, one address pool's clients are a few hundred
  /// small packets, and what is lost is asked again after a random time that doubles. The wait was half of a boot.
  public let initialDelay_ms: UInt64

  /// - Throws: `DHCPConfigurationError` where the hardware address is not 6 bytes of one station, or the host name is no RFC 1123 label.
  public init(hardwareAddress: [UInt8], hostName: String?, initialDelay_ms: UInt64 = 0) throws(DHCPConfigurationError) {
    guard hardwareAddress.count == 6, hardwareAddress[0] & 1 == 0, hardwareAddress != [0, 0, 0, 0, 0, 0] else {
      throw DHCPConfigurationError(
        reason: "hardware address \(hexadecimal(hardwareAddress)) is not the address of one Ethernet station: give its 6 bytes")
    }
    if let hostName {
      let isLabel =
        (1...63).contains(hostName.utf8.count) && !hostName.hasPrefix("-") && !hostName.hasSuffix("-")
        && hostName.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"):
            true
          default: false
          }
        }
      guard isLabel else {
        throw DHCPConfigurationError(reason: "host name is no label of 1 to 63 letters, digits and inner hyphens (RFC 1123 section 2.1)")
      }
    }
    self.hardwareAddress = hardwareAddress
    self.hostName = hostName
    self.initialDelay_ms = initialDelay_ms
  }
}

/// Why a configuration was refused. `code` is always `dhcp-configuration-invalid`.
public struct DHCPConfigurationError: HaechiError, Hashable {
  public let reason: String
  public var code: String { "dhcp-configuration-invalid" }
  public var cause: (any Error)? { nil }
}
