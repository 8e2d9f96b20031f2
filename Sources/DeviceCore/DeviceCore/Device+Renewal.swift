import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import TLS

/// A renewal of the LDevID: two live credentials, until a client of the owner's has accepted the new one.
struct RenewalState: Sendable {
  /// A credential that may replace the present one.
  struct Candidate: Sendable {
    let chain: [Certificate]
    let key: PrivateKey
    let pem: String
    /// When it is given up, milliseconds of `BootClock`.
    let ends_ms: UInt64
    /// A client of the owner's accepted it.
    var isProved = false
  }

  /// The key of a request that was not answered yet.
  var offered: PrivateKey?
  var candidate: Candidate?
  /// The certificate that the present one replaced since the runtime started; of a renewal that completes, the one that the port still shows.
  var previous: Certificate?
}

extension Device {
  /// How long a candidate is shown: the tool that installs it proves it in its next connection, and a person who does it by hand has time to.
  static let renewalTrial_ms: UInt64 = 600_000

  /// `GET /v1/credential`
  func credential(now_ms: UInt64 = BootClock.now_ms()) throws(Problem) -> CredentialDocument {
    guard let current = operationalCredential?.chain.first else { throw notOwned() }
    let renewal = renewal.withLockedValue { $0 }
    // What was adopted is not said before the port shows it: who reads this connects again to see it.
    let isShown = renewal.candidate?.chain.first != current
    return CredentialDocument(
      certificate: CredentialDocument.Certificate(isShown ? current : renewal.previous ?? current),
      renewal: renewal.candidate != nil ? .proving : renewal.offered != nil ? .offered : .none,
      candidate: (renewal.candidate?.chain.first).map { CredentialDocument.Certificate($0) },
      remainingMilliseconds: renewal.candidate.map { $0.ends_ms > now_ms ? $0.ends_ms - now_ms : 0 },
      previous: renewal.previous.map { CredentialDocument.Certificate($0) })
  }

  /// The request for the next LDevID certificate, of a fresh key that stays the same until it is answered or the runtime ends; and, by the key of the
  /// device's whole life, that it is this device that asks. The LDevID that it shows proves less: its key may be in other hands.
  ///
  /// - Parameter binding: what TLS exports for the connection.
  func renewalOffer(binding: [UInt8]) throws(Problem) -> RenewalOfferDocument {
    guard operationalCredential != nil else { throw notOwned() }
    let request: CertificateRequest
    do throws(CryptoError) {
      let fresh = try PrivateKey.generateP256()
      let key = renewal.withLockedValue { state in
        let key = state.offered ?? fresh
        state.offered = key
        return key
      }
      request = try OperationalDeviceProfile.request(key: key, device: identifier)
    } catch {
      log.append(.error, source: "core", "a certificate request could not be made: \(error)")
      throw .unavailable("The certificate request could not be made.")
    }
    return RenewalOfferDocument(
      deviceId: identifier.text, certificateRequest: request.pem,
      identity: try identityProof(state.withLockedValue { $0.makerChain }, binding, request: request))
  }

  /// Takes the next LDevID certificate as a candidate. The present one serves as before.
  func installRenewal(chainPEM: String, now_ms: UInt64 = BootClock.now_ms()) throws(Problem) {
    guard let authority = owner else { throw notOwned() }
    // No wipe and no other renewal in between: nothing of this owner's is written after it.
    try beginOwned(by: authority)
    defer { end() }
    let (offered, isProved) = renewal.withLockedValue { ($0.offered, $0.candidate?.isProved ?? false) }
    // What was proved only goes forward: another one in its place could leave neither.
    guard !isProved else {
      throw .conflict("renewal-completing", "The renewal before was proved and is still being written down, which is tried again; the log tells why.")
    }
    guard let key = offered else {
      throw .conflict("renewal-not-offered", "Ask for the certificate request first (POST /v1/credential/renewal): the device made no key for it yet.")
    }
    let known = CertificateRules.Owner(certificate: authority, identifier: OwnerIdentifier(authority: authority))
    let chain = try rules.checkOperationalChain(chainPEM, key: key.publicKey, owner: known)
    do throws(Problem) {
      try save { try renewalFolder.begin(key, chain: chainPEM) }
    } catch {
      // The files of a candidate before may be gone: it cannot be proved any more.
      renewal.withLockedValue { $0.candidate = nil }
      credentialsChanged()
      throw error
    }
    renewal.withLockedValue { state in
      state.offered = nil
      state.candidate = RenewalState.Candidate(chain: chain, key: key, pem: chainPEM, ends_ms: now_ms + Self.renewalTrial_ms)
    }
    log.append(.notice, source: "core", "a new LDevID certificate is on trial; it is shown as \(OperationalDeviceProfile.renewalName(identifier))")
    credentialsChanged()
  }

