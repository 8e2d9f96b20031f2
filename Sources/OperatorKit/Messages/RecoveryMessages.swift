/// `GET /v1/recovery-key`: what the device knows of the key that opens its disk on a PC.
public struct RecoveryKeyState: Codable, Equatable, Sendable {
  /// `none` or `in-force`.
  public var state: String
  /// 16 hexadecimal digits.
  public var fingerprint: String?
  /// RFC 3339, UTC, by the device's clock.
  public var orderedAt: String?
  /// `set` or `remove`, for the moment until the device restarts.
  public var pending: String?
}

/// The answer of `POST /v1/recovery-key`.
struct RecoveryOffer: Codable, Sendable {
  /// 64 hexadecimal digits.
  var publicKey: String
}

/// The body of `PUT /v1/recovery-key`.
struct RecoveryOrder: Codable, Sendable {
  /// Hexadecimal digits.
  var sealedKey: String
  var event: UInt64
  var nonce: String
  var certificate: String
  var signature: String

  init(sealedKey: String, proof: StatementProof) {
    self.sealedKey = sealedKey
    event = proof.event
    nonce = proof.nonce
    certificate = proof.certificate
    signature = proof.signature
  }
}
