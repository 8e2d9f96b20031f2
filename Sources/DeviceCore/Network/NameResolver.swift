internal import CHaechi
public import Foundations

/// Why a name has no addresses. Codes: `name-invalid`, `name-not-found` (it does not exist, or has no address that a host can have),
/// `name-refused` (no name server wants to answer), `name-unanswered` (none answered, or none is known).
public struct ResolverError: HaechiError {
  public let code: String
  public let reason: String
  public var cause: (any Error)? { nil }

  init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }
}

/// Looks names up, by the C library's stub resolver and the name servers of the present lease: no file, no search list, UDP only.
public struct NameResolver: Sendable {
  /// A name has at most so many addresses here: as many as the supervisor lets through.
  public static let maximumAddresses = 4
  /// RFC 1035 section 2.3.4.
  public static let nameMaximum_bytes = 253

  private let servers: [(address: UInt32, port: UInt16)]

  /// - Parameter configuration: whom to ask, on port 53.
  public init(_ configuration: ResolverConfiguration) { servers = configuration.resolvers.map { ($0.rawValue, 53) } }

  /// Asks others and elsewhere: for tests.
  init(servers: [(address: UInt32, port: UInt16)]) { self.servers = Array(servers.prefix(ResolverConfiguration.maximumResolvers)) }

  /// The addresses of `name` that one host can have, IPv4 and IPv6 by turns, 1…4.
  ///
  /// Blocks: for a thread of its own or a pool's, never for an event loop. The C library asks each of n servers twice and waits 2 s for the
  /// first, 4/n s for the second and 8/n s for the third, in whole seconds: where none answers that is 4 s with one, 8 s with two and 10 s with
  /// three. At the worst, where the last of them answers late for IPv4 and none for IPv6, it is twice as long: 8, 16 or 20 s.
  public func addresses(of name: String) throws(ResolverError) -> [NetworkAddress] {
    guard (1...Self.nameMaximum_bytes).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw ResolverError("name-invalid", "\(name.prefix(Self.nameMaximum_bytes)) is no name that can be looked up")
    }
    guard !servers.isEmpty else { throw ResolverError("name-unanswered", "no name server is known that could be asked for \(name)") }
    let four = query(name, type: HAECHI_RECORD_A)
    // A name that does not exist has no addresses of another kind, and who does not answer the one question does not answer the other.
    let six = four.failure < 0 ? four : query(name, type: HAECHI_RECORD_AAAA)
    var found: [NetworkAddress] = []
    for index in 0..<Self.maximumAddresses {
      for list in [four.addresses, six.addresses] where index < list.count && !found.contains(list[index]) { found.append(list[index]) }
    }
    guard found.isEmpty else { return Array(found.prefix(Self.maximumAddresses)) }
    switch four.failure {
    case HAECHI_RESOLVE_REFUSED: throw ResolverError("name-refused", "no name server answers for \(name)")
    case HAECHI_RESOLVE_NO_ANSWER: throw ResolverError("name-unanswered", "no name server answered in time for \(name)")
    default: throw ResolverError("name-not-found", "\(name) has no address that a host can have")
    }
  }

  /// What one kind of record says; `failure` is 0 where there was an answer.
  private func query(_ name: String, type: CInt) -> (addresses: [NetworkAddress], failure: CInt) {
    // Without EDNS an answer over UDP has at most 512 bytes (RFC 1035 section 2.3.4); some servers send more all the same.
    var answer = [UInt8](repeating: 0, count: 2_048)
    let count = haechi_resolve(name, type, servers.map(\.address), servers.map(\.port), CInt(servers.count), &answer, CInt(answer.count))
    guard count >= 0 else { return ([], count) }
    return (dnsAddresses(Array(answer.prefix(Int(count)))).filter(\.isUnicastHost), 0)
  }
}
