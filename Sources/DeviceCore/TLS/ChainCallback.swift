internal import COpenSSL
internal import Crypto
internal import Foundations

extension PeerVerifier {
  /// Verifies the chain in `store` (a borrowed `X509_STORE_CTX`, prepared by the handshake) and leaves there the result that
  /// OpenSSL turns into an alert. The second value is the peer's certificate, as far as it could be read.
  func verify(_ store: OpaquePointer) -> (refusal: CertificateRefusal?, leaf: Certificate?) {
    let leaf: Certificate
    do throws(CryptoError) {
      guard let handle = X509_STORE_CTX_get0_cert(store) else {
        throw CryptoError(code: "malformed-input", reason: "the peer's certificate is missing")
      }
      leaf = try Certificate(retaining: handle)
    } catch {
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
      return (CertificateRefusal(.invalid, "\(error)"), nil)
    }
    do throws(CertificateRefusal) {
      try verifyChain(store, leaf: leaf)
      if let refusal = refusalByPolicy(leaf) { throw refusal }
      X509_STORE_CTX_set_error(store, X509_V_OK)
      return (nil, leaf)
    } catch {
      X509_STORE_CTX_set_error(store, verificationResult(error.kind))
      return (error, leaf)
    }
  }

  private func verifyChain(_ store: OpaquePointer, leaf: Certificate) throws(CertificateRefusal) {
    switch trust {
    case .authority:
      // The authorities' own signatures were checked when the context was made.
      try ChainVerifier.verify(store, time_s: clock.now_s(), checksAnchor: false)
    case .authorityEvenExpired:
      // As it was just before the leaf ended: OpenSSL counts the last second as ended.
      try ChainVerifier.verify(store, time_s: min(clock.now_s(), leaf.notAfter_s - 1), checksAnchor: false)
    case .selfSigned: try verifySelfSigned(store, leaf: leaf)
    case .authorityOrSelfSigned(let admits):
      if admits(), leaf.isSelfSigned {
        try verifySelfSigned(store, leaf: leaf)
      } else {
        try ChainVerifier.verify(store, time_s: clock.now_s(), checksAnchor: false)
      }
    case .any: try verifyAnchored(store, leaf: leaf)
    case .publicKeyDigest(let expected):
      guard leaf.publicKeyDigest.starts(with: expected) else {
        throw CertificateRefusal(
          .untrusted, "the key of the certificate \(leaf.subject) is \(hexadecimal(leaf.publicKeyDigest)), not \(hexadecimal(expected))")
      }
      try verifyAnchored(store, leaf: leaf)
    }
  }

  private func verifySelfSigned(_ store: OpaquePointer, leaf: Certificate) throws(CertificateRefusal) {
    guard leaf.publicKey != nil else {
      throw CertificateRefusal(.profile, "the key of the certificate \(leaf.subject) is neither P-256 nor Ed25519")
    }
    guard OPENSSL_sk_num(X509_STORE_CTX_get0_untrusted(store)) <= 1 else {
      throw CertificateRefusal(.untrusted, "the certificate \(leaf.subject) came with others; here only a self-signed one alone is accepted")
    }
    guard leaf.isSelfSigned else {
      throw CertificateRefusal(.untrusted, "the certificate \(leaf.subject) is not self-signed; here nothing else is accepted")
    }
    try verifyAnchored(store, leaf: leaf)
  }

  /// Dates, purpose and form by OpenSSL, with the leaf itself as what is trusted.
  private func verifyAnchored(_ store: OpaquePointer, leaf: Certificate) throws(CertificateRefusal) {
    guard let anchors = OPENSSL_sk_new_null() else { throw CertificateRefusal(.invalid, "no memory for a chain") }
    // The stack borrows the leaf, which outlives the verification; the context looks at the stack only while it verifies.
    defer { OPENSSL_sk_free(anchors) }
    OPENSSL_sk_push(anchors, UnsafeRawPointer(leaf.handle))
    X509_STORE_CTX_set0_trusted_stack(store, anchors)
    if let parameters = X509_STORE_CTX_get0_param(store) { X509_VERIFY_PARAM_set_flags(parameters, UInt(X509_V_FLAG_PARTIAL_CHAIN)) }
    try ChainVerifier.verify(store, time_s: clock.now_s())
  }
}

/// The result that OpenSSL's handshake turns into the alert that belongs to `kind`.
private func verificationResult(_ kind: CertificateRefusal.Kind) -> CInt {
  switch kind {
  case .expired: X509_V_ERR_CERT_HAS_EXPIRED
  case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
  case .untrusted: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
  case .purpose: X509_V_ERR_INVALID_PURPOSE
  case .revoked: X509_V_ERR_CERT_REVOKED
  case .profile, .invalid: X509_V_ERR_CERT_REJECTED
  }
}
