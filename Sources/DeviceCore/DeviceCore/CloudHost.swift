import CloudLink
import Crypto
import Foundations
import Identity
import NIOConcurrencyHelpers
import NIOPosix
import Network
import SupervisorLink

/// What the cloud link needs of the device: its credential, names looked up, addresses permitted, commands carried out.
final class CloudHost: CloudLinkHost {
  private let device: Device
  private let hub: DeviceHub
  private let supervisor: SupervisorClient
  /// Lookups wait for a server, so they have a thread of their own.
  private let threads: NIOThreadPool
  private let follower = NIOLockedValueBox<(@Sendable (CloudStatus) -> Void)?>(nil)

  init(device: Device, hub: DeviceHub, supervisor: SupervisorClient, threads: NIOThreadPool) {
    self.device = device
    self.hub = hub
    self.supervisor = supervisor
    self.threads = threads
  }

  /// Calls `follower`, which must not wait, whenever the link has changed.
  func onChange(_ follower: @escaping @Sendable (CloudStatus) -> Void) { self.follower.withLockedValue { $0 = follower } }

  var cloudCredential: CloudCredential? { device.operationalCredential.map { CloudCredential(chain: $0.chain, key: $0.key) } }

  func resolve(_ name: String) async throws -> [NetworkAddress] {
    let servers = ResolverConfiguration(resolvers: hub.facts.lease?.resolvers.map(IPv4Address.init(rawValue:)) ?? [])
    return try await threads.runIfActive { try NameResolver(servers).addresses(of: name) }
  }

  func permit(_ addresses: [NetworkAddress]) async throws {
    let outcome = try await supervisor.request { .destinationAddresses(request: $0, addresses) }
    switch outcome {
    case .done: return
    case .busy: throw SupervisorError(code: "link-busy", reason: "the broker's name changed its addresses too often; the last ones are not let through yet")
    default: throw SupervisorError(code: "link-failed", reason: "the supervisor does not let the broker's addresses through: \(outcome)")
    }
  }

  func carryOut(_ command: CloudCommand) async throws(CloudProblem) -> CloudActuatorState {
    guard let declared = hub.description.actuators.first(where: { $0.name == command.actuator }) else {
      let known = hub.description.actuators.map(\.name).joined(separator: ", ")
      throw CloudProblem(
        status: 404, code: "not-found", title: "There is no such resource",
        reason: "This device has no actuator \(command.actuator); it has: \(known.isEmpty ? "none" : known).")
    }
    do throws(ProductError) {
      try await hub.set(command.actuator, command.isOn)
    } catch {
      hub.log.append(.error, source: "cloud", "\(command.actuator) could not be set: \(error)")
      let isBusy = error.code == "too-many-requests"
      throw CloudProblem(
        status: isBusy ? 429 : 503, code: isBusy ? error.code : "unavailable", title: isBusy ? "Too many requests" : "The device cannot do this now",
        reason: "\(command.actuator) could not be set: \(error.reason).")
    }
    hub.log.append(.info, source: "cloud", "the cloud set \(command.actuator) \(command.isOn ? "on" : "off")")
    return CloudActuatorState(name: command.actuator, isOn: command.isOn, isSafe: declared.safe)
  }

  func cloudChanged(_ status: CloudStatus) { follower.withLockedValue { $0 }?(status) }
}
