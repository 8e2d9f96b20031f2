/// What a root of trust says of itself.
public struct RootOfTrustFacts: Sendable, Equatable {
  public enum Kind: UInt8, Sendable { case none = 0, tpm2 = 1, development = 2 }
  public let kind: Kind
  /// TPM_PT_MANUFACTURER as text, at most 16 bytes; empty where there is none.
  public let manufacturer: String
  /// PCR 7 of the SHA-256 bank, 32 bytes (Secure Boot state, TCG PC Client), or empty.
  public let secureBootState: [UInt8]

  public init(kind: Kind, manufacturer: String, secureBootState: [UInt8]) {
    self.kind = kind
    self.manufacturer = manufacturer
    self.secureBootState = secureBootState
  }
}

/// A TPM or what stands for it. Its calls block for as long as the chip likes (about 100 ms), so only a worker makes them.
public protocol RootOfTrust: AnyObject {
  /// Asks for its maker and the Secure Boot state. `kind == .none` where the board has none.
  func facts() throws(BoardError) -> RootOfTrustFacts
  /// A signature of the identity key that `handle` stands for (`IdentityKey.handle`) over a SHA-256 digest: an ECDSA-Sig-Value in DER.
  ///
  /// Errors have the code `storage-locked` where the key is another root of trust's.
  func sign(_ digest: [UInt8], with handle: [UInt8]) throws(BoardError) -> [UInt8]
}
