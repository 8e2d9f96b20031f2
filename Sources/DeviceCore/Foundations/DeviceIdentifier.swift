/// A device's name for itself: the first 10 bytes of the SHA-256 of its public key (SubjectPublicKeyInfo, DER), in hexadecimal.
///
/// 20 characters: short enough for a host name label (RFC 1123), long enough that no two devices share one by chance.
public struct DeviceIdentifier: Hashable, Sendable, CustomStringConvertible {
  /// 20 lower-case hexadecimal digits.
  public let text: String

  /// - Parameter publicKeyDigest: SHA-256 over the key's SubjectPublicKeyInfo, 32 bytes.
  public init?(publicKeyDigest: [UInt8]) {
    guard publicKeyDigest.count == 32 else { return nil }
    text = hexadecimal(publicKeyDigest.prefix(10))
  }

  /// - Parameter text: 20 hexadecimal digits; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 20, let parsed = bytes(hexadecimal: text) else { return nil }
    self.text = hexadecimal(parsed)
  }

  /// The host name that the device asks for and uses: `haechi-` and the identifier (27 characters, RFC 1123).
  public var hostName: String { "haechi-" + text }
  public var description: String { text }
}
