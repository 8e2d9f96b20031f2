import Foundations
import NIOCore

/// An answer without its framing.
struct Response: Equatable {
  let status: Int
  let mediaType: MediaType
  let body: [UInt8]
  /// Fields beyond those that every answer has.
  var fields: [String: String] = [:]
  /// The connection ends after this answer.
  var closes = false

  init(status: Int, mediaType: MediaType, body: [UInt8], fields: [String: String] = [:], closes: Bool = false) {
    self.status = status
    self.mediaType = mediaType
    self.body = body
    self.fields = fields
    self.closes = closes
  }

  init(_ problem: Problem, instance: String?, fields: [String: String] = [:], closes: Bool = false) {
    // A document of strings and a number always encodes; an empty body would still carry the right status.
    let body = (try? encodeJSON(ProblemDocument(problem, instance: instance))) ?? []
    var fields = fields
    if let retryAfter_s = problem.retryAfter_s { fields["Retry-After"] = String(retryAfter_s) }
    self.init(status: problem.status, mediaType: .problem, body: body, fields: fields, closes: closes)
  }
}

/// A refusal, with what its answer says beyond the problem.
struct RouteRefusal: Error {
  let problem: Problem
  var fields: [String: String] = [:]
  /// The caller is nobody any more: the connection ends.
  var closes = false
}

/// A request whose head may be carried out.
struct Route: Sendable {
  let endpoint: Endpoint
  /// The path without the query.
  let path: String
  /// The value of `{name}`.
  let name: String
  let parameters: [String: String]
  let mediaType: MediaType
  let lastEventIdentifier: UInt64?
  let callerName: String
  let callerSerial: String?
  /// The calling device; nil where it is none.
  let peer: DeviceIdentifier?
  let connection: UInt64

  /// Why `caller` may not go on with it, nil where it may: asked at each event of a stream, when its head was judged long ago.
  func refusal(of caller: CallerDecision) -> String? {
    switch caller {
    case .refused(let reason): reason
    case .allowed(let role, _, _): endpoint.roles.contains(role) ? nil : "Your role is \(role.rawValue) now."
    case .peer: endpoint.roles.contains(.peer) ? nil : "Your role is \(CallerRole.peer.rawValue) now."
    }
  }
}

/// What to do once the request is complete.
enum RouteAnswer {
  case ready(Response)
  case later(@Sendable () async -> Response)
  case stream(Feed)
}

/// Decides about heads and carries requests out. Values in, values out: it knows nothing of connections.
struct Router: Sendable {
  let service: any DeviceService
  let limits: APILimits

  /// Judges a head: path, method, caller, query, media types, body, in this order. Nothing has happened when it refuses.
  func route(_ head: RequestHead, caller: CallerDecision, connection: UInt64) -> Result<Route, RouteRefusal> {
    do {
      return .success(try judge(head, caller: caller, connection: connection))
    } catch {
      return .failure(error)
    }
  }

  private func judge(_ head: RequestHead, caller: CallerDecision, connection: UInt64) throws(RouteRefusal) -> Route {
    let (path, query) = splitTarget(head.target)
    let (candidates, name) = endpointIndex.endpoints(at: path)
    guard !candidates.isEmpty else { throw RouteRefusal(problem: .notFound("There is nothing at \(path).")) }
    guard let endpoint = candidates.first(where: { $0.method == head.method }) else {
      let allowed = candidates.map(\.method).sorted()
      throw RouteRefusal(problem: .methodNotAllowed(head.method, allowed: allowed), fields: ["Allow": allowed.joined(separator: ", ")])
    }
    let callerName: String
    var callerSerial: String?
    var peer: DeviceIdentifier?
    switch caller {
    case .refused(let reason): throw RouteRefusal(problem: .forbidden(reason), closes: true)
    case .allowed(let role, let who, let serial):
      try check(role, head, endpoint)
      callerName = who
      callerSerial = serial
    case .peer(let device):
      try check(.peer, head, endpoint)
      callerName = "peer \(device)"
      peer = device
    }
    let parameters = try parseQuery(query, known: endpoint.parameters)
    guard let mediaType = negotiate(head.fields["accept"], offered: endpoint.offered) else {
      throw RouteRefusal(problem: .notAcceptable(endpoint.offered.map(\.rawValue)))
    }
    if endpoint.takesBody {
      let coding = head.fields["content-encoding"]
      guard isJSON(contentType: head.fields["content-type"]), coding.isEmpty || coding == ["identity"] else {
        throw RouteRefusal(problem: .unsupportedMediaType, fields: ["Accept": MediaType.json.rawValue])
      }
      guard head.bodyLength_bytes > 0 else { throw RouteRefusal(problem: .bodyInvalid("json-invalid", "The body is missing.")) }
    } else if head.bodyLength_bytes > 0 {
      throw RouteRefusal(problem: .bodyInvalid("body-unexpected", "\(head.method) \(endpoint.path) takes no body."))
    }
    return Route(
      endpoint: endpoint, path: path, name: name, parameters: parameters, mediaType: mediaType,
      lastEventIdentifier: head.fields["last-event-id"].first.flatMap(decimal), callerName: callerName,
      callerSerial: callerSerial, peer: peer, connection: connection)
  }

  private func check(_ role: CallerRole, _ head: RequestHead, _ endpoint: Endpoint) throws(RouteRefusal) {
    guard !endpoint.roles.contains(role) else { return }
    let roles = CallerRole.allCases.filter(endpoint.roles.contains).map(\.rawValue).joined(separator: ", ")
    throw RouteRefusal(problem: .forbidden("\(head.method) \(endpoint.path) is for \(roles); you are \(role.rawValue)."))
  }

