// Who may do what: the one table of the API. docs/openapi.json says the same to the outside, and a test holds the two equal.

/// What an endpoint does.
enum Operation: String, CaseIterable {
  case getInfo, getStatus, getReadings, getActuators, getActuator, putActuator, getInputs, getEvents, getLogs
  case getGuard, postRelease, getCloud, putCloud
  case getRevocations, putRevocations
  case getAudit, putAudit
  case getProvisioning, putProvisioning, postRemake, getClaim, postClaim, getReceipt
  case getCredential, postRenewal, putRenewal, postTransfer
  case getRecoveryKey, postRecoveryKey, putRecoveryKey, deleteRecoveryKey
  case getPeers, putPeer, deletePeer, getPeerHello, getPeerReading
  case putDiscovery
}

/// One method of one path.
struct Endpoint {
  let operation: Operation
  let method: String
  /// `{name}` stands for one segment.
  let path: String
  let roles: Set<CallerRole>
  /// In the order of preference where a client likes them equally.
  var offered: [MediaType] = [.json]
  /// True where a JSON body must come; else none may.
  var takesBody = false
  /// True where what is done is bound to the connection: the operation is given what TLS exports for it.
  var isBound = false
  /// The query parameters that it knows.
  var parameters: Set<String> = []
  /// The statuses beyond 200 that its operation itself can give; those that every endpoint gives are in `commonStatuses`.
  var statuses: Set<Int> = []

  /// What any endpoint can answer: malformed, forbidden, not found (a path nearby), wrong method, not acceptable, time out, no length, too large
  /// (413, 414, 431), wrong expectation.
  static let commonStatuses: Set<Int> = [400, 403, 405, 406, 408, 411, 413, 414, 417, 431]

  /// Every status that this endpoint can give.
  var allStatuses: Set<Int> { Self.commonStatuses.union(statuses).union([200]).union(takesBody ? [415] : []) }
}

private let people: Set<CallerRole> = [.viewer, .operator, .admin]
/// Peers reach what is made for peers, and nothing else.
private let everyone = Set(CallerRole.allCases).subtracting([.peer])

