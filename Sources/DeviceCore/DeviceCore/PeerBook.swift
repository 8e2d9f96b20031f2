import Foundations
import Identity
import NIOConcurrencyHelpers

/// Another device of the same owner's that an admin made a peer.
struct PeerEntry: Sendable, Equatable {
  let device: DeviceIdentifier
  /// Where it is reached; nil where it only comes by itself.
  let destination: PeerDestinations.Destination?
  /// What it may do here.
  let scope: PeerScope
}

/// The owner's word about peers, as the file `peers.json` holds it.
struct StoredPeers: Codable, Equatable {
  struct Peer: Codable, Equatable {
    var deviceId: String
    var address: String?
    var port: UInt16?
    var scope: [String]
  }
  static let currentVersion = 1

  var version = Self.currentVersion
  var peers: [Peer]
}

/// Which devices are peers, and which ask to be. Any thread may call; only `replace` writes.
final class PeerBook: Sendable {
  /// A device has a handful of neighbours.
  static let maximumEntries = 16
  /// Who is not listed is an event that an admin looks at; no more of them than this wait at a time.
  static let maximumAsking = 8
  /// Who has not come again for so long does not ask any more, milliseconds.
  static let askingLasts_ms: UInt64 = 3_600_000
  private static let file = "peers.json"

  private struct State {
    var entries: [PeerEntry] = []
    /// When each came last, milliseconds of `BootClock`.
    var asking: [DeviceIdentifier: UInt64] = [:]
  }
  private let folder: PrivateFolder
  private let state: NIOLockedValueBox<State>

  /// Reads what the owner said before. A file that cannot be read is no reason not to serve: nobody is a peer then.
  init(folder: PrivateFolder, log: DeviceLog) {
    self.folder = folder
    var state = State()
    do {
      if let stored = try folder.read(StoredPeers.self, Self.file, as: "the list of peers") {
        try folder.check(version: stored.version, is: StoredPeers.currentVersion, of: Self.file)
        state.entries = try stored.peers.prefix(Self.maximumEntries).map(Self.entry)
      }
    } catch {
      log.append(.error, source: "peers", "the list of peers cannot be read and must be made anew: \(error)")
    }
    self.state = NIOLockedValueBox(state)
  }

  private static func entry(_ stored: StoredPeers.Peer) throws -> PeerEntry {
    guard let device = DeviceIdentifier(stored.deviceId) else { throw damage("\(file): \(stored.deviceId.prefix(40)) is no device id") }
    var destination: PeerDestinations.Destination?
    if let address = stored.address {
      destination = NetworkAddress(address).flatMap { PeerDestinations.Destination(address: $0, port: stored.port ?? 0) }
      guard destination != nil else { throw damage("\(file): the address of \(device) is none") }
    }
    return PeerEntry(device: device, destination: destination, scope: try PeerScope(stored.scope))
  }

  /// By device id.
  var entries: [PeerEntry] { state.withLockedValue { $0.entries } }

  func entry(of device: DeviceIdentifier) -> PeerEntry? { state.withLockedValue { $0.entries.first { $0.device == device } } }

  /// Whether a device of the owner's may be let in.
  ///
  /// - Parameter isNew: it is in a handshake, and may become one that asks; else it must be known already.
  func admits(_ device: DeviceIdentifier, isNew: Bool, now_ms: UInt64 = BootClock.now_ms()) -> Bool {
    state.withLockedValue { state in
      if state.entries.contains(where: { $0.device == device }) || state.asking[device] != nil { return true }
      Self.forgetOld(&state, now_ms)
      return isNew && state.asking.count < Self.maximumAsking
    }
  }

  /// A device of the owner's has proved in a handshake who it is. True where it is one that asks, and had not asked before.
  func arrived(_ device: DeviceIdentifier, now_ms: UInt64 = BootClock.now_ms()) -> Bool {
    state.withLockedValue { state in
      guard !state.entries.contains(where: { $0.device == device }) else { return false }
      Self.forgetOld(&state, now_ms)
      guard state.asking[device] != nil || state.asking.count < Self.maximumAsking else { return false }
      return state.asking.updateValue(now_ms, forKey: device) == nil
    }
  }

  private static func forgetOld(_ state: inout State, _ now_ms: UInt64) {
    state.asking = state.asking.filter { now_ms < $0.value + askingLasts_ms }
  }

  /// Who asks, by device id.
  func asking(now_ms: UInt64 = BootClock.now_ms()) -> [DeviceIdentifier] {
    state.withLockedValue { state in
      Self.forgetOld(&state, now_ms)
      return state.asking.keys.sorted { $0.text < $1.text }
    }
  }

  /// The owner is gone, and the file with it.
  func forget() { state.withLockedValue { $0 = State() } }

  /// The list is this one from now on, even where it cannot be written: what the owner takes away is gone at once. `device`, about whom it was changed,
  /// asks no more.
  func replace(_ entries: [PeerEntry], about device: DeviceIdentifier) throws {
    let sorted = entries.sorted { $0.device.text < $1.device.text }
    let stored = sorted.map {
      StoredPeers.Peer(deviceId: $0.device.text, address: $0.destination?.address.description, port: $0.destination?.port, scope: $0.scope.texts)
    }
    state.withLockedValue { state in
      state.entries = sorted
      state.asking[device] = nil
    }
    try folder.write(StoredPeers(peers: stored), Self.file)
  }
}
