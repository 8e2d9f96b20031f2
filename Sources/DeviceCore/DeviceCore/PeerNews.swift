import Foundations

/// Which changes of a link are events. A peer that is not there is one and not one a minute, and one that plays connected and refused in turn must not
/// push everything else out of the journal.
struct PeerNews: Sendable {
  /// After an event of a link, its next one is no sooner than this, milliseconds: four links fill the journal in two days then.
  static let pause_ms: UInt64 = 3_600_000

  private var told: [DeviceIdentifier: (words: String, at_ms: UInt64)] = [:]

  /// Whether that the link to `peer` is in the state of `words` is to be told, at `now_ms` of `BootClock`; then it counts as told.
  mutating func take(_ peer: DeviceIdentifier, _ words: String, now_ms: UInt64) -> Bool {
    if let last = told[peer], last.words == words || now_ms < last.at_ms + Self.pause_ms { return false }
    told[peer] = (words, now_ms)
    return true
  }

  /// The owner has said something of `peer`: what follows is news again.
  mutating func forget(_ peer: DeviceIdentifier) { told[peer] = nil }
}
