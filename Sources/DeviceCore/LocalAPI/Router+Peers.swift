import Foundations

extension Router {
  /// The renewal of the LDevID, and the device's release.
  func performRenewal(_ route: Route, body: [UInt8], binding: [UInt8]) throws -> RouteAnswer {
    let service = service
    switch route.endpoint.operation {
    case .postRenewal: return later(route) { () async throws(Problem) in try await service.renewalOffer(binding: binding) }
    case .putRenewal:
      let request = try decodeRequest(RenewalRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.installRenewal(request, caller: route.callerName) }
    case .postTransfer:
      let request = try decodeRequest(StatementRequest.self, from: body, limits: limits)
      return later(route, closes: true) { () async throws(Problem) in
        try await service.transfer(request, connection: route.connection, caller: route.callerName)
      }
    default: return try ready(try service.credential())
    }
  }

  /// What devices of one owner are to each other.
  func performPeer(_ route: Route, body: [UInt8]) throws -> RouteAnswer {
    let service = service
    switch route.endpoint.operation {
    case .putPeer:
      let peer = try named(route)
      let request = try decodeRequest(PeerRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.putPeer(peer, request, caller: route.callerName) }
    case .deletePeer:
      let peer = try named(route)
      let request = try decodeRequest(StatementRequest.self, from: body, limits: limits)
      return later(route) { () async throws(Problem) in try await service.removePeer(peer, request, caller: route.callerName) }
    case .getPeerHello: return try ready(try service.peerHello(try calling(route), try helloQuery(route)))
    case .getPeerReading: return try ready(try service.peerReading(try calling(route), route.name))
    default: return try ready(service.peers())
    }
  }

  /// The device that the path names.
  private func named(_ route: Route) throws(Problem) -> DeviceIdentifier {
    guard let device = DeviceIdentifier(route.name), device.text == route.name else {
      throw .notFound("\(route.name.prefix(40)) is no device id, which is 20 lower-case hexadecimal digits.")
    }
    return device
  }

  private func calling(_ route: Route) throws(Problem) -> DeviceIdentifier {
    guard let peer = route.peer else { throw .forbidden("This is for devices.") }
    return peer
  }

  /// `versions=1,2&capabilities=readings`: at most 16 of each, and no version beyond 65535.
  private func helloQuery(_ route: Route) throws(Problem) -> PeerHelloQuery {
    func list(_ name: String) throws(Problem) -> [String] {
      guard let text = route.parameters[name] else { throw .parameterInvalid("\(name) is missing.", field: name) }
      let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      let arePlain = words.allSatisfy { word in
        (1...31).contains(word.utf8.count)
          && word.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == UInt8(ascii: "-") }
      }
      guard words.count <= 16, arePlain else { throw .parameterInvalid("\(name) must be 1 to 16 words of a-z, 0-9 and '-', joined by commas.", field: name) }
      return words
    }
    var versions: [Int] = []
    for word in try list("versions") {
      guard let version = UInt16(word), version > 0 else { throw .parameterInvalid("versions must be numbers from 1 to 65535.", field: "versions") }
      versions.append(Int(version))
    }
    return PeerHelloQuery(versions: versions, capabilities: try list("capabilities"))
  }
}
