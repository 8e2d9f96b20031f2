import Discovery
import Foundations
import LocalAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import SupervisorLink

/// Announces the device to its neighbours, where its owner has said so to the supervisor, and there is an owner, an address and a port to announce.
final class DiscoveryDesk: Sendable {
  private struct State {
    /// The supervisor lets multicast DNS through.
    var isPermitted = false
    var isQuiet = false
    var port: UInt16?
    /// The address and how many leading bits of it the neighbours share.
    var place: (address: NetworkAddress, prefixLength: UInt8)?
    var isAnnouncing = false
    var state = Neighbourhood.State.off
    var conflictTold_ms: UInt64?
    var placeFollower: (@Sendable () -> Void)?
  }
  /// Whoever can bring about a conflict can do so again and again: it is one event in this time.
  private static let conflictPause_ms: UInt64 = 3_600_000

  private let device: Device
  private let hub: DeviceHub
  private let neighbourhood: Neighbourhood
  private let box: NIOLockedValueBox<State>

  /// - Parameter place: where the device always is: on a development host. nil: where its lease says.
  init(device: Device, hub: DeviceHub, neighbourhood: Neighbourhood, place: (address: NetworkAddress, prefixLength: UInt8)?) {
    self.device = device
    self.hub = hub
    self.neighbourhood = neighbourhood
    box = NIOLockedValueBox(State(place: place))
    neighbourhood.onChange { [weak self] state in self?.changed(state) }
    guard place == nil else { return }
    hub.onLease { [weak self] lease in self?.leased(lease) }
  }

  // MARK: What it follows

  /// Whether the supervisor lets multicast DNS through.
  @Sendable func permitted(_ isOn: Bool) {
    box.withLockedValue { $0.isPermitted = isOn }
    use()
    placeChanged()
  }

  /// In quarantine not even a good-bye goes out; the supervisor tells when that is over.
  func gradeChanged(_ grade: Grade) {
    box.withLockedValue { state in
      state.isQuiet = grade >= .quarantined
      if state.isQuiet { state.isPermitted = false }
    }
    use()
  }

  func ownerChanged() { use() }

  func serves(port: Int?) {
    box.withLockedValue { $0.port = port.flatMap { UInt16(exactly: $0) } }
    use()
  }

  private func leased(_ lease: NetworkLease?) {
    let new = lease.map { (address: NetworkAddress(ipv4: $0.prefix.address), prefixLength: $0.prefix.prefixLength) }
    let isOther = box.withLockedValue { state in
      defer { state.place = new }
      return state.place?.address != new?.address || state.place?.prefixLength != new?.prefixLength
    }
    guard isOther else { return }
    use()
    placeChanged()
  }

  /// The owner says it once more: who was silenced by a conflict tries again.
  func anew() {
    guard box.withLockedValue({ $0.state == .conflict }) else { return }
    neighbourhood.announce(nil, saysGoodbye: false)
    use()
  }

  /// Calls `follower`, which must not wait, when what was found before counts no more: there is another link, or the owner's word has changed.
  func onPlace(_ follower: @escaping @Sendable () -> Void) { box.withLockedValue { $0.placeFollower = follower } }

  private func placeChanged() { box.withLockedValue { $0.placeFollower }?() }

  private func use() {
    let isOwned = device.owner != nil
    // In the lock, so that the newest word is the last that is heard: nothing may be sent after it is not permitted any more.
    box.withLockedValue { state in
      var link: Neighbourhood.Link?
      if state.isPermitted, isOwned, let port = state.port, let place = state.place {
        link = Neighbourhood.Link(
          Announcement(device: device.identifier, address: place.address, port: port), prefixLength: place.prefixLength)
      }
      state.isAnnouncing = link != nil
      neighbourhood.announce(link, saysGoodbye: !state.isQuiet)
    }
  }

  // MARK: Looking for others

  /// These devices are looked for from now on, while this one is announced.
  func seek(_ devices: Set<DeviceIdentifier>) { neighbourhood.seek(devices) }

  /// Calls `handler`, which must not wait, with what neighbours say of devices that are looked for.
  func onSighting(_ handler: @escaping @Sendable ([Sighting]) -> Void) { neighbourhood.onSighting(handler) }

  func stop() async { try? await neighbourhood.stop().get() }

  // MARK: How it is

  private func changed(_ new: Neighbourhood.State) {
    let now_ms = BootClock.now_ms()
    let tells = box.withLockedValue { state in
      state.state = new
      guard new == .conflict, state.conflictTold_ms.map({ now_ms >= $0 + Self.conflictPause_ms }) ?? true else { return false }
      state.conflictTold_ms = now_ms
      return true
    }
    if new == .announced { hub.log.append(.notice, source: "discovery", "announced to the neighbours") }
    if tells { hub.events.append(.discovery(DiscoveryEventDocument(state: .conflict, uptimeMilliseconds: now_ms))) }
  }

  var state: DiscoveryState {
    box.withLockedValue { state in
      guard state.isPermitted else { return .off }
      guard state.isAnnouncing else { return .waiting }
      switch state.state {
      case .off, .probing: return .probing
      case .announced: return .announced
      case .conflict: return .conflict
      case .failed: return .failed
      }
    }
  }
}

extension Runtime {
  /// On a development host the loopback is all that is announced on: what else its network hears is not this program's to say.
  func startDiscovery(_ device: Device, _ hub: DeviceHub) async throws -> DiscoveryDesk {
    let isHost = configuration.variant == "host"
    let neighbourhood = try await Neighbourhood.make(eventLoop: group.next(), loops: isHost) { level, text in
      hub.log.append(level, source: "discovery", text)
    }.get()
    return DiscoveryDesk(device: device, hub: hub, neighbourhood: neighbourhood, place: isHost ? (NetworkAddress(ipv4: 0x7f00_0001), 8) : nil)
  }
}