  /// An admin of the owner's completed a handshake in which the candidate was shown: both sides have proved what they hold. Writes, so not for an event loop.
  ///
  /// - Parameter shown: the candidate's certificate, as the handshake showed it.
  func renewalProved(_ shown: Certificate) {
    let isNews = renewal.withLockedValue { state in
      guard state.candidate?.isProved == false, state.candidate?.chain.first == shown else { return false }
      state.candidate?.isProved = true
      return true
    }
    if isNews { completeRenewal() }
  }

  /// Gives up a candidate that nobody proved in time, and tries again what could not be written. Called now and then.
  func checkRenewal(now_ms: UInt64 = BootClock.now_ms()) {
    guard let candidate = renewal.withLockedValue({ $0.candidate }) else { return }
    if candidate.isProved { return completeRenewal() }
    guard now_ms >= candidate.ends_ms, beginsRenewal() else { return }
    defer { end() }
    let isLate = renewal.withLockedValue { state in
      guard let candidate = state.candidate, !candidate.isProved, now_ms >= candidate.ends_ms else { return false }
      state.candidate = nil
      return true
    }
    guard isLate else { return }
    do {
      try renewalFolder.giveUp()
    } catch {
      // The next start gives it up as well.
      log.append(.error, source: "core", "the files of a renewal could not be removed: \(error)")
    }
    log.append(.warning, source: "core", "the new LDevID certificate was not proved in \(Self.renewalTrial_ms / 60_000) min; the present one stays")
    credentialsChanged()
  }

  private func completeRenewal() {
    guard beginsRenewal() else { return }
    defer { end() }
    // A wipe in between has taken it away.
    guard let candidate = renewal.withLockedValue({ $0.candidate }), candidate.isProved, let former = operationalCredential?.chain.first else { return }
    do {
      try renewalFolder.complete(candidate.key, chain: candidate.pem)
    } catch {
      log.append(.error, source: "core", "the new LDevID certificate could not be kept, which is tried again: \(error)")
      return
    }
    renewal.withLockedValue { $0.previous = former }
    adopt(candidate.chain, candidate.key)
    log.append(.notice, source: "core", "the LDevID certificate was renewed; it is valid until \(rfc3339(candidate.chain.first?.notAfter_s ?? 0))")
    credentialsChanged(isAdopted: true)
    renewal.withLockedValue { $0.candidate = nil }
  }

  /// False where the device has no owner, or another change of its life is under way, after which `checkRenewal` tries again. `end` follows where true.
  private func beginsRenewal() -> Bool {
    do throws(Problem) {
      _ = try begin([.owned])
      return true
    } catch {
      return false
    }
  }

  private func notOwned() -> Problem { .conflict("life-cycle-state", "The device is \(standing.phase.rawValue); only an owned one has an LDevID.") }
}

extension CredentialDocument.Certificate {
  init(_ certificate: Certificate) {
    self.init(
      serialNumber: hexadecimal(certificate.serialNumber), notBefore: rfc3339(certificate.notBefore_s), notAfter: rfc3339(certificate.notAfter_s))
  }
}