/// Every endpoint there is.
let endpointTable: [Endpoint] = [
  Endpoint(operation: .getInfo, method: "GET", path: "/v1/info", roles: everyone),
  Endpoint(operation: .getStatus, method: "GET", path: "/v1/status", roles: people),
  Endpoint(operation: .getReadings, method: "GET", path: "/v1/readings", roles: people, offered: [.json, .eventStream]),
  Endpoint(operation: .getActuators, method: "GET", path: "/v1/actuators", roles: people),
  Endpoint(operation: .getActuator, method: "GET", path: "/v1/actuators/{name}", roles: people, statuses: [404]),
  Endpoint(
    operation: .putActuator, method: "PUT", path: "/v1/actuators/{name}", roles: [.operator, .admin], takesBody: true, statuses: [404, 409, 429, 503]),
  Endpoint(operation: .getInputs, method: "GET", path: "/v1/inputs", roles: people),
  Endpoint(operation: .getEvents, method: "GET", path: "/v1/events", roles: people, offered: [.json, .eventStream]),
  Endpoint(operation: .getLogs, method: "GET", path: "/v1/logs", roles: [.admin], offered: [.json, .eventStream], parameters: ["after"]),
  Endpoint(operation: .getGuard, method: "GET", path: "/v1/guard", roles: people),
  Endpoint(
    operation: .postRelease, method: "POST", path: "/v1/guard/release", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503]),
  Endpoint(operation: .getCloud, method: "GET", path: "/v1/cloud", roles: people),
  Endpoint(operation: .putCloud, method: "PUT", path: "/v1/cloud", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503, 507]),
  Endpoint(operation: .getRevocations, method: "GET", path: "/v1/revocations", roles: [.admin]),
  Endpoint(
    operation: .putRevocations, method: "PUT", path: "/v1/revocations", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503, 507]),
  Endpoint(operation: .getAudit, method: "GET", path: "/v1/audit", roles: [.admin], parameters: ["after"], statuses: [404, 409, 429, 503]),
  Endpoint(operation: .putAudit, method: "PUT", path: "/v1/audit", roles: [.admin], takesBody: true, statuses: [409, 503, 507]),
  Endpoint(operation: .getProvisioning, method: "GET", path: "/v1/provisioning", roles: [.station], statuses: [409, 503]),
  Endpoint(
    operation: .putProvisioning, method: "PUT", path: "/v1/provisioning", roles: [.station], takesBody: true, statuses: [409, 422, 503, 507]),
  Endpoint(operation: .postRemake, method: "POST", path: "/v1/storage/remake", roles: [.station], statuses: [409, 503]),
  Endpoint(operation: .getClaim, method: "GET", path: "/v1/claim", roles: [.claimant], isBound: true, statuses: [409, 503]),
  Endpoint(
    operation: .postClaim, method: "POST", path: "/v1/claim", roles: [.claimant], takesBody: true, isBound: true, statuses: [409, 422, 429, 503, 507]),
  // The seller shows it, and the buyer looks for it before a claim: neither has another role then.
  Endpoint(operation: .getReceipt, method: "GET", path: "/v1/receipt", roles: people.union([.claimant]), statuses: [404]),
  Endpoint(operation: .getCredential, method: "GET", path: "/v1/credential", roles: people, statuses: [409]),
  Endpoint(operation: .postRenewal, method: "POST", path: "/v1/credential/renewal", roles: [.admin], isBound: true, statuses: [409, 503]),
  Endpoint(
    operation: .putRenewal, method: "PUT", path: "/v1/credential/renewal", roles: [.admin], takesBody: true, statuses: [409, 422, 503, 507]),
  Endpoint(operation: .postTransfer, method: "POST", path: "/v1/transfer", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503, 507]),
  Endpoint(operation: .getRecoveryKey, method: "GET", path: "/v1/recovery-key", roles: [.admin]),
  Endpoint(operation: .postRecoveryKey, method: "POST", path: "/v1/recovery-key", roles: [.admin], statuses: [409, 429, 503]),
  Endpoint(
    operation: .putRecoveryKey, method: "PUT", path: "/v1/recovery-key", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503]),
  Endpoint(
    operation: .deleteRecoveryKey, method: "DELETE", path: "/v1/recovery-key", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503]),
  Endpoint(operation: .getPeers, method: "GET", path: "/v1/peers", roles: people),
  Endpoint(
    operation: .putPeer, method: "PUT", path: "/v1/peers/{name}", roles: [.admin], takesBody: true, statuses: [404, 409, 422, 429, 503, 507]),
  Endpoint(
    operation: .deletePeer, method: "DELETE", path: "/v1/peers/{name}", roles: [.admin], takesBody: true, statuses: [404, 409, 422, 429, 503, 507]),
  Endpoint(
    operation: .getPeerHello, method: "GET", path: "/v1/peer/hello", roles: [.peer], parameters: ["versions", "capabilities"], statuses: [409]),
  Endpoint(operation: .getPeerReading, method: "GET", path: "/v1/peer/readings/{name}", roles: [.peer], statuses: [404]),
  Endpoint(operation: .putDiscovery, method: "PUT", path: "/v1/discovery", roles: [.admin], takesBody: true, statuses: [409, 422, 429, 503]),
]

/// The table by path, for a look at it with each request.
let endpointIndex = EndpointIndex(endpointTable)

/// Finds endpoints by path. Names are compared as they stand: no percent-decoding, so there is one spelling of each path.
struct EndpointIndex {
  private var whole: [String: [Endpoint]] = [:]
  /// Those whose path ends in `{name}`, by what stands before it.
  private var named: [String: [Endpoint]] = [:]

  init(_ table: [Endpoint]) {
    for endpoint in table {
      if let (folder, name) = Self.split(endpoint.path), name == "{name}" {
        named[folder, default: []].append(endpoint)
      } else {
        whole[endpoint.path, default: []].append(endpoint)
      }
    }
  }

  /// The endpoints of all methods at `path`, and the value of `{name}`, "" where they have none.
  func endpoints(at path: String) -> (endpoints: [Endpoint], name: String) {
    if let endpoints = whole[path] { return (endpoints, "") }
    guard let (folder, name) = Self.split(path), !name.isEmpty, let endpoints = named[folder] else { return ([], "") }
    return (endpoints, String(name))
  }

  /// What stands before the last segment, its `/` included, and that segment.
  private static func split(_ path: String) -> (folder: String, name: Substring)? {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
    let start = path.utf8.index(after: slash)
    return (String(path[..<start]), path[start...])
  }
}
