// The bodies of provisioning and claim, as docs/openapi.json describes them.

/// `GET /v1/provisioning`
public struct ProvisioningDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  /// PKCS #10 of the device's key, PEM.
  public var certificateRequest: String
  public var hardwareModel: String
  public var firmwareVersion: String

  public init(deviceId: String, certificateRequest: String, hardwareModel: String, firmwareVersion: String) {
    self.deviceId = deviceId
    self.certificateRequest = certificateRequest
    self.hardwareModel = hardwareModel
    self.firmwareVersion = firmwareVersion
  }
}

/// What a station tells a device of its label: scrypt's salt and costs (RFC 7914), and the SHA-256 of the key that the code becomes with them. Never the
/// code.
public struct LabelDocument: Codable, Sendable, Equatable {
  /// 32 hexadecimal digits.
  public var salt: String
  public var n: Int
  public var r: Int
  public var p: Int
  /// 64 hexadecimal digits.
  public var storedKey: String

  public init(salt: String, n: Int, r: Int, p: Int, storedKey: String) {
    self.salt = salt
    self.n = n
    self.r = r
    self.p = p
    self.storedKey = storedKey
  }

  private enum Member: String, CodingKey, CaseIterable { case salt, n, r, p, storedKey }

  public init(from decoder: any Decoder) throws {
    for name in try decoder.container(keyedBy: AnyMember.self).allKeys where Member(stringValue: name.stringValue) == nil {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath + [name], debugDescription: "an unknown member"))
    }
    let members = try decoder.container(keyedBy: Member.self)
    salt = try members.decode(String.self, forKey: .salt)
    n = try members.decode(Int.self, forKey: .n)
    r = try members.decode(Int.self, forKey: .r)
    p = try members.decode(Int.self, forKey: .p)
    storedKey = try members.decode(String.self, forKey: .storedKey)
  }
}

/// Any member of an object, to see which are there.
private struct AnyMember: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// `PUT /v1/provisioning`
public struct ProvisioningRequest: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["serialNumber", "certificateChain", "label"]
  public var serialNumber: String
  /// PEM, the IDevID certificate first.
  public var certificateChain: String
  public var label: LabelDocument

  public init(serialNumber: String, certificateChain: String, label: LabelDocument) {
    self.serialNumber = serialNumber
    self.certificateChain = certificateChain
    self.label = label
  }
}

/// What a claimant needs besides the code to prove that it knows the label's code.
public struct LabelParametersDocument: Codable, Sendable, Equatable {
  public var salt: String
  public var n: Int
  public var r: Int
  public var p: Int

  public init(salt: String, n: Int, r: Int, p: Int) {
    self.salt = salt
    self.n = n
    self.r = r
    self.p = p
  }
}

/// Whether proofs are looked at now.
public struct PresenceDocument: Codable, Sendable, Equatable {
  public var open: Bool
  /// Until the window that the button opened closes; 0 where it is closed.
  public var remainingMilliseconds: UInt64

  public init(open: Bool, remainingMilliseconds: UInt64) {
    self.open = open
    self.remainingMilliseconds = remainingMilliseconds
  }
}

/// What wrong proofs have cost.
public struct LockOutDocument: Codable, Sendable, Equatable {
  /// Since the last right one.
  public var failures: Int
  /// Until the next proof is looked at.
  public var waitMilliseconds: UInt64

  public init(failures: Int, waitMilliseconds: UInt64) {
    self.failures = failures
    self.waitMilliseconds = waitMilliseconds
  }
}

/// Who an owned device is: it serves TLS with its LDevID, which says nothing to one who is not of its owner.
public struct IdentityProofDocument: Codable, Sendable, Equatable {
  /// PEM, the IDevID certificate first.
  public var certificateChain: String
  /// Of the device's key over this very connection, hexadecimal; see docs/protocol.md.
  public var signature: String

  public init(certificateChain: String, signature: String) {
    self.certificateChain = certificateChain
    self.signature = signature
  }
}

/// `GET /v1/claim`
public struct ClaimOfferDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  public var serialNumber: String
  /// PKCS #10 of the fresh operational key, PEM; absent where the device has an owner and is to be wiped first.
  public var certificateRequest: String?
  public var label: LabelParametersDocument
  public var presence: PresenceDocument
  public var lockout: LockOutDocument
  /// Where the device has an owner.
  public var identity: IdentityProofDocument?

  public init(
    deviceId: String, serialNumber: String, certificateRequest: String?, label: LabelParametersDocument, presence: PresenceDocument,
    lockout: LockOutDocument, identity: IdentityProofDocument?
  ) {
    self.deviceId = deviceId
    self.serialNumber = serialNumber
    self.certificateRequest = certificateRequest
    self.label = label
    self.presence = presence
    self.lockout = lockout
    self.identity = identity
  }
}

/// `POST /v1/claim`
public struct ClaimRequest: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["ownerCertificate", "certificateChain", "proof"]
  /// The owner CA's certificate, PEM.
  public var ownerCertificate: String
  /// PEM, the LDevID certificate first; absent to wipe a device that has an owner.
  public var certificateChain: String?
  /// Of the label's code, 64 hexadecimal digits; see docs/protocol.md.
  public var proof: String

  public init(ownerCertificate: String, certificateChain: String?, proof: String) {
    self.ownerCertificate = ownerCertificate
    self.certificateChain = certificateChain
    self.proof = proof
  }
}

/// The answer to a change of the life cycle.
public struct LifeCycleDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  public var ownerId: String?
  public var lifeCycleState: LifeCycleState

  public init(deviceId: String, ownerId: String?, lifeCycleState: LifeCycleState) {
    self.deviceId = deviceId
    self.ownerId = ownerId
    self.lifeCycleState = lifeCycleState
  }
}
