import Crypto
import Foundations
import Identity
import LocalAPI
import TLS

/// Which certificates count in which state: whom TLS lets in, what a caller is, and what provision and claim must bring.
struct CertificateRules: Sendable {
  let device: DeviceIdentifier
  /// The maker's authority that is pinned in the firmware.
  let maker: Certificate
  let clock: WallClock
  /// Whether another device of the owner's may be let in; `isNew` in a handshake.
  var admitsPeer: @Sendable (_ device: DeviceIdentifier, _ isNew: Bool) -> Bool = { _, _ in false }

  /// A checked owner CA.
  struct Owner {
    let certificate: Certificate
    let identifier: OwnerIdentifier
  }

  // MARK: Callers

  /// Whose certificates the handshake accepts.
  ///
  /// - Parameter isPresent: whether somebody stands at the device: then an owned one hears claimants too, who may wipe it by its label.
  func clientTrust(_ phase: LifeCyclePhase, owner: Certificate?, isPresent: @escaping @Sendable () -> Bool) -> ClientTrust {
    switch (phase, owner) {
    case (.provisioned, _): .selfSigned
    // People and devices: which one it is says the profile.
    case (.owned, let owner?): .authorityOrSelfSigned([owner], requiredUsage: .clientAuthentication, admits: isPresent)
    // Without an owner nobody but a station is let in, whatever else is the matter.
    case (.blank, _), (.damaged, _), (.owned, nil): .authority([maker], requiredUsage: HaechiObjectIdentifier.stationUsage)
    }
  }

  /// Who the holder of a certificate is in this state, whether or not it is let in. That its chain is right was seen in the handshake.
  func identity(_ peer: Certificate, phase: LifeCyclePhase, owner: OwnerIdentifier?) throws(CertificateRefusal) -> CallerIdentity {
    switch (phase, owner) {
    case (.provisioned, _): ClaimantProfile.check(peer)
    // Nobody but its own key speaks for it: whatever it names, it is a claimant's or nobody's.
    case (.owned, _?) where peer.isSelfSigned: ClaimantProfile.check(peer)
    case (.owned, let owner?) where peer.ekuOIDs.contains(HaechiObjectIdentifier.deviceUsage): try sibling(peer, owner: owner)
    case (.owned, let owner?): try PersonProfile.check(peer, owner: owner)
    case (.blank, _), (.damaged, _), (.owned, nil): try StationProfile.check(peer)
    }
  }

  /// Another device of the same owner's.
  private func sibling(_ peer: Certificate, owner: OwnerIdentifier) throws(CertificateRefusal) -> CallerIdentity {
    let named = try OperationalDeviceProfile.check(peer)
    guard named.owner == owner else { throw CertificateRefusal(.profile, "\(peer.subject) is a device of the owner \(named.owner), not of \(owner)") }
    guard named.device != device else { throw CertificateRefusal(.profile, "\(peer.subject) is this device itself") }
    return .device(owner: owner, named.device)
  }

  /// Whom the device does not let in now. An owned one hears claimants only while somebody stands at it, and of the owner's other devices those that
  /// are peers or may ask to be.
  ///
  /// By its grade it serves in `restricted` no other devices; in `quarantined` only the owner's admins, claimants, whom the supervisor lets wipe it or
  /// not, and a station where it is damaged; in `locked` nobody.
  /// An owned device serves nobody but its owner's people and devices anyway. One without an owner goes on to serve stations and claimants while it is
  /// restricted, only slowly: else anyone on the network could keep it from ever being claimed.
  ///
  /// - Parameter isNew: its handshake was completed just now.
  func refusal(of identity: CallerIdentity, phase: LifeCyclePhase, grade: Grade, isPresent: Bool, isNew: Bool = false) -> CertificateRefusal? {
    switch identity {
    case .claimant where phase == .owned && !isPresent:
      return CertificateRefusal(.untrusted, "\(identity) is self-signed, and this device has an owner; its button was not pressed lately")
    case .device(_, let device) where !admitsPeer(device, isNew):
      return CertificateRefusal(.profile, "\(identity) is no peer of this device, and it takes no more that ask")
    default: break
    }
    let mayEnter =
      switch (identity, grade) {
      case (_, .normal), (.person, .restricted), (.station, .restricted), (.claimant, .restricted): true
      case (.person(_, _, .admin), .quarantined), (.claimant, .quarantined): true
      // What lost its owner's files is made whole, and then wiped by whoever claims it: the supervisor knows the owner still.
      case (.station, .quarantined): phase == .damaged
      default: false
      }
    return mayEnter ? nil : CertificateRefusal(.profile, "the device is \(grade.word), in which \(identity) is not served")
  }

  func refusal(
    _ peer: Certificate, phase: LifeCyclePhase, owner: OwnerIdentifier?, grade: Grade, isPresent: Bool
  ) -> CertificateRefusal? {
    do {
      return refusal(of: try identity(peer, phase: phase, owner: owner), phase: phase, grade: grade, isPresent: isPresent, isNew: true)
    } catch {
      return error
    }
  }

  /// What the API lets somebody do who is let in.
  ///
  /// - Parameter serial: of the certificate.
  func caller(_ identity: CallerIdentity, serial: String?) -> CallerDecision {
    switch identity {
    case .station: .allowed(.station, name: identity.description)
    case .claimant: .allowed(.claimant, name: identity.description)
    case .person(_, _, let role): .allowed(CallerRole(role), name: identity.description, serial: serial)
    case .device(_, let device): .peer(device)
    }
  }

