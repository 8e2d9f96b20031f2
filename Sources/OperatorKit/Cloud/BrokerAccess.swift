internal import Crypto
internal import Foundations

/// A broker, and as whom the operator speaks to it: one of an owner's members, by the certificate that devices know, too.
public struct BrokerAccess: Sendable {
  let broker: KnownBroker
  let credential: Credential
  let home: OperatorHome
  let person: String

  /// `HOST:PORT`.
  public var address: String { broker.address }

  /// - Parameters:
  ///   - address: `HOST:PORT`; nil for the broker of the last `haechi cloud bind`.
  ///   - authorityFile: the broker's CA certificate, PEM or DER; nil for that of the last bind.
  ///   - ownerFolder: nil for that of the last bind, else the usual one.
  ///   - person: nil for who bound last, else the owner's only member.
  /// - Throws: `unknown-broker`, `unknown-member`, `bad-argument`, `certificate-expired`, and what is wrong with a file.
  public init(
    home: OperatorHome, address: String? = nil, authorityFile: String? = nil, ownerFolder: String? = nil, person: String? = nil,
    now_s: Int64 = secondsNow()
  ) throws(OperatorError) {
    let last = try KnownBroker.load(home)
    if let authorityFile {
      guard let address = address ?? last?.address else { throw Self.unknown }
      broker = try KnownBroker(address: address, authorityFile: authorityFile, now_s: now_s)
    } else {
      guard let last else { throw Self.unknown }
      broker = if let address { try last.at(address) } else { last }
    }
    let owner = try OwnerFolder.open(ownerFolder ?? last?.ownerFolder ?? home.ownerFolder)
    // Who bound belongs to the folder that was used then, and not to any other.
    let isSameOwner = ownerFolder == nil || ownerFolder == last?.ownerFolder
    credential = try owner.credential(person ?? (isSameOwner ? last?.person : nil), now_s: now_s)
    self.home = home
    self.person = credential.chain.first?.subjectCommonName ?? "operator"
  }

  private static var unknown: OperatorError {
    OperatorError(
      "unknown-broker",
      "no device was bound to a broker from here yet; bind one with haechi cloud bind, or name the broker with --broker HOST:PORT --authority FILE")
  }

  /// The addresses of the broker, in the order that the system's name service gives them.
  ///
  /// - Throws: `unreachable`, which may pass.
  func addresses() async throws(OperatorError) -> [NetworkAddress] {
    let host = broker.destination.host
    if let address = broker.destination.address { return [address] }
    // getaddrinfo(3) waits for the network.
    let found = await Task.detached { resolve(host) }.value
    guard !found.isEmpty else {
      throw OperatorError("unreachable", "the broker '\(host)' has no address in this network's name service; check the name")
    }
    return found
  }
}
