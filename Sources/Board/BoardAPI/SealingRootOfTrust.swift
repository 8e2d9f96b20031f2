public import Foundations

/// What only ever rises, for as long as the device lives.
public enum RootOfTrustCounter: UInt8, Sendable, CaseIterable {
  /// How often the device was wiped: a key that was sealed to an earlier value is never given out again.
  case identityEpoch = 1
  /// The generation of the store of what survives a wipe: an older copy of it shows.
  case identGeneration = 2
  /// Rises when a firmware of a later security epoch has sealed the keys anew: what was sealed before is never given out again.
  case securityEpoch = 3
}

/// What a sealed secret is bound to, beside the root of trust itself.
public enum SealBinding: Sendable, Equatable {
  /// The maker of the firmware, which has authorised this state of Secure Boot for this security epoch.
  case firmware
  /// The same, and that `closeForThisBoot` was not called yet, and this value of the identity epoch.
  case dataKey(epoch: UInt64)
}

/// Where a sealed secret stands in the order of security epochs.
public enum SealStanding: Sendable, Equatable {
  /// Of the firmware's own epoch, or of a later one, which `unseal` refuses.
  case current
  /// It opens, and an older firmware could open it too: it is to be sealed anew.
  case earlier
  /// Sealed ahead of a rise of the counter that did not come about.
  case ahead
  /// Sealed before the counter rose: it opens no more.
  case over
  /// Not sealed here for this maker's firmware, or no sealed key at all: `unseal` says which.
  case foreign
}

/// A root of trust that keeps secrets and counts. Every call blocks for as long as the chip likes, so only a worker makes them.
///
/// Errors have the code `storage-locked` where the secret is sealed for another root of trust, firmware or epoch.
public protocol SealingRootOfTrust: AnyObject {
  var kind: RootOfTrustFacts.Kind { get }
  /// nil where it was never raised.
  func value(of counter: RootOfTrustCounter) throws(BoardError) -> UInt64?
  /// Raises it, and returns the new value.
  func raise(_ counter: RootOfTrustCounter) throws(BoardError) -> UInt64
  /// At most 128 bytes; returns what `unseal` takes, which is no secret.
  func seal(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8]
  /// As `seal`, for the value that the counter `securityEpoch` has after its next rise.
  func sealAhead(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8]
  func standing(of blob: [UInt8]) throws(BoardError) -> SealStanding
  func unseal(_ blob: [UInt8]) throws(BoardError) -> SecretBytes
  /// Makes the key of the device's whole life, which it signs with from then on (`RootOfTrust.sign`); nil where it keeps no such keys, and the runtime makes
  /// one.
  func makeIdentityKey() throws(BoardError) -> IdentityKey?
  /// Until the machine restarts, data keys are no longer given out.
  func closeForThisBoot() throws(BoardError)
}

extension BoardError {
  /// The code of what is whole and not for this root of trust, firmware or epoch.
  public static let lockedCode = "storage-locked"
}
