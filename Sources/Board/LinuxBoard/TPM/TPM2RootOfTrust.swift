internal import BoardAPI
internal import Foundations
internal import Glibc

#if HAECHI_DEVICE_LIBRARIES
  internal import CTss2
#endif

/// A TPM 2.0 behind the kernel's character device; none where there is no such device.
final class TPM2RootOfTrust: RootOfTrust {
  /// The resource-managed device first: it needs no exclusive use.
  private static let devices = ["/dev/tpmrm0", "/dev/tpm0"]

  /// Where the TPM is, nil where there is none.
  static var device: String? { devices.first { access($0, F_OK) == 0 } }

  func facts() throws(BoardError) -> RootOfTrustFacts {
    guard let device = Self.device else { return RootOfTrustFacts(kind: .none, manufacturer: "", secureBootState: []) }
    #if HAECHI_DEVICE_LIBRARIES
      let tpm = try TPM2(device: device)
      return RootOfTrustFacts(kind: .tpm2, manufacturer: try tpm.manufacturer(), secureBootState: try tpm.secureBootState())
    #else
      throw Self.notBuiltIn(device)
    #endif
  }

  func sign(_ digest: [UInt8], with handle: [UInt8]) throws(BoardError) -> [UInt8] {
    guard let device = Self.device else { throw BoardError(code: BoardError.lockedCode, reason: "the device's own key is in a TPM, and this machine has none") }
    #if HAECHI_DEVICE_LIBRARIES
      return try TPM2(device: device).sign(digest, with: handle)
    #else
      throw Self.notBuiltIn(device)
    #endif
  }

  #if !HAECHI_DEVICE_LIBRARIES
    private static func notBuiltIn(_ device: String) -> BoardError {
      BoardError(code: "not-built-in", reason: "this program was built without tpm2-tss: cross-build it for the device to use \(device)")
    }
  #endif
}
