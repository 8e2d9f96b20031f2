#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  /// An object as a TPM gives it out, to be loaded under the storage key that it was made under. Its private part is encrypted for that key.
  ///
  ///     1 byte length and the name of the storage key, TPM2B_PUBLIC, TPM2B_PRIVATE (TPM 2.0 Library part 2, 12.2.5 and 12.3.7)
  struct TPMObject {
    let storageKey: [UInt8]
    var publicPart: TPM2B_PUBLIC
    var privatePart: TPM2B_PRIVATE

    init(storageKey: [UInt8], publicPart: TPM2B_PUBLIC, privatePart: TPM2B_PRIVATE) {
      self.storageKey = storageKey
      self.publicPart = publicPart
      self.privatePart = privatePart
    }

    func encoded(device: String) throws(BoardError) -> [UInt8] {
      var writer = FieldWriter()
      writer.put(UInt8(truncatingIfNeeded: storageKey.count))
      writer.put(storageKey)
      var (publicPart, privatePart) = (publicPart, privatePart)
      var buffer = [UInt8](repeating: 0, count: MemoryLayout<TPM2B_PUBLIC>.size + MemoryLayout<TPM2B_PRIVATE>.size)
      var filled = 0
      try TPM2.check(Tss2_MU_TPM2B_PUBLIC_Marshal(&publicPart, &buffer, buffer.count, &filled), "marshalling", device)
      try TPM2.check(Tss2_MU_TPM2B_PRIVATE_Marshal(&privatePart, &buffer, buffer.count, &filled), "marshalling", device)
      return writer.bytes + buffer.prefix(filled)
    }

    /// nil where the bytes are anything but one whole object.
    init?(decoding bytes: [UInt8]) {
      var reader = FieldReader(bytes)
      guard let length = reader.number(UInt8.self), let name = reader.take(Int(length)) else { return nil }
      storageKey = name
      publicPart = TPM2B_PUBLIC()
      privatePart = TPM2B_PRIVATE()
      var offset = 1 + Int(length)
      guard Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, bytes.count, &offset, &publicPart) == 0,
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, bytes.count, &offset, &privatePart) == 0, offset == bytes.count
      else { return nil }
    }
  }

  extension TPM2 {
    /// Loads an object. To be flushed.
    ///
    /// - Throws: `storage-locked` where it is another TPM's.
    func load(_ object: TPMObject, under storageKey: ESYS_TR, session: ESYS_TR) throws(BoardError) -> ESYS_TR {
      guard object.storageKey == (try name(of: storageKey)) else { throw Self.otherTPM }
      var object = object
      var loaded: ESYS_TR = 0
      let none = haechi_tpm_no_session
      let result = Esys_Load(context, storageKey, session, none, none, &object.privatePart, &object.publicPart, &loaded)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_integrity { throw Self.otherTPM }
      try check(result, "TPM2_Load")
      return loaded
    }

    static let otherTPM = BoardError(code: BoardError.lockedCode, reason: "the key was sealed by another TPM, or this one was cleared since")
  }
#endif
