public import Crypto
public import Foundations

/// What a log is verified by: the device's audit key, which an owner remembers from the claim, and the first entry's code key, sealed for the owner.
public struct AuditAnchor: Sendable {
  public let device: DeviceIdentifier
  /// Verifies the checkpoints.
  public let key: PublicKey
  /// The entry whose code key is sealed; those before it can be verified by checkpoints only.
  public let sealedFrom: UInt64
  /// CMS EnvelopedData for the owner CA's key; empty before there is an owner, and where the owner's key cannot agree on one.
  public let sealedKey: [UInt8]

  static let maximum_bytes = 4_096
  private static let magic = Array("haechi-audit-anchor-1".utf8) + [0]

  init(device: DeviceIdentifier, key: PublicKey, sealedFrom: UInt64, sealedKey: [UInt8]) {
    self.device = device
    self.key = key
    self.sealedFrom = sealedFrom
    self.sealedKey = sealedKey
  }

  /// `haechi-audit-anchor-1`, a zero byte, device id (10), sealedFrom (8), length (2) and the key (SubjectPublicKeyInfo, DER), then the sealed key.
  var encoded: [UInt8] {
    Self.magic + (bytes(hexadecimal: device.text) ?? []) + bigEndian(sealedFrom)
      + [UInt8(truncatingIfNeeded: key.der.count >> 8), UInt8(truncatingIfNeeded: key.der.count)] + key.der + sealedKey
  }

  /// nil where it is not one.
  init?(encoded: ArraySlice<UInt8>) {
    guard encoded.count <= Self.maximum_bytes, encoded.count >= Self.magic.count + 20, encoded.starts(with: Self.magic) else { return nil }
    var rest = encoded.dropFirst(Self.magic.count)
    guard let device = DeviceIdentifier(hexadecimal(rest.prefix(10))) else { return nil }
    rest = rest.dropFirst(10)
    guard let from = takeNumber(&rest), let high = rest.popFirst(), let low = rest.popFirst() else { return nil }
    let length = Int(high) << 8 | Int(low)
    let der = Array(rest.prefix(length))
    // OpenSSL also reads what is not DER: one anchor, one writing.
    guard length <= rest.count, let key = try? PublicKey(der: der), key.der == der else { return nil }
    self.init(device: device, key: key, sealedFrom: from, sealedKey: Array(rest.dropFirst(length)))
  }
}
