/// Which platform configuration registers of the SHA-256 bank a sealed key is bound to. Tests take some that can be reset.
struct SealRegisters {
  /// The state of Secure Boot: which keys it trusts, and which of them signed what runs.
  var firmware: UInt32 = 7
  /// Extended once the data key was given out; TCG leaves 8 to 15 to the operating system.
  var phase: UInt32 = 15
}
