import Foundations

extension Router {
  /// The audit log, a page at a time, and the owner's switch for it.
  func performAudit(_ route: Route, body: [UInt8]) throws -> RouteAnswer {
    let service = service
    guard route.endpoint.operation == .putAudit else {
      let after = try after(route)
      return later(route) { () async throws(Problem) in try await service.audit(after: after) }
    }
    let request = try decodeRequest(AuditSetting.self, from: body, limits: limits)
    return later(route) { () async throws(Problem) in try await service.setAudit(request, caller: route.callerName) }
  }

  private func after(_ route: Route) throws(Problem) -> UInt64 {
    guard let text = route.parameters["after"] else { return 0 }
    guard let after = decimal(text) else { throw .parameterInvalid("after must be a sequence number, 0 or greater.", field: "after") }
    return after
  }
}
