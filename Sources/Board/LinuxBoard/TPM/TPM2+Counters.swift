#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  extension TPM2 {
    /// The counter at an NV index; nil where there is none. To be closed.
    func counter(at index: UInt32) throws(BoardError) -> ESYS_TR? {
      var handle: ESYS_TR = 0
      let none = haechi_tpm_no_session
      let result = Esys_TR_FromTPMPublic(context, index, none, none, none, &handle)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_handle { return nil }
      try check(result, "TPM2_NV_ReadPublic")
      return handle
    }

    /// Its value; nil where it was never raised.
    func value(of counter: ESYS_TR, session: ESYS_TR) throws(BoardError) -> UInt64? {
      let none = haechi_tpm_no_session
      var space: UnsafeMutablePointer<TPM2B_NV_PUBLIC>?
      try check(Esys_NV_ReadPublic(context, counter, none, none, none, &space, nil), "TPM2_NV_ReadPublic")
      defer { Esys_Free(space) }
      guard let space else { return nil }
      var ours = TPM2B_NV_PUBLIC()
      haechi_tpm_counter(&ours, space.pointee.nvPublic.nvIndex)
      let attributes = space.pointee.nvPublic.attributes
      // Who may speak to the TPM may put something that can be set back in a counter's place.
      guard attributes & ~haechi_tpm_nv_written == ours.nvPublic.attributes, space.pointee.nvPublic.dataSize == ours.nvPublic.dataSize else {
        let place = String(ours.nvPublic.nvIndex, radix: 16)
        throw BoardError(code: "storage-damaged", reason: "\(device): what lies at NV 0x\(place) is no counter of ours: it was put there by somebody else")
      }
      guard attributes & haechi_tpm_nv_written != 0 else { return nil }
      var data: UnsafeMutablePointer<TPM2B_MAX_NV_BUFFER>?
      try check(Esys_NV_Read(context, counter, counter, session, none, none, 8, 0, &data), "TPM2_NV_Read")
      defer { Esys_Free(data) }
      guard let data, data.pointee.size == 8 else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): a counter has not 8 bytes") }
      return withUnsafeBytes(of: data.pointee.buffer) { $0.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
    }

    /// Makes a counter at an NV index. It belongs to the owner hierarchy, whose authorisation is empty, as it is for every TPM of a device's own.
    func defineCounter(at index: UInt32) throws(BoardError) {
      var space = TPM2B_NV_PUBLIC()
      haechi_tpm_counter(&space, index)
      var authorisation = TPM2B_AUTH()
      var handle: ESYS_TR = 0
      let none = haechi_tpm_no_session
      try check(
        Esys_NV_DefineSpace(context, haechi_tpm_owner, haechi_tpm_empty_password, none, none, &authorisation, &space, &handle),
        "TPM2_NV_DefineSpace")
      close(handle)
    }

    func raise(_ counter: ESYS_TR, session: ESYS_TR) throws(BoardError) {
      let none = haechi_tpm_no_session
      try check(Esys_NV_Increment(context, counter, counter, session, none, none), "TPM2_NV_Increment")
    }

    /// Forgets the library's own record of a handle.
    func close(_ handle: ESYS_TR) {
      var handle = handle
      _ = Esys_TR_Close(context, &handle)
    }
  }
#endif
