internal import COpenSSL

/// Verifies certificate chains the strict way (RFC 5280 section 6) at a given time, by OpenSSL.
public struct ChainVerifier: Sendable {
  /// What the leaf is to be used for in TLS.
  public enum Purpose: Sendable { case client, server }

  /// Whom the chain must lead to; empty refuses every chain.
  public let authorities: [Certificate]
  public let purpose: Purpose

  public init(authorities: [Certificate], purpose: Purpose) {
    self.authorities = authorities
    self.purpose = purpose
  }

  /// The chain from `leaf` to one of the authorities at `time_s` (seconds since 1970 UTC), leaf first.
  ///
  /// - Parameter intermediates: what the other side gave besides its leaf, at most 8.
  /// - Throws: why not, in the classes of TLS alerts.
  public func verifiedChain(
    leaf: Certificate, intermediates: [Certificate], time_s: Int64
  ) throws(CertificateRefusal) -> [Certificate] {
    OpenSSL.initialise()
    OpenSSL.clearErrors()
    defer { OpenSSL.clearErrors() }
    guard intermediates.count <= 8, let store = X509_STORE_new() else { throw CertificateRefusal(.invalid, "the certificate chain is too long") }
    defer { X509_STORE_free(store) }
    for authority in authorities { X509_STORE_add_cert(store, authority.handle) }
    guard let context = X509_STORE_CTX_new(), let untrusted = OPENSSL_sk_new_null() else { throw CertificateRefusal(.invalid, "no memory for a chain") }
    defer { X509_STORE_CTX_free(context) }
    // The stack borrows: the certificates live as long as `intermediates`.
    defer { OPENSSL_sk_free(untrusted) }
    for certificate in intermediates { OPENSSL_sk_push(untrusted, UnsafeRawPointer(certificate.handle)) }
    guard X509_STORE_CTX_init(context, store, leaf.handle, untrusted) == 1,
      X509_STORE_CTX_set_default(context, purpose == .client ? "ssl_client" : "ssl_server") == 1
    else { throw CertificateRefusal(.invalid, "the chain of \(leaf.subject) cannot be verified") }
    try withExtendedLifetime(intermediates) { () throws(CertificateRefusal) in try ChainVerifier.verify(context, time_s: time_s) }
    guard let chain = X509_STORE_CTX_get0_chain(context) else { throw CertificateRefusal(.invalid, "the chain of \(leaf.subject) is empty") }
    var result: [Certificate] = []
    for index in 0..<OPENSSL_sk_num(chain) {
      guard let entry = OPENSSL_sk_value(chain, index), let certificate = try? Certificate(retaining: OpaquePointer(entry)) else {
        throw CertificateRefusal(.invalid, "the chain of \(leaf.subject) cannot be read")
      }
      result.append(certificate)
    }
    return result
  }

  /// Runs OpenSSL's verification in a prepared context: strict, at `time_s`, at most 3 authorities above the leaf.
  ///
  /// - Parameter checksAnchor: whether the signature that a self-signed end of the chain has made over itself is checked too. It proves nothing
  ///   about who is trusted, and costs as much as the leaf's own: whoever verifies often checks it once, where the trust is set up.
  package static func verify(_ context: OpaquePointer, time_s: Int64, checksAnchor: Bool = true) throws(CertificateRefusal) {
    guard let parameters = X509_STORE_CTX_get0_param(context) else { throw CertificateRefusal(.invalid, "no memory for a chain") }
    X509_VERIFY_PARAM_set_flags(parameters, UInt(X509_V_FLAG_X509_STRICT | (checksAnchor ? X509_V_FLAG_CHECK_SS_SIGNATURE : 0)))
    X509_VERIFY_PARAM_set_depth(parameters, 3)
    X509_VERIFY_PARAM_set_auth_level(parameters, 2)
    X509_VERIFY_PARAM_set_time(parameters, time_t(time_s))
    let verified = X509_verify_cert(context)
    let error = X509_STORE_CTX_get_error(context)
    guard verified == 1, error == X509_V_OK else {
      let certificate = X509_STORE_CTX_get_current_cert(context)
      let subject = certificate.map { line(of: X509_get_subject_name($0)) } ?? ""
      let words = String(cString: X509_verify_cert_error_string(CLong(error)))
      throw CertificateRefusal(refusalKind(error), "the certificate \(subject) is refused: \(words) (at \(rfc3339(time_s)))")
    }
  }
}

/// OpenSSL's verification results in the classes that TLS alerts know.
private func refusalKind(_ error: CInt) -> CertificateRefusal.Kind {
  switch error {
  case X509_V_ERR_CERT_HAS_EXPIRED: .expired
  case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
  case X509_V_ERR_CERT_REVOKED: .revoked
  case X509_V_ERR_INVALID_PURPOSE: .purpose
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
    X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_INVALID_CA,
    X509_V_ERR_CERT_CHAIN_TOO_LONG:
    .untrusted
  default: .invalid
  }
}
