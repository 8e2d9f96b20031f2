/// One option of a DHCP message: code and value (RFC 2132 section 2). Pad (0) and end (255) are framing, not options.
public struct DHCPOption: Hashable, Sendable {
  /// 1…254.
  public let code: UInt8
  /// The value; parts that came under the same code are joined (RFC 3396).
  public let value: [UInt8]

  public init(code: UInt8, value: [UInt8]) {
    self.code = code
    self.value = value
  }
}

/// The option codes that this client reads or writes (RFC 2132, section numbers beside them).
public enum DHCPOptionCode {
  static let pad: UInt8 = 0  // 3.1
  public static let subnetMask: UInt8 = 1  // 3.3
  public static let router: UInt8 = 3  // 3.5
  public static let domainNameServer: UInt8 = 6  // 3.8
  public static let hostName: UInt8 = 12  // 3.14
  public static let requestedAddress: UInt8 = 50  // 9.1
  public static let leaseTime: UInt8 = 51  // 9.2
  static let overload: UInt8 = 52  // 9.3
  public static let messageType: UInt8 = 53  // 9.6
  public static let serverIdentifier: UInt8 = 54  // 9.7
  public static let parameterRequestList: UInt8 = 55  // 9.8
  public static let message: UInt8 = 56  // 9.9
  public static let maximumMessageSize: UInt8 = 57  // 9.10
  public static let renewalTime: UInt8 = 58  // 9.11
  public static let rebindingTime: UInt8 = 59  // 9.12
  public static let clientIdentifier: UInt8 = 61  // 9.14
  static let end: UInt8 = 255  // 3.2

  /// Whether a value of `length` bytes is well formed for an option that this client reads; true for all other codes.
  static func isWellFormed(code: UInt8, length: Int) -> Bool {
    switch code {
    case subnetMask, requestedAddress, leaseTime, serverIdentifier, renewalTime, rebindingTime: length == 4
    case router, domainNameServer: length >= 4 && length % 4 == 0
    case messageType, overload: length == 1
    default: true
    }
  }
}

/// What a message is (RFC 2132 section 9.6).
public enum DHCPMessageType: UInt8, Sendable, CaseIterable {
  case discover = 1
  case offer = 2
  case request = 3
  case decline = 4
  case ack = 5
  case nak = 6
  case release = 7
  case inform = 8
}
