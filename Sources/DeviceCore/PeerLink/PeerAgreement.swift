/// What a device offers its peers, and what they have in common.
public struct PeerOffer: Hashable, Sendable {
  /// The protocol versions that it speaks, each 1 or more.
  public let versions: [Int]
  /// What it can do, by words of a-z and '-'. One that the other side does not know is no fault of either.
  public let capabilities: [String]

  public init(versions: [Int], capabilities: [String]) {
    self.versions = versions
    self.capabilities = capabilities
  }

  /// What this firmware speaks. `readings`: the latest value of a reading, by its name.
  public static let own = PeerOffer(versions: [1], capabilities: [PeerAgreement.readings])
}

/// The common part of two offers: older and newer firmware work together on it.
public struct PeerAgreement: Hashable, Sendable {
  /// The capability that lets a peer ask for readings.
  public static let readings = "readings"

  /// The highest version that both speak.
  public let version: Int
  /// What both can do, sorted.
  public let capabilities: [String]

  /// The same on both sides, whichever offer comes first.
  ///
  /// - Throws: `peer-incompatible` where there is no common version.
  public init(_ one: PeerOffer, _ other: PeerOffer) throws(PeerLinkError) {
    guard let version = Set(one.versions).intersection(other.versions).max() else {
      func list(_ versions: [Int]) -> String { versions.isEmpty ? "none" : versions.sorted().map(String.init).joined(separator: ", ") }
      throw PeerLinkError(
        code: "peer-incompatible",
        reason: "the peer protocol has no version that both speak: here \(list(one.versions)), there \(list(other.versions)); update the older firmware")
    }
    self.version = version
    capabilities = Set(one.capabilities).intersection(other.capabilities).sorted()
  }
}
