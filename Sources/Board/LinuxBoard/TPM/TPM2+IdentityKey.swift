#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  // The device's own key: made in the TPM, fixed to it (fixedTPM, fixedParent), and of use for nothing but ECDSA with SHA-256. It needs no authorisation of
  // its own: whoever has its object and the TPM may sign, and the object lies in `ident`, whose key is sealed (`TPM2Vault`). A policy in the key itself could
  // never be changed, as a policy is a part of an object's name, and so never ask for a later security epoch; the key of `ident` is sealed anew.

  extension TPM2 {
    func makeIdentityKey(under storageKey: ESYS_TR, session: ESYS_TR) throws(BoardError) -> IdentityKey {
      var template = TPM2B_PUBLIC()
      haechi_tpm_signing_key(&template)
      var sensitive = TPM2B_SENSITIVE_CREATE()
      var outside = TPM2B_DATA()
      var registers = TPML_PCR_SELECTION()
      var privatePart: UnsafeMutablePointer<TPM2B_PRIVATE>?
      var publicPart: UnsafeMutablePointer<TPM2B_PUBLIC>?
      let none = haechi_tpm_no_session
      try check(
        Esys_Create(context, storageKey, session, none, none, &sensitive, &template, &outside, &registers, &privatePart, &publicPart, nil, nil, nil),
        "TPM2_Create")
      defer {
        Esys_Free(privatePart)
        Esys_Free(publicPart)
      }
      guard let privatePart, let publicPart,
        let point = ECDSAEncoding.publicKey(
          x: Self.bytes(publicPart.pointee.publicArea.unique.ecc.x), y: Self.bytes(publicPart.pointee.publicArea.unique.ecc.y))
      else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): TPM2_Create gave no key of P-256") }
      let object = TPMObject(storageKey: try name(of: storageKey), publicPart: publicPart.pointee, privatePart: privatePart.pointee)
      return IdentityKey(publicKey: point, handle: [Self.handleFormat] + (try object.encoded(device: device)))
    }

    /// - Parameters:
    ///   - digest: SHA-256, 32 bytes.
    ///   - handle: as `makeIdentityKey` gave it.
    func sign(_ digest: [UInt8], with handle: [UInt8]) throws(BoardError) -> [UInt8] {
      guard digest.count == IdentityKey.digest_bytes else {
        throw BoardError(code: "root-of-trust-failed", reason: "\(device): \(digest.count) bytes are no SHA-256 digest")
      }
      guard handle.first == Self.handleFormat, let object = TPMObject(decoding: Array(handle.dropFirst())) else {
        throw BoardError(code: "storage-damaged", reason: "what stands for the device's own key is not whole")
      }
      let storageKey = try makeStorageKey()
      defer { flush(storageKey) }
      // Nothing secret passes; the session makes sure that the answer is the TPM's.
      let session = try startSession(haechi_tpm_hmac_session, salt: storageKey, encrypts: 0)
      defer { flush(session) }
      let key = try load(object, under: storageKey, session: session)
      defer { flush(key) }
      var message = TPM2B_DIGEST()
      message.size = UInt16(digest.count)
      withUnsafeMutableBytes(of: &message.buffer) { $0.copyBytes(from: digest) }
      var scheme = TPMT_SIG_SCHEME()
      var ticket = TPMT_TK_HASHCHECK()
      haechi_tpm_signing(&scheme, &ticket)
      var made: UnsafeMutablePointer<TPMT_SIGNATURE>?
      let none = haechi_tpm_no_session
      try check(Esys_Sign(context, key, session, none, none, &message, &scheme, &ticket, &made), "TPM2_Sign")
      defer { Esys_Free(made) }
      guard let made, made.pointee.sigAlg == scheme.scheme,
        let signature = ECDSAEncoding.signature(
          r: Self.bytes(made.pointee.signature.ecdsa.signatureR), s: Self.bytes(made.pointee.signature.ecdsa.signatureS))
      else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): TPM2_Sign gave no signature of P-256") }
      return signature
    }

    private static let handleFormat: UInt8 = 1

    private static func bytes(_ parameter: TPM2B_ECC_PARAMETER) -> [UInt8] {
      withUnsafeBytes(of: parameter.buffer) { Array($0.prefix(Int(parameter.size))) }
    }
  }
#endif
