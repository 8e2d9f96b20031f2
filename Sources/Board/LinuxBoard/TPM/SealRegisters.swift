/// Which platform configuration registers of the SHA-256 bank a sealed key is bound to. Tests take some that can be reset.
struct SealRegisters {
  /// The state of Secure Boot: which keys it trusts, and which of them signed what runs.
  var firmware: UInt32 = 7
  /// Extended by the firmware with its security epoch before it asks for any key; TCG leaves 8 to 15 to the operating system.
  var epoch: UInt32 = 14
  /// Extended once the data key was given out.
  var phase: UInt32 = 15

  /// The bits of the two that the maker's signature is about, as TPMS_PCR_SELECTION has them.
  var authorised: [UInt8] {
    let bits: UInt32 = 1 << firmware | 1 << epoch
    return [bits, bits >> 8, bits >> 16].map { UInt8(truncatingIfNeeded: $0) }
  }
}