  /// Carries the request out, or says how.
  ///
  /// - Parameter binding: names the connection where the endpoint is bound to it; else empty.
  func answer(_ route: Route, body: ByteBuffer, binding: [UInt8]) -> RouteAnswer {
    do {
      return try perform(route, body: Array(body.readableBytesView), binding: binding)
    } catch let problem as Problem {
      return .ready(Response(problem, instance: route.path))
    } catch {
      return .ready(Response(.unavailable("The answer could not be encoded."), instance: route.path))
    }
  }

  private func perform(_ route: Route, body: [UInt8], binding: [UInt8]) throws -> RouteAnswer {
    let service = service
    switch route.endpoint.operation {
    case .getInfo: return try ready(service.info())
    case .getStatus: return try ready(service.status())
    case .getReadings: return route.mediaType == .eventStream ? .stream(.readings) : try ready(service.readings())
    case .getActuators: return try ready(service.actuators())
    case .getActuator:
      let actuators = service.actuators().actuators
      guard let actuator = actuators.first(where: { $0.name == route.name }) else {
        throw Problem.unknownActuator(route.name, known: actuators.map(\.name))
      }
      return try ready(actuator)
    case .putActuator:
      let request = try decodeRequest(ActuatorRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in
        try await service.setActuator(route.name, on: request.on, caller: route.callerName)
      }
    case .getInputs: return try ready(service.inputs())
    case .getEvents: return route.mediaType == .eventStream ? .stream(.events) : try ready(service.events())
    case .getLogs:
      let after = try logsAfter(route)
      return route.mediaType == .eventStream ? .stream(.logs(after: after)) : try ready(service.logs(after: after))
    case .getGuard: return try ready(service.guardState())
    case .postRelease:
      let request = try decodeRequest(ReleaseRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.release(request, caller: route.callerName) }
    case .getCloud: return try ready(service.cloud())
    case .putCloud:
      let request = try decodeRequest(CloudRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.bindCloud(request, caller: route.callerName) }
    case .getRevocations: return try ready(service.revocations())
    case .putRevocations:
      let request = try decodeRequest(RevocationsRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in
        try await service.putRevocations(request, caller: route.callerName, serial: route.callerSerial)
      }
    case .getProvisioning: return later(route) { () async throws(Problem) in try await service.provisioningOffer() }
    case .putProvisioning:
      let request = try decodeRequest(ProvisioningRequest.self, from: body, limits: limits)
      return later(route, closes: true) { () async throws(Problem) in try await service.provision(request, connection: route.connection) }
    case .postRemake: return later(route) { () async throws(Problem) in try await service.remakeStorage() }
    case .getClaim: return later(route) { () async throws(Problem) in try await service.claimOffer(binding: binding) }
    case .postClaim:
      let request = try decodeRequest(ClaimRequest.self, from: body, limits: limits)
      return later(route, closes: true) { () async throws(Problem) in
        try await service.claim(request, binding: binding, connection: route.connection, caller: route.callerName)
      }
    case .getReceipt: return try ready(service.receipt())
    case .getCredential, .postRenewal, .putRenewal, .postTransfer: return try performRenewal(route, body: body, binding: binding)
    case .getRecoveryKey, .postRecoveryKey, .putRecoveryKey, .deleteRecoveryKey: return try performRecovery(route, body: body)
    case .getAudit, .putAudit: return try performAudit(route, body: body)
    case .putDiscovery:
      let request = try decodeRequest(DiscoveryRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.setDiscovery(request, caller: route.callerName) }
    case .getPeers, .putPeer, .deletePeer, .getPeerHello, .getPeerReading: return try performPeer(route, body: body)
    }
  }

  func ready(_ document: some Encodable) throws -> RouteAnswer {
    .ready(Response(status: 200, mediaType: .json, body: try encodeJSON(document)))
  }

  /// - Parameter closes: after success the connection's certificates no longer fit the device's state.
  func later<Document: Encodable & Sendable>(
    _ route: Route, closes: Bool = false, _ operation: @escaping @Sendable () async throws(Problem) -> Document
  ) -> RouteAnswer {
    .later {
      do throws(Problem) {
        let document = try await operation()
        guard let body = try? encodeJSON(document) else { throw Problem.unavailable("The answer could not be encoded.") }
        return Response(status: 200, mediaType: .json, body: body, closes: closes)
      } catch {
        return Response(error, instance: route.path)
      }
    }
  }

  private func logsAfter(_ route: Route) throws(Problem) -> UInt64 {
    guard let text = route.parameters["after"] else { return route.lastEventIdentifier ?? 0 }
    guard let after = decimal(text) else { throw .parameterInvalid("after must be a sequence number, 0 or greater.", field: "after") }
    return after
  }

  private func splitTarget(_ target: String) -> (path: String, query: Substring?) {
    guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (target, nil) }
    return (String(target[..<mark]), target[target.index(after: mark)...])
  }

  private func parseQuery(_ query: Substring?, known: Set<String>) throws(RouteRefusal) -> [String: String] {
    guard let query, !query.isEmpty else { return [:] }
    var parameters: [String: String] = [:]
    for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard known.contains(name) else {
        throw RouteRefusal(problem: .parameterInvalid("The query parameter \(name.prefix(64)) is not known here.", field: String(name.prefix(64))))
      }
      guard parts.count == 2, parameters.updateValue(String(parts[1]), forKey: name) == nil else {
        throw RouteRefusal(problem: .parameterInvalid("The query parameter \(name) must stand once, with a value.", field: name))
      }
    }
    return parameters
  }
}

/// A decimal number without sign or spaces.
func decimal(_ text: String) -> UInt64? {
  guard (1...20).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
  return UInt64(text)
}
