public import Foundations

/// Who is at the other end of an accepted connection.
public enum CallerIdentity: Hashable, Sendable, CustomStringConvertible {
  /// A station of the maker, by its certificate's common name.
  case station(name: String)
  /// Somebody who holds a key and wants to claim: the SHA-256 of the self-signed certificate, 64 hexadecimal digits.
  case claimant(fingerprint: String)
  case person(owner: OwnerIdentifier, name: PersonName, role: Role)
  case device(owner: OwnerIdentifier, DeviceIdentifier)

  /// For logs: `person ada (operator) of 0123…`.
  public var description: String {
    switch self {
    case .station(let name): "station \(name)"
    case .claimant(let fingerprint): "claimant \(fingerprint.prefix(20))"
    case .person(let owner, let name, let role): "person \(name) (\(role.rawValue)) of \(owner)"
    case .device(let owner, let device): "device \(device) of \(owner)"
    }
  }
}
