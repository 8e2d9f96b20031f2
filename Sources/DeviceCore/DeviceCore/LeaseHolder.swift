import Foundations
import NIOCore
import Network
import SupervisorLink

/// Sets what DHCP gave on the interface, by way of the supervisor, and keeps it for the API and the resolver.
struct LeaseHolder: DHCPLeaseHolder {
  let supervisor: SupervisorClient
  let hub: DeviceHub

  func apply(_ lease: DHCPLease) async throws {
    guard let prefix = IPv4Prefix(address: lease.address.rawValue, prefixLength: lease.prefixLength) else {
      throw SupervisorError(code: "link-failed", reason: "the lease's prefix length is \(lease.prefixLength)")
    }
    let network = NetworkLease(
      prefix: prefix, router: lease.router?.rawValue ?? 0, resolvers: lease.resolvers.resolvers.map(\.rawValue),
      valid_s: lease.remaining_s(now_ms: BootClock.now_ms()))
    let outcome = try await supervisor.request { .applyLease(request: $0, network) }
    guard outcome == .done else {
      throw SupervisorError(code: "link-failed", reason: "the supervisor did not set the address \(lease.address): \(outcome)")
    }
    hub.update { $0.lease = network }
  }

  func drop() async throws {
    let outcome = try await supervisor.request { .dropLease(request: $0) }
    guard outcome == .done else { throw SupervisorError(code: "link-failed", reason: "the supervisor did not remove the address: \(outcome)") }
    hub.update { $0.lease = nil }
  }
}

/// The DHCP client of the device, where the board hands the runtime a socket for it.
struct AddressClient: Sendable {
  private let driver: DHCPDriver

  /// Throws where the hardware address or the host name is none that DHCP can carry.
  static func start(
    socket: CInt, hardwareAddress: [UInt8], hostName: String, on eventLoop: any EventLoop, holder: LeaseHolder, log: DeviceLog
  ) async throws -> AddressClient {
    let configuration = try DHCPClientConfiguration(hardwareAddress: hardwareAddress, hostName: hostName)
    let driver = try await DHCPDriver.make(
      socket: socket, configuration: configuration, eventLoop: eventLoop, holder: holder,
      log: { level, text in log.append(level, source: "dhcp", text) }
    ).get()
    return AddressClient(driver: driver)
  }

  func linkChanged(up: Bool) { driver.linkChanged(up: up) }

  func stop() async { try? await driver.stop().get() }
}
