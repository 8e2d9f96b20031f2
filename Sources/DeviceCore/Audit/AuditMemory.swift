internal import Crypto
internal import Foundations

/// What an owner remembers of a device's log, to hold the next export against: whose keys it was made with, and how far it went.
///
/// Whoever takes over the whole device can give it a new log, or an old copy of it; they cannot take this back.
public struct AuditMemory: Codable, Sendable, Equatable {
  /// The device's id.
  public let device: String
  /// SHA-256 of the audit key's SubjectPublicKeyInfo, hexadecimal.
  public let key: String
  /// SHA-256 of the sealed key of the entries' codes and the number of the first that it is for, hexadecimal; empty where none is sealed.
  public let sealed: String
  /// The last entry, and the chain's value after it, hexadecimal; 0 and empty where there was none.
  public internal(set) var sequence: UInt64 = 0
  public internal(set) var digest = ""

  init(_ anchor: AuditAnchor) {
    device = anchor.device.text
    key = hexadecimal(anchor.key.digest)
    sealed = anchor.sealedKey.isEmpty ? "" : hexadecimal(sha256(bigEndian(anchor.sealedFrom) + anchor.sealedKey))
  }
}
