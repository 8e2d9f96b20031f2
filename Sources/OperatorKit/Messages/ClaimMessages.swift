internal import Crypto
internal import Foundations
internal import Identity

/// What a device is told of its label: never the code.
struct LabelOrder: Codable, Sendable {
  /// Hexadecimal digits, as `storedKey`.
  var salt: String
  var n: Int
  var r: Int
  var p: Int
  var storedKey: String

  init(_ verifier: LabelVerifier) {
    salt = hexadecimal(verifier.parameters.salt)
    (n, r, p) = (verifier.parameters.cost.n, verifier.parameters.cost.r, verifier.parameters.cost.p)
    storedKey = hexadecimal(verifier.storedKey)
  }
}

struct ProvisioningOrder: Codable, Sendable {
  var serialNumber: String
  var certificateChain: String
  var label: LabelOrder
}

/// `GET /v1/claim`
struct ClaimOffer: Codable, Sendable {
  struct Label: Codable, Sendable {
    var salt: String
    var n: Int
    var r: Int
    var p: Int
  }
  struct Presence: Codable, Sendable {
    var open: Bool
    var remainingMilliseconds: UInt64
  }
  struct LockOut: Codable, Sendable {
    var failures: Int
    var waitMilliseconds: UInt64
  }
  struct IdentityProof: Codable, Sendable {
    var certificateChain: String
    var signature: String
  }

  var deviceId: String
  var serialNumber: String
  /// Absent where the device has an owner.
  var certificateRequest: String?
  var label: Label
  var presence: Presence
  var lockout: LockOut
  /// Where the device has an owner.
  var identity: IdentityProof?
}

struct ClaimOrder: Codable, Sendable {
  var ownerCertificate: String
  /// Absent to wipe a device that has an owner.
  var certificateChain: String?
  var proof: String
}

/// What a device answers once it was provisioned or claimed.
struct LifeCycleAnswer: Codable, Sendable {
  var deviceId: String
  var ownerId: String?
  var lifeCycleState: String
}

/// What became of a claim.
public struct ClaimEvent: Codable, Equatable, Sendable {
  /// `proof-wrong`, `locked`, `claimed` or `wiped`.
  public var outcome: String
  /// Wrong proofs since the last right one.
  public var failures: Int
  /// Until the next proof is looked at.
  public var waitMilliseconds: UInt64
  /// Milliseconds since the device's kernel started.
  public var uptimeMilliseconds: UInt64?
}
