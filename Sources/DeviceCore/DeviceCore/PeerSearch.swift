import Discovery
import Foundations
import PeerLink

/// Which peers are looked for among the neighbours, and where they were found. Values only: `PeerDesk` acts on them.
struct PeerSearch: Sendable {
  /// A peer that may be at another place than the declared one.
  struct Move: Sendable, Equatable {
    let peer: DeviceIdentifier
    /// The owner's word.
    let from: PeerDestinations.Destination
    let to: PeerDestinations.Destination
  }
  /// Between two places that are tried for one peer, milliseconds: a connection attempt takes about that long.
  static let pause_ms: UInt64 = 5_000

  /// Who does not answer, or where another one answers.
  private(set) var missing: Set<DeviceIdentifier> = []
  /// What the supervisor has taken.
  private(set) var found: [DeviceIdentifier: Move] = [:]
  private var tried_ms: [DeviceIdentifier: UInt64] = [:]
  private var last: [DeviceIdentifier: NetworkAddress] = [:]
  /// One question to the supervisor at a time: what `forgotten` was when it was asked.
  private var asked: UInt64?
  private var forgotten: UInt64 = 0
  var missingChanged: (@Sendable (Set<DeviceIdentifier>) -> Void)?

  /// The link to a peer has changed. Where a place that was found is no better, it is given up.
  mutating func take(_ peer: DeviceIdentifier, _ status: PeerLinkStatus) {
    switch (status.state, status.failure?.code) {
    case (.connected, _): missing.remove(peer)
    // It is the peer, and says so itself.
    case (.refused, let code) where code != "peer-wrong": missing.remove(peer)
    case (.waiting, _), (.refused, _):
      guard status.failure != nil else { return }
      missing.insert(peer)
      found[peer] = nil
    case (.connecting, _): return
    }
  }

  /// What was found counts no more, and what is being asked for will not when it is answered.
  mutating func forgetFound() {
    found = [:]
    forgotten += 1
  }

  /// These places are declared, and no others: what was found of others counts no more.
  mutating func keep(_ declared: [PeerDestinations.Destination]) { found = found.filter { declared.contains($0.value.from) } }

  /// The next place to ask the supervisor for, of those that neighbours say: of a missing, declared peer, at its port, another than was tried last.
  mutating func next(
    _ sightings: [Sighting], declared: [PeerDestinations.Destination], _ entries: [PeerEntry], now_ms: UInt64
  ) -> Move? {
    missing.formIntersection(entries.map(\.device))
    guard asked == nil else { return nil }
    for entry in entries where missing.contains(entry.device) && now_ms >= (tried_ms[entry.device] ?? 0) {
      guard let from = entry.destination, declared.contains(from), found[entry.device] == nil else { continue }
      let places = sightings.filter { $0.device == entry.device && $0.port == from.port && $0.address != from.address }.map(\.address)
      guard let address = places.first(where: { $0 != last[entry.device] }) ?? places.first,
        let place = PeerDestinations.Destination(address: address, port: from.port)
      else { continue }
      tried_ms[entry.device] = now_ms + Self.pause_ms
      last[entry.device] = address
      asked = forgotten
      return Move(peer: entry.device, from: from, to: place)
    }
    return nil
  }

  /// What the supervisor answered. True where the place is to be tried.
  mutating func settle(_ move: Move, isPermitted: Bool) -> Bool {
    defer { asked = nil }
    guard asked == forgotten, isPermitted, missing.contains(move.peer) else { return false }
    found[move.peer] = move
    return true
  }
}
