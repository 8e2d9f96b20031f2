#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2
  internal import Foundations

  /// Secrets sealed in a TPM 2.0, and counters in its memory. Opened by a worker, and gone with it.
  ///
  /// A sealed secret opens where all of its policy holds: the maker has authorised the state of the machine (`SealAuthority`: PCR 7 and PCR 14) for the way
  /// it was started and the security epoch that is asked for, and no firmware of a later epoch has sealed it anew since (a counter); for a data key also
  /// the identity epoch at its value, and PCR 15 untouched in this boot.
  final class TPM2Vault: SealingRootOfTrust {
    let kind = RootOfTrustFacts.Kind.tpm2
    let tpm: TPM2
    let storageKey: ESYS_TR
    let session: ESYS_TR
    /// For commands that have no parameter to encrypt; it still authenticates the answers.
    private let counting: ESYS_TR
    private let registers: SealRegisters
    private let authority: SealAuthority
    /// PCR 7.
    private let state: [UInt8]

    /// Extends the register of security epochs by this firmware's, once in a start of the machine.
    static func announce(device: String, registers: SealRegisters, authority: SealAuthority) throws(BoardError) {
      let tpm = try TPM2(device: device)
      guard try tpm.value(ofRegister: registers.epoch).allSatisfy({ $0 == 0 }) else {
        throw BoardError(
          code: BoardError.lockedCode, reason: "PCR \(registers.epoch) was extended before this firmware came to it, so no key opens: restart the machine")
      }
      try tpm.extend(register: registers.epoch, by: authority.event)
    }

    init(device: String, registers: SealRegisters, authority: SealAuthority) throws(BoardError) {
      tpm = try TPM2(device: device)
      self.registers = registers
      self.authority = authority
      guard try tpm.value(ofRegister: registers.epoch) == authority.register else {
        throw BoardError(
          code: BoardError.lockedCode,
          reason: "PCR \(registers.epoch) was not extended by security epoch \(authority.epoch) of this firmware, and by nothing else: restart the machine")
      }
      state = try tpm.value(ofRegister: registers.firmware)
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
      case .securityEpoch: 0x0184_8e03
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
      try seal(secret, to: binding, count: try securityCount())
    }

    func sealAhead(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] {
      let (next, isTooMany) = try securityCount().addingReportingOverflow(1)
      guard !isTooMany else { throw BoardError(code: "root-of-trust-failed", reason: "\(tpm.device): the counter of security epochs is at its end") }
      return try seal(secret, to: binding, count: next)
    }

    /// How often the keys were sealed anew; the first key that is sealed makes the counter.
    private func securityCount() throws(BoardError) -> UInt64 {
      if let count = try value(of: .securityEpoch) { return count }
      return try raise(.securityEpoch)
    }

    func standing(of bytes: [UInt8]) throws(BoardError) -> SealStanding {
      guard let blob = try? SealedBlob(decoding: bytes), let count = try value(of: .securityEpoch), blob.demand.signer == authority.signer else {
        return .foreign
      }
      if blob.count != count { return blob.count < count ? .over : .ahead }
      return blob.demand.epoch < authority.epoch ? .earlier : .current
    }

    private func seal(_ secret: SecretBytes, to binding: SealBinding, count: UInt64) throws(BoardError) -> [UInt8] {
      guard secret.count <= haechi_tpm_secret_maximum else {
        throw BoardError(code: "root-of-trust-failed", reason: "a secret of \(secret.count) bytes: a TPM seals at most \(haechi_tpm_secret_maximum)")
      }
      let demand = try authority.demand(in: state)
      var policy = try policyDigest(SealedBlob(binding: binding, demand: demand, count: count, object: []), authority)
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
      let object = TPMObject(storageKey: try tpm.name(of: storageKey), publicPart: publicPart.pointee, privatePart: privatePart.pointee)
      return SealedBlob(binding: binding, demand: demand, count: count, object: try object.encoded(device: tpm.device)).encoded()
    }

    func unseal(_ bytes: [UInt8]) throws(BoardError) -> SecretBytes {
      let blob = try SealedBlob(decoding: bytes)
      guard let kept = TPMObject(decoding: blob.object) else { throw BoardError(code: "storage-damaged", reason: "a sealed key is not whole") }
      let none = haechi_tpm_no_session
      let object = try tpm.load(kept, under: storageKey, session: session)
      defer { tpm.flush(object) }
      let policy = try tpm.startSession(haechi_tpm_policy_session, salt: storageKey, encrypts: haechi_tpm_session_encrypts_response)
      defer { tpm.flush(policy) }
      try satisfy(blob, authority, in: policy)
      var data: UnsafeMutablePointer<TPM2B_SENSITIVE_DATA>?
      let unsealed = Esys_Unseal(tpm.context, object, policy, none, none, &data)
      if haechi_tpm_response_code(unsealed) == haechi_tpm_rc_policy_fail {
        throw Self.otherPolicy
      }
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

    /// The policy of a key with the binding, demand and count of `blob`, where `authority` is the firmware's that opens it.
    func policyDigest(_ blob: SealedBlob, _ authority: SealAuthority) throws(BoardError) -> TPM2B_DIGEST {
      let trial = try tpm.startTrial()
      defer { tpm.flush(trial) }
      try satisfy(blob, authority, in: trial)
      return try tpm.policyDigest(of: trial)
    }

    /// Makes the assertions of a policy, in one order: TPM2_PolicyAuthorize takes the place of all that was asserted before it.
    private func satisfy(_ blob: SealedBlob, _ authority: SealAuthority, in policy: ESYS_TR) throws(BoardError) {
      try tpm.assert([registers.firmware, registers.epoch], in: policy)
      try tpm.assertAuthorised(
        authority.policy(in: state, registers: registers), reference: blob.demand.reference(registers),
        signature: try authority.signature(for: blob.demand, in: state), modulus: authority.modulus, in: policy)
      try assert(.securityEpoch, blob.count, in: policy, otherwise: Self.olderCopy)
      guard case .dataKey(let epoch) = blob.binding else { return }
      try assert(.identityEpoch, epoch, in: policy, otherwise: Self.wipedSince)
      let untouched = [UInt8](repeating: 0, count: SealAuthority.register_bytes)
      let result = tpm.tryAsserting([registers.phase], values: RecordCipher.digest(untouched), in: policy)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_value {
        throw BoardError(code: BoardError.lockedCode, reason: "the key was given out in this boot already (PCR \(registers.phase)): restart the machine")
      }
      try tpm.check(result, "TPM2_PolicyPCR")
    }

    static let olderCopy = "the key was sealed before a firmware of a later security epoch ran here: it is an older copy"
    static let wipedSince = "the key was sealed for an identity epoch that has passed: the device was wiped since"
    static let otherPolicy = BoardError(code: BoardError.lockedCode, reason: "the key was sealed with another policy than the one that stands beside it")

    private func assert(_ counter: RootOfTrustCounter, _ value: UInt64, in policy: ESYS_TR, otherwise reason: String) throws(BoardError) {
      guard let handle = try tpm.counter(at: Self.index(of: counter)) else { throw TPM2.otherTPM }
      defer { tpm.close(handle) }
      let result = tpm.tryAsserting(handle, equals: value, session: counting, in: policy)
      if haechi_tpm_response_code(result) == haechi_tpm_rc_policy { throw BoardError(code: BoardError.lockedCode, reason: reason) }
      try tpm.check(result, "TPM2_PolicyNV")
    }
  }
#endif
