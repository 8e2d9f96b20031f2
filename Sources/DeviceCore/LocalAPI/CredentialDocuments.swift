// The bodies of the LDevID's renewal, as docs/openapi.json describes them.

/// `GET /v1/credential`: the certificate that the device shows, and how its renewal stands.
public struct CredentialDocument: Codable, Sendable, Equatable {
  /// One certificate, as far as a renewal needs it.
  public struct Certificate: Codable, Sendable, Equatable {
    /// In hexadecimal.
    public var serialNumber: String
    /// RFC 3339, UTC.
    public var notBefore: String
    public var notAfter: String

    public init(serialNumber: String, notBefore: String, notAfter: String) {
      self.serialNumber = serialNumber
      self.notBefore = notBefore
      self.notAfter = notAfter
    }
  }

  /// How far a renewal is.
  public enum Renewal: String, Codable, Sendable, CaseIterable {
    case none
    /// A request was made and not answered yet.
    case offered
    /// The answer is on trial.
    case proving
  }

  public var certificate: Certificate
  public var renewal: Renewal
  /// What is on trial.
  public var candidate: Certificate?
  /// Until the trial ends without success.
  public var remainingMilliseconds: UInt64?
  /// What the present one replaced since the runtime started.
  public var previous: Certificate?

  public init(certificate: Certificate, renewal: Renewal, candidate: Certificate?, remainingMilliseconds: UInt64?, previous: Certificate?) {
    self.certificate = certificate
    self.renewal = renewal
    self.candidate = candidate
    self.remainingMilliseconds = remainingMilliseconds
    self.previous = previous
  }
}

/// `POST /v1/credential/renewal`
public struct RenewalOfferDocument: Codable, Sendable, Equatable {
  public var deviceId: String
  /// PKCS #10, PEM, of a fresh key.
  public var certificateRequest: String
  /// Of this connection and this request.
  public var identity: IdentityProofDocument

  public init(deviceId: String, certificateRequest: String, identity: IdentityProofDocument) {
    self.deviceId = deviceId
    self.certificateRequest = certificateRequest
    self.identity = identity
  }
}

/// `PUT /v1/credential/renewal`
public struct RenewalRequest: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["certificateChain"]
  /// PEM, the LDevID certificate first.
  public var certificateChain: String

  public init(certificateChain: String) { self.certificateChain = certificateChain }
}
