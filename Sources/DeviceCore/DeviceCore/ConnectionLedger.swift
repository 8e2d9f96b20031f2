import Foundations
import NIOConcurrencyHelpers
import NIOCore

/// How many connections the listener holds. One connection costs about 60 KB, so these bound memory on a 64 MB board.
public struct ConnectionLimits: Sendable {
  /// All together.
  public var maximumConnections = 64
  /// From one address.
  public var maximumConnectionsPerPeer = 16
  /// From the loopback address, where all connections of a development host, or of a machine behind a user-mode network, come from.
  public var maximumConnectionsFromLoopback = 32
  /// Of another device of the owner's, which needs one, and a second one while it changes. All that are listed and all that ask together
  /// (`PeerBook`) then leave 16 to people, whatever they do.
  public var maximumConnectionsPerDevice = 2
  /// Handshakes at a time of all peers that keep being refused, while the device is restricted.
  public var maximumHandshakesOfSuspects = 2
  /// From accept to the end of the handshake.
  public var handshakeDeadline_ms: Int64 = 10_000

  public init() {}
}

/// Who is connected: counts, refuses, finds and closes.
final class ConnectionLedger: Sendable {
  private struct Entry {
    let channel: any Channel
    let peer: String
    /// Which device it is, once its handshake has told.
    var device: DeviceIdentifier?
  }
  private struct State {
    var entries: [UInt64: Entry] = [:]
    var perPeer: [String: Int] = [:]
    var last: UInt64 = 0
    var isClosed = false
  }
  private let limits: ConnectionLimits
  private let state = NIOLockedValueBox(State())

  init(limits: ConnectionLimits) { self.limits = limits }

  /// A number for the connection, or nil where there is no room for it. Its place is free again when the channel closes.
  func admit(_ channel: any Channel) -> UInt64? {
    let peer = Self.peerKey(channel.remoteAddress)
    let number: UInt64? = state.withLockedValue { state in
      let ofPeer = state.perPeer[peer, default: 0]
      let isLoopback = peer.hasPrefix("127.") || peer == "::1"
      let maximum = isLoopback ? limits.maximumConnectionsFromLoopback : limits.maximumConnectionsPerPeer
      guard !state.isClosed, state.entries.count < limits.maximumConnections, ofPeer < maximum else { return nil }
      state.last += 1
      state.entries[state.last] = Entry(channel: channel, peer: peer)
      state.perPeer[peer] = ofPeer + 1
      return state.last
    }
    if let number { channel.closeFuture.whenComplete { [self] _ in remove(number) } }
    return number
  }

  private func remove(_ number: UInt64) {
    state.withLockedValue { state in
      guard let entry = state.entries.removeValue(forKey: number) else { return }
      let rest = state.perPeer[entry.peer, default: 1] - 1
      state.perPeer[entry.peer] = rest > 0 ? rest : nil
    }
  }

  /// The connection turned out to be `device`'s. Returns those of the same device that are too many now, the eldest first: for the caller to close.
  func isOf(_ device: DeviceIdentifier, _ number: UInt64) -> [any Channel] {
    state.withLockedValue { state in
      state.entries[number]?.device = device
      let numbers = state.entries.filter { $0.value.device == device }.keys.sorted()
      return numbers.dropLast(limits.maximumConnectionsPerDevice).compactMap { state.entries[$0]?.channel }
    }
  }

  var count: Int { state.withLockedValue { $0.entries.count } }

  /// The channels of all connections but one.
  func channels(except number: UInt64? = nil) -> [any Channel] {
    state.withLockedValue { state in state.entries.filter { $0.key != number }.map(\.value.channel) }
  }

  /// From here on nobody is admitted.
  func close() { state.withLockedValue { $0.isClosed = true } }

  /// The address without the port; an IPv4 address that came by IPv6 (RFC 4291 section 2.5.5.2) counts as itself.
  static func peerKey(_ address: SocketAddress?) -> String {
    let text = address?.ipAddress ?? "unknown"
    return text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst("::ffff:".count)) : text
  }
}
