#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2
  internal import Foundations

  /// Secrets sealed in a TPM 2.0, and counters in its memory. Opened by a worker, and gone with it.
  ///
  /// A sealed secret opens where all of its policy holds: PCR 7 (Secure Boot: which keys it trusts, and which of them signed what runs; TCG PC
  /// Client Platform Firmware Profile 3.3.4.8) as at sealing; for a data key also PCR 15 untouched in this boot, and the identity epoch at its value.
  final class TPM2Vault: SealingRootOfTrust {
    let kind = RootOfTrustFacts.Kind.tpm2
    private let tpm: TPM2
    private let storageKey: ESYS_TR
    private let session: ESYS_TR
    /// For commands that have no parameter to encrypt; it still authenticates the answers.
    private let counting: ESYS_TR
    private let registers: SealRegisters

    init(device: String, registers: SealRegisters) throws(BoardError) {
      tpm = try TPM2(device: device)
      self.registers = registers
      storageKey = try tpm.makeStorageKey()
      do throws(BoardError) {
        counting = try tpm.startSession(haechi_tpm_hmac_session, salt: storageKey, encrypts: 0)
        session = try tpm.startSession(haechi_tpm_hmac_session, salt: storageKey, encrypts: haechi_tpm_session_encrypts)
      } catch {
        tpm.flush(storageKey)
        throw error
      }
    }

    deinit {
      tpm.flush(session)
      tpm.flush(counting)
      tpm.flush(storageKey)
    }

    /// NV indices of the owner's range (TCG Registry of reserved TPM 2.0 handles, 2.2.2).
    static func index(of counter: RootOfTrustCounter) -> UInt32 {
      switch counter {
      case .identityEpoch: 0x0184_8e01
      case .identGeneration: 0x0184_8e02
      }
    }

    func value(of counter: RootOfTrustCounter) throws(BoardError) -> UInt64? {
      guard let handle = try tpm.counter(at: Self.index(of: counter)) else { return nil }
      defer { tpm.close(handle) }
      return try tpm.value(of: handle, session: counting)
    }

    func raise(_ counter: RootOfTrustCounter) throws(BoardError) -> UInt64 {
      let index = Self.index(of: counter)
      var found = try tpm.counter(at: index)
      if found == nil {
        try tpm.defineCounter(at: index)
        found = try tpm.counter(at: index)
      }
      guard let handle = found else { throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): a counter was not made") }
      defer { tpm.close(handle) }
      try tpm.raise(handle, session: counting)
      guard let value = try tpm.value(of: handle, session: counting) else {
        throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): a counter that was raised has no value")
      }
      return value
    }

    func seal(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] {
      guard secret.count <= haechi_tpm_secret_maximum else {
        throw BoardError(code: "root-of-trust-failed", reason: "a secret of \(secret.count) bytes: a TPM seals at most \(haechi_tpm_secret_maximum)")
      }
      var policy = try policyDigest(of: binding)
      var template = TPM2B_PUBLIC()
      haechi_tpm_sealed_object(&template, &policy)
      var sensitive = TPM2B_SENSITIVE_CREATE()
      secret.withUnsafeBytes { haechi_tpm_take_secret(&sensitive, $0.baseAddress, UInt16($0.count)) }
      defer { withUnsafeMutableBytes(of: &sensitive) { haechi_tpm_erase($0.baseAddress, $0.count) } }
      var outside = TPM2B_DATA()
      var creation = TPML_PCR_SELECTION()
      var privatePart: UnsafeMutablePointer<TPM2B_PRIVATE>?
      var publicPart: UnsafeMutablePointer<TPM2B_PUBLIC>?
      let none = haechi_tpm_no_session
      try tpm.check(
        Esys_Create(
          tpm.context, storageKey, session, none, none, &sensitive, &template, &outside, &creation, &privatePart, &publicPart, nil, nil, nil),
        "TPM2_Create")
      defer {
        Esys_Free(privatePart)
        Esys_Free(publicPart)
      }
      guard let privatePart, let publicPart else { throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): TPM2_Create gave no object") }
      return try SealedBlob(
        binding: binding,
        object: TPMObject(storageKey: try tpm.name(of: storageKey), publicPart: publicPart.pointee, privatePart: privatePart.pointee)
      ).encoded(device: tpm.device)
    }

    func unseal(_ bytes: [UInt8]) throws(BoardError) -> SecretBytes {
      let blob = try SealedBlob(decoding: bytes)
      let none = haechi_tpm_no_session
      let object = try tpm.load(blob.object, under: storageKey, session: session)
      defer { tpm.flush(object) }
      let policy = try tpm.startSession(haechi_tpm_policy_session, salt: storageKey, encrypts: haechi_tpm_session_encrypts_response)
      defer { tpm.flush(policy) }
      try satisfy(blob.binding, in: policy)
      var data: UnsafeMutablePointer<TPM2B_SENSITIVE_DATA>?
      let unsealed = Esys_Unseal(tpm.context, object, policy, none, none, &data)
      if haechi_tpm_response_code(unsealed) == haechi_tpm_rc_policy_fail { throw try firmwareChanged(blob.binding) }
      try tpm.check(unsealed, "TPM2_Unseal")
      defer {
        if let data { haechi_tpm_erase(data, MemoryLayout<TPM2B_SENSITIVE_DATA>.size) }
        Esys_Free(data)
      }
      guard let data else { throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): TPM2_Unseal gave nothing") }
      return withUnsafeBytes(of: data.pointee.buffer) { SecretBytes(copying: $0.prefix(Int(data.pointee.size))) }
    }

    func makeIdentityKey() throws(BoardError) -> IdentityKey? { try tpm.makeIdentityKey(under: storageKey, session: counting) }

    func closeForThisBoot() throws(BoardError) {
      try tpm.extend(register: registers.phase, by: RecordCipher.digest(Array("haechi: the data key was given out".utf8)))
    }

    // MARK: Policy

    private func policyDigest(of binding: SealBinding) throws(BoardError) -> TPM2B_DIGEST {
      let trial = try tpm.startTrial()
      defer { tpm.flush(trial) }
      try satisfy(binding, in: trial)
      var digest: UnsafeMutablePointer<TPM2B_DIGEST>?
      let none = haechi_tpm_no_session
      try tpm.check(Esys_PolicyGetDigest(tpm.context, trial, none, none, none, &digest), "TPM2_PolicyGetDigest")
      defer { Esys_Free(digest) }
      guard let digest else { throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): a policy has no digest") }
      return digest.pointee
    }

    /// Makes the assertions of a policy, in one order.
    private func satisfy(_ binding: SealBinding, in policy: ESYS_TR) throws(BoardError) {
      let none = haechi_tpm_no_session
      var selection = TPML_PCR_SELECTION()
      haechi_tpm_select(&selection, bits(of: binding))
      // Empty: the registers as they are now.
      var digest = TPM2B_DIGEST()
      try tpm.check(Esys_PolicyPCR(tpm.context, policy, none, none, none, &digest, &selection), "TPM2_PolicyPCR")
      guard case .dataKey(let epoch) = binding else { return }
      guard let counter = try tpm.counter(at: Self.index(of: .identityEpoch)) else { throw TPM2.otherTPM }
      defer { tpm.close(counter) }
      var operand = TPM2B_OPERAND()
      operand.size = 8
      withUnsafeMutableBytes(of: &operand.buffer) { buffer in withUnsafeBytes(of: epoch.bigEndian) { buffer.copyBytes(from: $0) } }
      let result = Esys_PolicyNV(tpm.context, counter, counter, policy, counting, none, none, &operand, 0, haechi_tpm_equal)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_policy {
        throw BoardError(code: BoardError.lockedCode, reason: "the key was sealed for an identity epoch that has passed: the device was wiped since")
      }
      try tpm.check(result, "TPM2_PolicyNV")
    }

    private func bits(of binding: SealBinding) -> UInt32 {
      switch binding {
      case .firmware: 1 << registers.firmware
      case .dataKey: 1 << registers.firmware | 1 << registers.phase
      }
    }

    private func firmwareChanged(_ binding: SealBinding) throws(BoardError) -> BoardError {
      let also = binding == .firmware ? "" : ", or the key was given out in this boot already (PCR \(registers.phase))"
      return BoardError(
        code: BoardError.lockedCode,
        reason: "the state of Secure Boot (PCR \(registers.firmware)) is not that which the key was sealed to: other firmware\(also)")
    }
  }

  /// What the TPM gives out for a secret that was sealed.
  ///
  ///     1 byte format (1), 1 byte binding (1 firmware, 2 data key), 8 bytes epoch, and the object
  private struct SealedBlob {
    let binding: SealBinding
    let object: TPMObject

    init(binding: SealBinding, object: TPMObject) {
      self.binding = binding
      self.object = object
    }

    func encoded(device: String) throws(BoardError) -> [UInt8] {
      var writer = FieldWriter()
      writer.put(UInt8(1))
      switch binding {
      case .firmware:
        writer.put(UInt8(1))
        writer.put(UInt64(0))
      case .dataKey(let epoch):
        writer.put(UInt8(2))
        writer.put(epoch)
      }
      return writer.bytes + (try object.encoded(device: device))
    }

    init(decoding bytes: [UInt8]) throws(BoardError) {
      let damaged = BoardError(code: "storage-damaged", reason: "a sealed key is not whole")
      var reader = FieldReader(bytes)
      guard reader.number(UInt8.self) == 1, let kind = reader.number(UInt8.self), let epoch = reader.number(UInt64.self),
        let object = TPMObject(decoding: Array(bytes.dropFirst(10)))
      else { throw damaged }
      switch kind {
      case 1: binding = .firmware
      case 2: binding = .dataKey(epoch: epoch)
      default: throw damaged
      }
      self.object = object
    }
  }
#endif
