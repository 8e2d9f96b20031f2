import Crypto
import NIOConcurrencyHelpers

/// The owner's revocation list as it counts now. Any thread may ask; nothing waits.
final class RevocationHolder: Sendable {
  enum State: Sendable {
    /// The owner has not withdrawn anybody yet.
    case none
    case list(CertificateRevocationList)
    /// There is a list and it cannot be read: whom it withdraws is not known, so nobody of any owner is let in.
    case unreadable(String)
  }
  private let state = NIOLockedValueBox(State.none)

  var isUnreadable: Bool { state.withLockedValue { if case .unreadable = $0 { true } else { false } } }
  var list: CertificateRevocationList? { state.withLockedValue { if case .list(let list) = $0 { list } else { nil } } }

  func become(_ new: State) { state.withLockedValue { $0 = new } }

  /// Why `certificate` does not count any more, nil where it does. One that nobody but its own key vouches for is no owner's to withdraw.
  func refusal(of certificate: Certificate) -> CertificateRefusal? {
    switch state.withLockedValue({ $0 }) {
    case .none: nil
    case .list(let list):
      list.revokes(certificate)
        ? CertificateRefusal(.revoked, "\(certificate.subject), serial number \(certificate.serial?.description ?? ""), was withdrawn by its owner") : nil
    case .unreadable(let why):
      certificate.isSelfIssued
        ? nil : CertificateRefusal(.revoked, "whether \(certificate.subject) was withdrawn is not known: the revocation list cannot be read: \(why)")
    }
  }
}
