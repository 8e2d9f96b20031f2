#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  extension TPM2 {
    /// Makes the storage key: the same one each time for as long as the TPM is not cleared, so it is never stored. To be flushed.
    func makeStorageKey() throws(BoardError) -> ESYS_TR {
      var template = TPM2B_PUBLIC()
      haechi_tpm_storage_key(&template)
      var sensitive = TPM2B_SENSITIVE_CREATE()
      var outside = TPM2B_DATA()
      var registers = TPML_PCR_SELECTION()
      var key: ESYS_TR = 0
      let none = haechi_tpm_no_session
      try check(
        Esys_CreatePrimary(
          context, haechi_tpm_owner, haechi_tpm_empty_password, none, none, &sensitive, &template, &outside, &registers, &key, nil, nil, nil, nil),
        "TPM2_CreatePrimary")
      return key
    }

    /// The name of an object: a digest of its public part.
    func name(of object: ESYS_TR) throws(BoardError) -> [UInt8] {
      var name: UnsafeMutablePointer<TPM2B_NAME>?
      try check(Esys_TR_GetName(context, object, &name), "Esys_TR_GetName")
      defer { Esys_Free(name) }
      guard let name else { return [] }
      return withUnsafeBytes(of: name.pointee.name) { Array($0.prefix(Int(name.pointee.size))) }
    }

    /// A session whose key is agreed by means of `storageKey` (salted), and which encrypts its first parameters: who listens on the bus between CPU
    /// and TPM learns nothing. To be flushed.
    func startSession(_ type: TPM2_SE, salt storageKey: ESYS_TR, encrypts: TPMA_SESSION) throws(BoardError) -> ESYS_TR {
      var cipher = TPMT_SYM_DEF()
      haechi_tpm_session_cipher(&cipher, 0)
      let session = try start(type, salt: storageKey, &cipher)
      do throws(BoardError) {
        try check(Esys_TRSess_SetAttributes(context, session, encrypts | haechi_tpm_session_continues, 0xff), "Esys_TRSess_SetAttributes")
      } catch {
        flush(session)
        throw error
      }
      return session
    }

    /// A session that only computes a policy. To be flushed.
    func startTrial() throws(BoardError) -> ESYS_TR {
      var cipher = TPMT_SYM_DEF()
      haechi_tpm_session_cipher(&cipher, 1)
      return try start(haechi_tpm_trial_session, salt: haechi_tpm_no_session, &cipher)
    }

    private func start(_ type: TPM2_SE, salt: ESYS_TR, _ cipher: inout TPMT_SYM_DEF) throws(BoardError) -> ESYS_TR {
      var session: ESYS_TR = 0
      let none = haechi_tpm_no_session
      try check(
        Esys_StartAuthSession(context, salt, none, none, none, none, nil, type, &cipher, haechi_tpm_sha256, &session), "TPM2_StartAuthSession")
      return session
    }

    /// Gives a transient object or a session back. One that is gone already is no error.
    func flush(_ object: ESYS_TR) { _ = Esys_FlushContext(context, object) }

    /// Extends a register of the SHA-256 bank, for this boot.
    func extend(register: UInt32, by digest: [UInt8]) throws(BoardError) {
      var values = TPML_DIGEST_VALUES()
      haechi_tpm_extension(&values, digest)
      let none = haechi_tpm_no_session
      // The handle of a register is its number (ESYS_TR_PCR0 is 0).
      try check(Esys_PCR_Extend(context, register, haechi_tpm_empty_password, none, none, &values), "TPM2_PCR_Extend")
    }
  }
#endif
