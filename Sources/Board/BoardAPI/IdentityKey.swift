/// A signing key that a root of trust made for the device's whole life and never gives out: ECDSA over P-256.
public struct IdentityKey: Sendable, Equatable {
  /// SubjectPublicKeyInfo, DER.
  public let publicKey: [UInt8]
  /// What the root of trust takes to sign with it: no secret, and of no use to another one. At most `handleMaximum_bytes`.
  public let handle: [UInt8]

  public static let publicKeyMaximum_bytes = 128
  public static let handleMaximum_bytes = 1_024
  /// Of a SHA-256 digest, which is all that is ever signed.
  public static let digest_bytes = 32

  public init(publicKey: [UInt8], handle: [UInt8]) {
    self.publicKey = publicKey
    self.handle = handle
  }
}
