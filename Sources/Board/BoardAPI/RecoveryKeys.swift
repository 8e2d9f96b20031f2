public import Foundations

/// The owner's recovery key of the storage, as far as the device knows it: it opens the disk elsewhere, and the device does not keep it.
public struct RecoveryKeyFacts: Sendable, Equatable {
  /// Bytes of a fingerprint.
  public static let fingerprint_bytes = 8
  /// Names the key: 8 bytes that its maker derived from it.
  public let fingerprint: [UInt8]
  /// When it was ordered, in seconds since 1970, UTC.
  public let ordered_s: Int64

  public init(fingerprint: [UInt8], ordered_s: Int64) {
    self.fingerprint = fingerprint
    self.ordered_s = ordered_s
  }
}

/// What the owner wants of the recovery key.
public enum RecoveryKeyOrder: Sendable {
  /// This one from now on, in place of the one that there may be. The passphrase has so much entropy that it needs no slow derivation: at most
  /// `passphraseMaximum_bytes`.
  case set(passphrase: SecretBytes, RecoveryKeyFacts)
  /// None any more.
  case remove

  public static let passphraseMaximum_bytes = 128
}

/// What became of an order when the storage was opened.
public enum RecoveryKeyChange: UInt8, Sendable, CaseIterable {
  /// There was none.
  case none = 0
  case made = 1
  case removed = 2
  /// It was dropped; what was before is there.
  case failed = 3
}
