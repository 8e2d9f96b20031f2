/// What a device states of a wipe of itself, signed by its identity key (IDevID): who gives it away shows it to who takes it.
///
/// The text that is signed is one line of JSON with the members of this value; what is verified is that text, byte by byte.
public struct WipeStatement: Codable, Sendable, Equatable {
  /// Who ordered it.
  public enum Cause: String, Codable, Sendable {
    /// Whoever held the label and stood at the device.
    case label
    /// An admin of the owner, by a signed statement.
    case owner
    /// Whoever stood at the device and held its button.
    case button
  }
  /// What became of the data at the owner's cloud.
  public enum CloudErasure: String, Codable, Sendable {
    /// The device had no cloud.
    case none
    /// The cloud said, over its authenticated connection, that it had erased what it held of the device.
    case confirmed
    /// It was not reached, or did not say so.
    case unconfirmed
  }
  public static let currentVersion = 1

  public var version = Self.currentVersion
  public var deviceId: String
  public var serialNumber: String
  public var cause: Cause
  /// When it was ordered, by the device's clock; RFC 3339, UTC.
  public var time: String
  /// Whose the device was.
  public var formerOwnerId: String
  /// What the keys of its storage were sealed with: `tpm2`, `development`, `none`. Where it is `none` files were removed and no key was destroyed.
  public var rootOfTrust: String
  /// The root of trust's count of the device's lives, before and after: no key that was sealed in an earlier one opens again. Absent without a root of trust.
  public var identityEpochBefore: UInt64?
  public var identityEpochAfter: UInt64?
  /// The cloud's word to the device; absent where firmware before this one wiped.
  public var cloudErasure: CloudErasure?

  public init(
    deviceId: String, serialNumber: String, cause: Cause, time: String, formerOwnerId: String, rootOfTrust: String, identityEpochBefore: UInt64?,
    identityEpochAfter: UInt64?, cloudErasure: CloudErasure?
  ) {
    self.deviceId = deviceId
    self.serialNumber = serialNumber
    self.cause = cause
    self.time = time
    self.formerOwnerId = formerOwnerId
    self.rootOfTrust = rootOfTrust
    self.identityEpochBefore = identityEpochBefore
    self.identityEpochAfter = identityEpochAfter
    self.cloudErasure = cloudErasure
  }

  /// `haechi-wipe-1`, a zero byte, the text.
  ///
  /// The words in front keep the key's other signatures (`IdentityProof`, TLS) from ever being one.
  public static func signedBytes(_ text: String) -> [UInt8] { Array("haechi-wipe-1".utf8) + [0] + Array(text.utf8) }
}
