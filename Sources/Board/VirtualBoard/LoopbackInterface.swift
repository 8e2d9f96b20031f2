internal import BoardAPI

/// The host's loopback: always there, configured by the host, and without DHCP.
final class LoopbackInterface: NetworkInterface {
  let name = "lo"
  let eventDescriptor: CInt? = nil

  func bringUp() throws(BoardError) {}

  /// A locally administered address (IEEE 802), the same for every virtual board: it never reaches a wire.
  func hardwareAddress() throws(BoardError) -> [UInt8] { [0x02, 0, 0, 0, 0, 0x01] }

  func apply(_ configuration: InterfaceConfiguration) throws(BoardError) {
    throw BoardError(code: "network-not-ours", reason: "the virtual board uses its host's loopback and cannot change its address")
  }

  func clear() throws(BoardError) {}

  /// The host keeps its own name.
  func setHostName(_ name: String) throws(BoardError) {}

  func takeCarrier() throws(BoardError) -> Bool { true }

  func makeDHCPSocket() throws(BoardError) -> CInt? { nil }
}

/// No root of trust, and it says so.
final class AbsentRootOfTrust: RootOfTrust {
  func facts() throws(BoardError) -> RootOfTrustFacts { RootOfTrustFacts(kind: .none, manufacturer: "", secureBootState: []) }

  func sign(_ digest: [UInt8], with handle: [UInt8]) throws(BoardError) -> [UInt8] {
    throw BoardError(code: "root-of-trust-failed", reason: "the virtual board has no root of trust that could sign")
  }
}
