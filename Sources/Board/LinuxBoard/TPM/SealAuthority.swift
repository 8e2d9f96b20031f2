internal import BoardAPI
internal import Foundations

/// What a sealed key asks of the firmware that wants it, beside the maker's signature.
struct SealDemand: Equatable {
  /// How the machine was started.
  enum Start: UInt8 { case uefi = 1, direct = 2 }

  let start: Start
  /// The security epoch that the firmware has at least.
  let epoch: UInt32
  /// SHA-256 of the modulus of the maker's key, which is in the key's policy.
  let signer: [UInt8]

  /// What is signed beside a policy, and is in that of a key (TPM2_PolicyAuthorize: policyRef). It names the registers: a signature over others, which may be
  /// some that programs can reset, opens nothing.
  func reference(_ registers: SealRegisters) -> [UInt8] {
    var writer = FieldWriter()
    writer.put(Array("haechi-seal-1".utf8))
    writer.put(start.rawValue)
    writer.put(epoch)
    writer.put(registers.authorised)
    return writer.bytes
  }
}

/// Which states of the machine the maker has authorised to open the keys that were sealed for its firmware, and this firmware's security epoch. It is a part
/// of the image, made by `Images/assembly/seal.py`; a TPM verifies the signatures.
///
///     0    16  "HAECHI-SEAL-AUTH"
///     16    1  format, 1
///     17    4  security epoch of this firmware, 1…64
///     21  256  modulus of the maker's RSA key, whose exponent is 65537
///     277   1  how many states follow, 1…8; each:
///           1  how such a machine is started, as `SealDemand.Start`
///          32  PCR 7 (TCG PC Client Platform Firmware Profile 1.06, 3.3.4.8)
///         256  for each security epoch from 1 to this firmware's: a signature (RSASSA-PKCS1-v1_5, SHA-256) of the policy of this state and this firmware,
///              with the reference of the start, that epoch and the registers
struct SealAuthority {
  struct Approval: Equatable {
    let start: SealDemand.Start
    let state: [UInt8]
    /// By the epoch that is asked for; the first is that of 1.
    let signatures: [[UInt8]]
  }

  /// Where an image keeps it.
  static let path = "/etc/haechi/seal"
  static let maximum_bytes = 256 * 1_024
  static let register_bytes = 32
  static let modulus_bytes = 256
  private static let magic = Array("HAECHI-SEAL-AUTH".utf8)
  private static let epochMaximum: UInt32 = 64
  private static let approvalsMaximum: UInt8 = 8

  let epoch: UInt32
  let modulus: [UInt8]
  let approvals: [Approval]

  static func read(_ path: String) throws(BoardError) -> SealAuthority {
    let bytes: [UInt8]
    do throws(SystemCallError) {
      bytes = try AtomicFile.readSmall(path, maximum_bytes: maximum_bytes)
    } catch {
      throw BoardError(code: "storage-failed", reason: "the image does not say what may open its disk keys: make it anew", cause: error)
    }
    guard let authority = SealAuthority(decoding: bytes) else {
      throw BoardError(code: "storage-failed", reason: "\(path) does not say what may open disk keys: make the image anew")
    }
    return authority
  }

  /// nil where the bytes are no such file.
  init?(decoding bytes: [UInt8]) {
    var reader = FieldReader(bytes)
    guard reader.take(Self.magic.count) == Self.magic, reader.number(UInt8.self) == 1, let epoch = reader.number(UInt32.self),
      (1...Self.epochMaximum).contains(epoch), let modulus = reader.take(Self.modulus_bytes), let count = reader.number(UInt8.self),
      (1...Self.approvalsMaximum).contains(count)
    else { return nil }
    var approvals: [Approval] = []
    for _ in 0..<count {
      guard let start = reader.number(UInt8.self).flatMap(SealDemand.Start.init(rawValue:)), let state = reader.take(Self.register_bytes),
        (start == .direct) == state.allSatisfy({ $0 == 0 })
      else { return nil }
      var signatures: [[UInt8]] = []
      for _ in 0..<epoch {
        guard let signature = reader.take(Self.modulus_bytes) else { return nil }
        signatures.append(signature)
      }
      approvals.append(Approval(start: start, state: state, signatures: signatures))
    }
    guard reader.isAtEnd else { return nil }
    self.epoch = epoch
    self.modulus = modulus
    self.approvals = approvals
  }

  var signer: [UInt8] { RecordCipher.digest(modulus) }

  /// What a key that is sealed now asks for: nothing less than what runs.
  ///
  /// - Parameter state: PCR 7.
  /// - Throws: `storage-locked` where the maker has not authorised this state.
  func demand(in state: [UInt8]) throws(BoardError) -> SealDemand {
    SealDemand(start: try approval(of: state).start, epoch: epoch, signer: signer)
  }

  /// The maker's signature that a key with this demand may be opened in this state.
  ///
  /// - Throws: `storage-locked`, naming what does not match.
  func signature(for demand: SealDemand, in state: [UInt8]) throws(BoardError) -> [UInt8] {
    guard demand.signer == signer else {
      throw Self.locked(
        "the key was sealed for the firmware of another maker or variant (signer \(Self.words(demand.signer)); this firmware's is \(Self.words(signer)))")
    }
    guard demand.epoch >= 1, demand.epoch <= epoch else {
      throw Self.locked("the key asks for security epoch \(demand.epoch), and this is an older firmware, of epoch \(epoch): install a newer one")
    }
    let approval = try approval(of: state)
    guard approval.start == demand.start else {
      throw Self.locked(
        demand.start == .uefi
          ? "the key was sealed on a machine that UEFI started, and this one was started without it"
          : "the key was sealed on a machine that was started without UEFI, and this one was started by it")
    }
    return approval.signatures[Int(demand.epoch) - 1]
  }

  private func approval(of state: [UInt8]) throws(BoardError) -> Approval {
    if let approval = approvals.first(where: { $0.state == state }) { return approval }
    // As long as a report's sentence may be.
    throw Self.locked("PCR 7 is \(hexadecimal(state)), which the maker did not sign: other Secure Boot keys, a newer dbx, or it is off")
  }

  private static func locked(_ reason: String) -> BoardError { BoardError(code: BoardError.lockedCode, reason: reason) }
  private static func words(_ signer: [UInt8]) -> String { hexadecimal(Array(signer.prefix(8))) }

  // MARK: What the TPM computes too

  /// What the firmware extends the register of epochs by.
  var event: [UInt8] { RecordCipher.digest(Array("haechi: security epoch \(epoch)".utf8)) }
  /// The register afterwards.
  var register: [UInt8] { RecordCipher.digest([UInt8](repeating: 0, count: Self.register_bytes) + event) }

  /// The digest of TPM2_PolicyPCR over both registers (TPM 2.0 Library part 3, 23.7): what the maker signs.
  func policy(in state: [UInt8], registers: SealRegisters) -> [UInt8] {
    let values = registers.firmware < registers.epoch ? state + register : register + state
    var writer = FieldWriter()
    writer.put([UInt8](repeating: 0, count: Self.register_bytes))
    // TPM_CC_PolicyPCR; TPML_PCR_SELECTION: one bank, TPM_ALG_SHA256, three bytes of bits.
    writer.put(UInt32(0x0000_017f))
    writer.put(UInt32(1))
    writer.put(UInt16(0x000b))
    writer.put(UInt8(3))
    writer.put(registers.authorised)
    writer.put(RecordCipher.digest(values))
    return RecordCipher.digest(writer.bytes)
  }
}
