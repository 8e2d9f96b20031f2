// The bodies of the disk's recovery key, as docs/openapi.json describes them.

/// `GET /v1/recovery-key`: what the device knows of the key that opens its disk elsewhere. It does not have the key.
public struct RecoveryKeyDocument: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case none
    case inForce = "in-force"
  }

  /// What the next start of the machine does.
  public enum Wish: String, Codable, Sendable, CaseIterable { case set, remove }

  public var state: State
  /// 16 hexadecimal digits that its maker derived from it.
  public var fingerprint: String?
  /// RFC 3339, UTC, by the device's clock.
  public var orderedAt: String?
  /// Absent where nothing is ordered; else the machine restarts in a moment.
  public var pending: Wish?

  public init(state: State, fingerprint: String?, orderedAt: String?, pending: Wish?) {
    self.state = state
    self.fingerprint = fingerprint
    self.orderedAt = orderedAt
    self.pending = pending
  }
}

/// `POST /v1/recovery-key`
public struct RecoveryOfferDocument: Codable, Sendable, Equatable {
  /// X25519 (RFC 7748), 64 hexadecimal digits, of the supervisor; it serves for one order.
  public var publicKey: String

  public init(publicKey: String) { self.publicKey = publicKey }
}

/// `PUT /v1/recovery-key`
public struct RecoveryKeyRequest: RequestDocument, SignedRequest, Codable, Equatable {
  public static let fieldNames: Set<String> = ["sealedKey", "event", "nonce", "certificate", "signature"]
  /// The recovery key, sealed to the newest offer, in hexadecimal: the body of the statement.
  public var sealedKey: String
  public var event: UInt64
  public var nonce: String
  public var certificate: String
  public var signature: String

  public init(sealedKey: String, event: UInt64, nonce: String, certificate: String, signature: String) {
    self.sealedKey = sealedKey
    self.event = event
    self.nonce = nonce
    self.certificate = certificate
    self.signature = signature
  }
}
