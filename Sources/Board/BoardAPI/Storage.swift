/// What became of the storage that outlives the power.
public struct StorageFacts: Sendable, Equatable {
  public enum State: UInt8, Sendable {
    /// Nothing outlives this boot, because the machine has no disk of ours or nothing to seal a key with.
    case volatile = 0
    case open = 1
    /// It is there, and is missing a part or does not fit together.
    case damaged = 2
    /// It is whole as far as can be seen, and its key is not given out here: another TPM, other firmware, an older epoch.
    case locked = 3
  }
  public let state: State
  /// As dm-crypt names it, for example `aes-xts-plain64`; empty unless open.
  public let cipher: String
  /// What its keys are sealed with.
  public let rootOfTrust: RootOfTrustFacts.Kind
  /// Of the root of trust: how often the device was made or wiped; 0 unless open.
  public let identityEpoch: UInt64
  /// One sentence on why it is not open, or on what failed all the same; else empty.
  public let reason: String
  /// The device's own key, where the root of trust keeps it; nil where the runtime keeps one among its files, or nothing is open.
  public let identityKey: IdentityKey?
  /// nil where the owner has none.
  public let recoveryKey: RecoveryKeyFacts?
  /// What opening it changed in that.
  public let recoveryChange: RecoveryKeyChange

  public init(
    state: State, cipher: String = "", rootOfTrust: RootOfTrustFacts.Kind = .none, identityEpoch: UInt64 = 0, reason: String = "",
    identityKey: IdentityKey? = nil, recoveryKey: RecoveryKeyFacts? = nil, recoveryChange: RecoveryKeyChange = .none
  ) {
    self.state = state
    self.cipher = cipher
    self.rootOfTrust = rootOfTrust
    self.identityEpoch = identityEpoch
    self.reason = reason
    self.identityKey = identityKey
    self.recoveryKey = recoveryKey
    self.recoveryChange = recoveryChange
  }
}

/// What keeps the runtime's two folders over a reboot. Every call blocks, for seconds on a first boot, and may call large libraries: only a worker
/// that keeps the rights over disks makes them.
public protocol Storage: AnyObject {
  /// Tells the root of trust of which security epoch the firmware is that runs: once, before anything else could be reached, so that nothing which runs later
  /// in this start can say that it is another one.
  func announceFirmware() throws(BoardError)
  /// Opens it, on the first boot makes it, and lays it under the runtime's folders: `Board.runtimeIdentityFolder` is filled, and
  /// `Board.runtimeStateFolder` mounted. Where it is not open, both stay as they are: empty and in memory.
  func open() -> StorageFacts
  /// Keeps the declared files (`IdentityFile`) as they lie in `Board.runtimeIdentityFolder` now; durable when it returns. Returns what else lies there.
  ///
  /// - Throws: `identity-refused` where one is too large or no regular file: nothing is kept then, and what was kept before stays.
  func commitIdentity() throws(BoardError) -> UndeclaredFiles
  /// Records that the device is to be wiped, before anything of it is destroyed, and in the same step those files of `Board.runtimeIdentityFolder` that outlive
  /// a wipe, as they are now; durable when it returns. It may be done again. From here on `open()` wipes first, so that `wipe()` may be cut off at any instant,
  /// or never be reached. Nothing in that folder stops it: where a file cannot be kept, the one that was kept before stays. Returns what else lies there.
  func recordWipe() throws(BoardError) -> UndeclaredFiles
  /// Destroys what lies in `Board.runtimeStateFolder` for good, saved copies of the disk included; what lies in the other folder stays. When it
  /// returns, the keys are gone; the machine restarts then, and the next `open()` makes the storage anew.
  func wipe() throws(BoardError)
  /// Makes a storage that `open()` found damaged or locked anew, for a device without an identity: whatever lies there is destroyed, and a copy of it from
  /// before does not open on the same root of trust. The machine restarts then, and the next `open()` goes on as a first boot does. Cut off at any instant, the
  /// storage is still not open, and it may be done again; or it has ended; or, where the identity's part was whole, it has ended as a wipe does, with the identity
  /// that was there.
  func remake() throws(BoardError)
  /// Keeps what is wanted of the recovery key, sealed; durable when it returns. The next `open()` does it, as it alone has the key of the volume: whatever
  /// is cut off, the old one or the new one opens the disk.
  func order(_ recoveryKey: RecoveryKeyOrder) throws(BoardError)
}
