public import Crypto
import Foundations

/// An owner's name: the first 10 bytes of the SHA-256 of its authority's public key (SubjectPublicKeyInfo, DER), in hexadecimal.
///
/// It names the key and not a person, so that nobody hands it out and nobody can take it.
public struct OwnerIdentifier: Hashable, Sendable, CustomStringConvertible {
  /// 20 lower-case hexadecimal digits.
  public let text: String

  /// The owner whose authority has `publicKey`.
  public init(publicKey: PublicKey) { text = hexadecimal(publicKey.digest.prefix(10)) }

  /// The owner whose authority's certificate is `authority`. Says nothing about whether it is one: see `OwnerAuthorityProfile`.
  public init(authority: Certificate) { text = hexadecimal(authority.publicKeyDigest.prefix(10)) }

  /// - Parameter text: 20 hexadecimal digits, kept in lower case; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 20, let parsed = bytes(hexadecimal: text) else { return nil }
    self.text = hexadecimal(parsed)
  }

  public var description: String { text }
}

/// The name of a person or of a person's tool within one owner: 1…32 characters of `a`–`z`, `0`–`9`, `.`, `-`, `_`, the first a letter or
/// digit. It is a path segment of a URI, so nothing in it is ever escaped.
public struct PersonName: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// nil for anything else; upper case is not folded.
  public init?(_ text: some StringProtocol) {
    func isPlain(_ byte: UInt8) -> Bool { (97...122).contains(byte) || (48...57).contains(byte) }
    guard (1...32).contains(text.utf8.count), let first = text.utf8.first, isPlain(first),
      text.utf8.allSatisfy({ isPlain($0) || $0 == 45 || $0 == 46 || $0 == 95 })
    else { return nil }
    self.text = String(text)
  }

  public var description: String { text }
}
