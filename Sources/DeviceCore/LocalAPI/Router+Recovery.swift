import Foundations

extension Router {
  /// The disk's recovery key.
  func performRecovery(_ route: Route, body: [UInt8]) throws -> RouteAnswer {
    let service = service
    switch route.endpoint.operation {
    case .postRecoveryKey: return later(route) { () async throws(Problem) in try await service.recoveryOffer() }
    case .putRecoveryKey:
      let request = try decodeRequest(RecoveryKeyRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.putRecoveryKey(request, caller: route.callerName) }
    case .deleteRecoveryKey:
      let request = try decodeRequest(StatementRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.removeRecoveryKey(request, caller: route.callerName) }
    default: return try ready(service.recoveryKey())
    }
  }
}
