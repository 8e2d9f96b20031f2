#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2
  internal import Foundations
  internal import Glibc

  /// An open TPM, by the Enhanced System API (TCG TSS 2.0 ESAPI).
  final class TPM2 {
    let device: String
    private let transport: UnsafeMutableRawPointer
    let context: OpaquePointer

    init(device: String) throws(BoardError) {
      // The library writes to the standard error by itself, in words that are not ours; its codes say the same.
      setenv("TSS2_LOG", "all+NONE", 1)
      self.device = device
      var size = 0
      try Self.check(Tss2_Tcti_Device_Init(nil, &size, device), "size of the transport", device)
      guard let memory = calloc(1, size) else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): out of memory") }
      let transportContext = OpaquePointer(memory)
      do throws(BoardError) {
        try Self.check(Tss2_Tcti_Device_Init(transportContext, &size, device), "opening", device)
      } catch {
        free(memory)
        throw error
      }
      var opened: OpaquePointer?
      let result = Esys_Initialize(&opened, transportContext, nil)
      guard result == 0, let opened else {
        haechi_tpm_transport_finalize(transportContext)
        free(memory)
        throw Self.failure(result, "Esys_Initialize", device)
      }
      transport = memory
      context = opened
    }

    deinit {
      var context: OpaquePointer? = context
      Esys_Finalize(&context)
      haechi_tpm_transport_finalize(OpaquePointer(transport))
      free(transport)
    }

    /// TPM_PT_MANUFACTURER: four letters in one number, the first one uppermost (TPM 2.0 Library part 2, 6.13).
    func manufacturer() throws(BoardError) -> String {
      var capability: UnsafeMutablePointer<TPMS_CAPABILITY_DATA>?
      var more: TPMI_YES_NO = 0
      let none = haechi_tpm_no_session
      try Self.check(
        Esys_GetCapability(context, none, none, none, haechi_tpm_properties, haechi_tpm_manufacturer, 1, &more, &capability),
        "TPM2_GetCapability", device)
      defer { Esys_Free(capability) }
      guard let properties = capability?.pointee.data.tpmProperties, properties.count >= 1,
        properties.tpmProperty.0.property == haechi_tpm_manufacturer
      else { throw BoardError(code: "root-of-trust-failed", reason: "\(device): it does not name its manufacturer") }
      let letters = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: properties.tpmProperty.0.value >> UInt32($0)) }
      return String(decoding: letters.filter { (0x20...0x7e).contains($0) }, as: UTF8.self)
    }

    /// PCR 7 of the SHA-256 bank (TCG PC Client Platform Firmware Profile 3.3.4.8); empty where the TPM has no such bank.
    func secureBootState() throws(BoardError) -> [UInt8] { try value(ofRegister: SealRegisters().firmware) }

    /// A register of the SHA-256 bank, 32 bytes; empty where the TPM has no such bank.
    func value(ofRegister register: UInt32) throws(BoardError) -> [UInt8] {
      var selection = TPML_PCR_SELECTION()
      haechi_tpm_select(&selection, 1 << register)
      var counter: UINT32 = 0
      var read: UnsafeMutablePointer<TPML_PCR_SELECTION>?
      var digests: UnsafeMutablePointer<TPML_DIGEST>?
      let none = haechi_tpm_no_session
      try Self.check(Esys_PCR_Read(context, none, none, none, &selection, &counter, &read, &digests), "TPM2_PCR_Read", device)
      defer {
        Esys_Free(read)
        Esys_Free(digests)
      }
      guard let digests, digests.pointee.count == 1, digests.pointee.digests.0.size == 32 else { return [] }
      return withUnsafeBytes(of: digests.pointee.digests.0.buffer) { Array($0.prefix(32)) }
    }

    static func check(_ result: TSS2_RC, _ call: String, _ device: String) throws(BoardError) {
      guard result == 0 else { throw failure(result, call, device) }
    }

    func check(_ result: TSS2_RC, _ call: String) throws(BoardError) { try Self.check(result, call, device) }

    static func failure(_ result: TSS2_RC, _ call: String, _ device: String) -> BoardError {
      let digits = String(result, radix: 16)
      return BoardError(code: "root-of-trust-failed", reason: "\(device): \(call) failed with TSS2_RC 0x\(digits) (TCG TSS 2.0 Overview, 3)")
    }
  }
#endif
