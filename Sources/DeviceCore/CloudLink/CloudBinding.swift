public import Crypto
public import Foundations

/// The broker that a device belongs to.
public struct CloudBinding: Hashable, Sendable {
  public let destination: CloudDestination
  /// Who signs the broker's certificate.
  public let authority: Certificate
  /// Where the broker was last known to be: the only ones to be used where no name may be looked up. Not needed for a numeric host.
  public let addresses: [NetworkAddress]

  public init(destination: CloudDestination, authority: Certificate, addresses: [NetworkAddress] = []) {
    self.destination = destination
    self.authority = authority
    self.addresses = addresses
  }
}

/// What a device shows to a broker: its operational certificate (LDevID).
public struct CloudCredential: Sendable {
  /// Leaf first, 1…4.
  public let chain: [Certificate]
  public let key: PrivateKey

  public init(chain: [Certificate], key: PrivateKey) {
    self.chain = chain
    self.key = key
  }
}

/// What a cloud link needs of the device. Nothing is called from an event loop; what is not `async` must not wait.
public protocol CloudLinkHost: Sendable {
  /// The credential as it is now; nil where the device has none yet.
  var cloudCredential: CloudCredential? { get }
  /// The addresses of a DNS name, best first.
  func resolve(_ name: String) async throws -> [NetworkAddress]
  /// Asks the supervisor to let connections to these addresses of the declared name through; returns once it does.
  func permit(_ addresses: [NetworkAddress]) async throws
  /// Switches an actuator, and tells its state after that; commands come one after the other.
  func carryOut(_ command: CloudCommand) async throws(CloudProblem) -> CloudActuatorState
  /// The link's state has changed, or it fails for another reason than before; not called for each try.
  func cloudChanged(_ status: CloudStatus)
}

/// An actuator after a command.
public struct CloudActuatorState: Hashable, Sendable {
  public let name: String
  public let isOn: Bool
  /// Whether it is in its safe state.
  public let isSafe: Bool

  public init(name: String, isOn: Bool, isSafe: Bool) {
    self.name = name
    self.isOn = isOn
    self.isSafe = isSafe
  }
}

/// Why a command was not carried out: RFC 9457 problem details.
public struct CloudProblem: HaechiError, Hashable {
  /// As an HTTP status would be, 400…599.
  public let status: Int
  public let code: String
  /// A short summary that is the same for every occurrence of `code`.
  public let title: String
  /// What happened here and what to do about it.
  public let reason: String
  public var cause: (any Error)? { nil }

  public init(status: Int, code: String, title: String, reason: String) {
    self.status = status
    self.code = code
    self.title = title
    self.reason = reason
  }
}