  // MARK: Own certificates

  /// The certificate of a device that has no other.
  func selfSigned(_ key: PrivateKey) throws(CryptoError) -> Certificate { try InitialDeviceProfile.selfSigned(key: key, now_s: clock.now_s()) }

  /// The IDevID chain in `pem`, leaf first and without the maker's authority, or the problem that says why it is refused.
  ///
  /// - Parameter isKnown: it was accepted before, so its dates are not looked at again: a certificate that has ended, or a clock that was
  ///   lost, is no damage to the device's state. Whoever connects judges the dates.
  func checkMakerChain(_ pem: String, key: PublicKey, serialNumber: String, isKnown: Bool = false) throws(Problem) -> [Certificate] {
    guard (1...64).contains(serialNumber.utf8.count), serialNumber.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw .unprocessable("serial-number-invalid", "A serial number has 1 to 64 printable ASCII characters without spaces.", field: "serialNumber")
    }
    let (leaf, others) = try chain(pem)
    do {
      guard leaf.publicKeyDigest == key.digest else {
        throw CertificateRefusal(.profile, "\(leaf.subject) is not the certificate of this device's key")
      }
      guard try InitialDeviceProfile.check(leaf) == device else { throw CertificateRefusal(.profile, "\(leaf.subject) is for another device") }
      guard leaf.subjectSerialNumber == serialNumber else {
        throw CertificateRefusal(.profile, "\(leaf.subject) does not have the serial number \(serialNumber)")
      }
      // Only what was verified is kept: another certificate that came along is nobody's word, and TLS might refuse to show it.
      return try ChainVerifier(authorities: [maker], purpose: .server).verifiedChain(
        leaf: leaf, intermediates: others, time_s: time_s([leaf, maker] + others, isKnown: isKnown)
      ).filter { $0 != maker }
    } catch let refusal as CertificateRefusal {
      throw refused(refusal, field: "certificateChain")
    } catch {
      throw .unprocessable("certificate-invalid", "The certificate chain cannot be checked.", field: "certificateChain")
    }
  }

  /// The owner CA in `pem`, or the problem that says why it is refused.
  func checkOwner(_ pem: String, isKnown: Bool = false) throws(Problem) -> Owner {
    do {
      let certificate = try Certificate(pem: pem)
      let identifier = try OwnerAuthorityProfile.check(certificate)
      if let refusal = certificate.refusal(at: time_s([certificate], isKnown: isKnown)) { throw refusal }
      return Owner(certificate: certificate, identifier: identifier)
    } catch let refusal as CertificateRefusal {
      throw refused(refusal, field: "ownerCertificate")
    } catch {
      throw malformed(error, field: "ownerCertificate")
    }
  }

  /// The LDevID chain in `pem`, leaf first and without the owner's authority, or the problem that says why it is refused.
  func checkOperationalChain(_ pem: String, key: PublicKey, owner: Owner, isKnown: Bool = false) throws(Problem) -> [Certificate] {
    let (leaf, others) = try chain(pem)
    do {
      guard leaf.publicKeyDigest == key.digest else {
        throw CertificateRefusal(.profile, "\(leaf.subject) is not the certificate of the operational key that this device made for the claim")
      }
      let named = try OperationalDeviceProfile.check(leaf)
      guard named.owner == owner.identifier else { throw CertificateRefusal(.profile, "\(leaf.subject) is for the owner \(named.owner)") }
      guard named.device == device else { throw CertificateRefusal(.profile, "\(leaf.subject) is for the device \(named.device)") }
      return try ChainVerifier(authorities: [owner.certificate], purpose: .server).verifiedChain(
        leaf: leaf, intermediates: others, time_s: time_s([leaf, owner.certificate] + others, isKnown: isKnown)
      ).filter { $0 != owner.certificate }
    } catch let refusal as CertificateRefusal {
      throw refused(refusal, field: "certificateChain")
    } catch {
      throw .unprocessable("certificate-invalid", "The certificate chain cannot be checked.", field: "certificateChain")
    }
  }

  /// Now; for what is known a moment at which all of `certificates` were valid.
  private func time_s(_ certificates: [Certificate], isKnown: Bool) -> Int64 {
    let now_s = clock.now_s()
    guard isKnown, let begin_s = certificates.map(\.notBefore_s).max(), let end_s = certificates.map(\.notAfter_s).min() else { return now_s }
    return max(begin_s, min(now_s, end_s - 1))
  }

  private func chain(_ pem: String) throws(Problem) -> (leaf: Certificate, others: [Certificate]) {
    do {
      let certificates = try Certificate.chain(pem: pem)
      guard let leaf = certificates.first else { throw CryptoError(code: "malformed-input", reason: "there is no certificate") }
      return (leaf, Array(certificates.dropFirst()))
    } catch {
      throw malformed(error, field: "certificateChain")
    }
  }

  private func refused(_ refusal: CertificateRefusal, field: String) -> Problem {
    .unprocessable(refusal.code, "The certificate is refused: \(refusal.reason).", field: field)
  }

  private func malformed(_ error: any Error, field: String) -> Problem {
    let reason = (error as? CryptoError)?.reason ?? "it cannot be read"
    return .unprocessable("certificate-malformed", "\(field) is not what it should be, certificates in PEM: \(reason).", field: field)
  }
}

extension CallerRole {
  init(_ role: Role) {
    switch role {
    case .viewer: self = .viewer
    case .operator: self = .operator
    case .admin: self = .admin
    }
  }
}
