public import Foundations

/// The flows that exist now; everything else, in both directions, does not.
public struct NetworkPolicyRules: Sendable, Equatable {
  /// A host and a TCP port that may be connected to.
  public struct Destination: Sendable, Hashable {
    public let address: NetworkAddress
    public let port: UInt16

    public init(address: NetworkAddress, port: UInt16) {
      self.address = address
      self.port = port
    }
  }

  public let grade: Grade
  /// The device's one TCP port.
  public let servedPort: UInt16
  /// The broker's addresses; in quarantine it is where the alert goes.
  public let destinations: [Destination]
  /// Who may be asked for names (UDP port 53). In quarantine nobody may be, and a question that was under way is no evidence.
  public let resolvers: [NetworkAddress]
  /// Whether multicast DNS goes to and comes from the neighbours: 224.0.0.251, UDP port 5353, and nothing that a router passed on.
  public let discovers: Bool

  public init(grade: Grade, servedPort: UInt16, destinations: [Destination], resolvers: [NetworkAddress], discovers: Bool = false) {
    self.grade = grade
    self.servedPort = servedPort
    self.destinations = destinations
    self.resolvers = resolvers
    self.discovers = discovers
  }
}

/// What lets packets through and what does not, in the kernel. Default deny in both directions, in every grade.
public protocol NetworkPolicy: AnyObject {
  /// Replaces all rules by these, as one transaction: there is no moment with half of them. It may block or end its process, so only a
  /// worker that keeps the network calls it. The count of `undeclaredPackets` goes on.
  func apply(_ rules: NetworkPolicyRules) throws(BoardError)
  /// Packets of new flows that the runtime tried to send anywhere that is not declared, since the machine started; each was dropped.
  /// One question to the kernel, which does not wait. 0 where nothing is counted.
  func undeclaredPackets() throws(BoardError) -> UInt64
}
