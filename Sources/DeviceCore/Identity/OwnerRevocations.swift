public import Crypto

/// What makes a revocation list the next one of an owner's: the owner's tool, the runtime and the supervisor's worker all ask here.
public enum OwnerRevocations {
  /// Refuses `list` where the owner did not sign it, or where it would take something back: a list only grows.
  ///
  /// - Parameters:
  ///   - owner: the owner CA's certificate that was pinned at the claim.
  ///   - previous: the list that counts now; nil before the first.
  public static func check(
    _ list: CertificateRevocationList, owner: Certificate, after previous: CertificateRevocationList?
  ) throws(CertificateRefusal) {
    if let refusal = list.refusal(issuer: owner) { throw refusal }
    guard let previous, previous != list else { return }
    guard list.number > previous.number else {
      throw CertificateRefusal(.profile, "its number is \(list.number), and number \(previous.number) counts already")
    }
    if let missing = previous.revoked.first(where: { !list.revokes($0.serial) }) {
      throw CertificateRefusal(.profile, "it leaves out \(missing.serial), which list \(previous.number) has withdrawn")
    }
  }
}
