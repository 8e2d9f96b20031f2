import Crypto
import Foundations

/// A renewal of the LDevID that was begun, as the file `renewal.json` holds it; the key lies beside it, in `renewal.key`.
struct StoredRenewal: Codable, Equatable {
  enum Phase: String, Codable {
    /// Shown to whoever asks for it by name; a start of the runtime gives it up.
    case proving
    /// A client of the owner's has accepted it: from here on it only goes forward.
    case proved
  }
  static let currentVersion = 1

  var version = Self.currentVersion
  var phase: Phase
  /// PEM, the LDevID certificate first.
  var chain: String
}

/// The files of a renewal in the state folder. The old credential stays whole until the new one was proved, and what is proved is never given up, so
/// that a cut at any moment leaves one of the two:
///
/// 1. `renewal.key`, then `renewal.json` (proving). A cut: the next start removes both.
/// 2. `renewal.key` again, then `renewal.json` (proved): the moment that counts.
/// 3. `operational.key`, then `owner.json` with its chain. A cut: the next start does both again.
/// 4. `renewal.json` is removed, then `renewal.key`. A cut: the next start removes what is left.
struct RenewalFolder: Sendable {
  private static let renewal = "renewal.json"
  private static let key = "renewal.key"

  let state: StateFolder
  private var folder: PrivateFolder { state.folder }

  /// A new candidate takes the place of whatever was there.
  func begin(_ key: PrivateKey, chain: String) throws {
    try giveUp()
    try folder.write(key, Self.key)
    try folder.write(StoredRenewal(phase: .proving, chain: chain), Self.renewal)
  }

  /// The candidate was proved: it is the credential now. Its key once more, so that the two files belong together whatever lay there.
  func complete(_ key: PrivateKey, chain: String) throws {
    try folder.write(key, Self.key)
    try folder.write(StoredRenewal(phase: .proved, chain: chain), Self.renewal)
    try replace(key, chain)
  }

  private func replace(_ key: PrivateKey, _ chain: String) throws {
    try state.replaceOperational(key, chain: chain)
    try giveUp()
  }

  /// Removes the candidate. The document first: a key without it is nothing.
  func giveUp() throws {
    try folder.remove(Self.renewal)
    try folder.remove(Self.key)
  }

  /// What a start does with what the runtime before left.
  enum Leftover: Equatable { case nothing, givenUp, completed }

  /// Ends a renewal that a cut or an end of the runtime interrupted. Called before the state is read.
  ///
  /// - Throws: `StateDamage`, `SystemCallError`.
  func settle() throws -> Leftover {
    guard let stored = try folder.read(StoredRenewal.self, Self.renewal, as: "a renewal that was begun") else {
      try folder.remove(Self.key)
      return .nothing
    }
    try folder.check(version: stored.version, is: StoredRenewal.currentVersion, of: Self.renewal)
    // Without an owner, as in the midst of a wipe, it means nothing.
    guard stored.phase == .proved, try state.readOwner() != nil else {
      try giveUp()
      return .givenUp
    }
    guard let key = try folder.readKey(Self.key) else { throw damage("the key of a renewal that was proved is missing") }
    try replace(key, stored.chain)
    return .completed
  }
}
