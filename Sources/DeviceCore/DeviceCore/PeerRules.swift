import Foundations
import Identity
import LocalAPI

/// What an owner may say of a peer.
struct PeerRules: Sendable {
  /// This device.
  let device: DeviceIdentifier
  /// TCP ports that peers may be reached at, as the sandbox allows them; nil for any.
  let ports: [UInt16]?
  /// Whether a peer may be on this very machine: on a development host.
  let allowsLoopback: Bool

  /// The entry that a request asks for, or the problem that says what is wrong with it.
  func entry(_ peer: DeviceIdentifier, _ request: PeerRequest) throws(Problem) -> PeerEntry {
    guard peer != device else { throw .unprocessable("peer-is-self", "A device is no peer of its own.", field: "deviceId") }
    let scope: PeerScope
    do throws(PeerScopeError) {
      scope = try PeerScope(request.scope)
    } catch {
      throw .unprocessable("scope-invalid", "\(error.reason).", field: "scope")
    }
    return PeerEntry(device: peer, destination: try destination(request), scope: scope)
  }

  private func destination(_ request: PeerRequest) throws(Problem) -> PeerDestinations.Destination? {
    switch (request.address, request.port) {
    case (nil, nil): return nil
    case (let text?, let port?):
      guard let address = NetworkAddress(text), address.isUnicastHost || allowsLoopback, address.description == text,
        let destination = PeerDestinations.Destination(address: address, port: port)
      else {
        throw .unprocessable("address-invalid", "address must be the numeric address of one host, in its usual form, and port 1 to 65535.", field: "address")
      }
      if let ports, !ports.contains(port) {
        let known = ports.map { String($0) }.joined(separator: " or ")
        throw .unprocessable("port-not-allowed", "This firmware may connect to a peer at TCP port \(known) only.", field: "port")
      }
      return destination
    default: throw .unprocessable("address-invalid", "address and port belong together: give both, or none for a peer that comes by itself.", field: "address")
    }
  }
}
