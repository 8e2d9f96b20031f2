/// An IPv4 configuration for the device's interface. Addresses are numbers: 10.0.2.15 is 0x0a00020f.
public struct InterfaceConfiguration: Sendable, Equatable {
  public let address: UInt32
  /// 0…32.
  public let prefixLength: UInt8
  /// The default router, or 0 for none.
  public let router: UInt32

  public init(address: UInt32, prefixLength: UInt8, router: UInt32) {
    self.address = address
    self.prefixLength = prefixLength
    self.router = router
  }
}

/// The one network interface of the device. Held by the supervisor; single-threaded, and no call waits.
public protocol NetworkInterface: AnyObject {
  /// As the kernel names it: `eth0`.
  var name: String { get }
  /// Sets the loopback and this interface up.
  func bringUp() throws(BoardError)
  /// The six bytes of the hardware address.
  func hardwareAddress() throws(BoardError) -> [UInt8]
  /// Replaces the IPv4 address and the default route, as a whole.
  func apply(_ configuration: InterfaceConfiguration) throws(BoardError)
  /// Removes the IPv4 address and the default route.
  func clear() throws(BoardError)
  /// Sets the machine's host name (RFC 1123 label).
  func setHostName(_ name: String) throws(BoardError)
  /// Becomes readable when the carrier may have changed; nil where there is nothing to watch.
  var eventDescriptor: CInt? { get }
  /// Reads what is pending and returns whether the carrier is there now.
  func takeCarrier() throws(BoardError) -> Bool
  /// A UDP socket bound to this interface and to port 68 that may broadcast, for the unprivileged DHCP client (RFC 2131).
  /// nil where the board does without DHCP. The caller owns the descriptor.
  func makeDHCPSocket() throws(BoardError) -> CInt?
}
