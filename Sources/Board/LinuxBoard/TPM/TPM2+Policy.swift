#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  /// Assertions of a policy (TPM 2.0 Library part 3, 23). In a trial session they only compute.
  extension TPM2 {
    /// Registers of the SHA-256 bank as they are now.
    func assert(_ registers: [UInt32], in policy: ESYS_TR) throws(BoardError) {
      try check(tryAsserting(registers, values: [], in: policy), "TPM2_PolicyPCR")
    }

    /// - Parameter values: SHA-256 of the registers' values one after another; empty for what they are now.
    func tryAsserting(_ registers: [UInt32], values: [UInt8], in policy: ESYS_TR) -> TSS2_RC {
      var selection = TPML_PCR_SELECTION()
      haechi_tpm_select(&selection, registers.reduce(0) { $0 | 1 << $1 })
      var digest = Self.digest(values)
      let none = haechi_tpm_no_session
      return Esys_PolicyPCR(context, policy, none, none, none, &digest, &selection)
    }

    func tryAsserting(_ counter: ESYS_TR, equals value: UInt64, session: ESYS_TR, in policy: ESYS_TR) -> TSS2_RC {
      var operand = TPM2B_OPERAND()
      operand.size = 8
      withUnsafeMutableBytes(of: &operand.buffer) { buffer in withUnsafeBytes(of: value.bigEndian) { buffer.copyBytes(from: $0) } }
      let none = haechi_tpm_no_session
      return Esys_PolicyNV(context, counter, counter, policy, session, none, none, &operand, 0, haechi_tpm_equal)
    }

    /// All that was asserted so far is `approved`, and the holder of an RSA key has signed it together with `reference`: from here on the policy is that key
    /// and that reference.
    func assertAuthorised(_ approved: [UInt8], reference: [UInt8], signature: [UInt8], modulus: [UInt8], in policy: ESYS_TR) throws(BoardError) {
      var area = TPM2B_PUBLIC()
      haechi_tpm_authority_key(&area, modulus)
      var key: ESYS_TR = 0
      let none = haechi_tpm_no_session
      try check(Esys_LoadExternal(context, none, none, none, nil, &area, haechi_tpm_owner, &key), "TPM2_LoadExternal")
      defer { flush(key) }
      var message = Self.digest(RecordCipher.digest(approved + reference))
      var signed = TPMT_SIGNATURE()
      haechi_tpm_authority_signature(&signed, signature)
      var ticket: UnsafeMutablePointer<TPMT_TK_VERIFIED>?
      try check(Esys_VerifySignature(context, key, none, none, none, &message, &signed, &ticket), "TPM2_VerifySignature")
      defer { Esys_Free(ticket) }
      var digest = Self.digest(approved)
      var qualifier = Self.digest(reference)
      var name: UnsafeMutablePointer<TPM2B_NAME>?
      try check(Esys_TR_GetName(context, key, &name), "Esys_TR_GetName")
      defer { Esys_Free(name) }
      let result = Esys_PolicyAuthorize(context, policy, none, none, none, &digest, &qualifier, name, ticket)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_value {
        throw BoardError(code: BoardError.lockedCode, reason: "the machine's registers are not as the maker has authorised them")
      }
      try check(result, "TPM2_PolicyAuthorize")
    }

    func policyDigest(of session: ESYS_TR) throws(BoardError) -> TPM2B_DIGEST {
      var digest: UnsafeMutablePointer<TPM2B_DIGEST>?
      let none = haechi_tpm_no_session
      try check(Esys_PolicyGetDigest(context, session, none, none, none, &digest), "TPM2_PolicyGetDigest")
      defer { Esys_Free(digest) }
      guard let digest else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): a policy has no digest") }
      return digest.pointee
    }

    /// At most 64 bytes.
    private static func digest(_ bytes: [UInt8]) -> TPM2B_DIGEST {
      var digest = TPM2B_DIGEST()
      digest.size = UInt16(bytes.count)
      withUnsafeMutableBytes(of: &digest.buffer) { $0.copyBytes(from: bytes) }
      return digest
    }
  }
#endif
