public import Foundations

/// What the URI in a certificate's subjectAltName says: who its holder is.
///
/// - `haechi://maker/device/<device id>`: a device as its maker knows it
/// - `haechi://<owner id>/device/<device id>`: a device of an owner
/// - `haechi://<owner id>/person/<name>`: a person of an owner
public enum IdentityURI: Hashable, Sendable, CustomStringConvertible {
  case makerDevice(DeviceIdentifier)
  case device(owner: OwnerIdentifier, DeviceIdentifier)
  case person(owner: OwnerIdentifier, PersonName)

  /// Parses exactly what `text` writes, byte for byte; nil for anything else (other case, escapes, ports, queries, trailing slashes),
  /// so that two different URIs never name the same holder.
  public init?(_ uri: String) {
    // 9 + 20 + 8 + 32 bytes is the longest.
    guard uri.utf8.count <= 80, uri.utf8.starts(with: "haechi://".utf8) else { return nil }
    let parts = uri.utf8.dropFirst(9).split(separator: UInt8(ascii: "/"), maxSplits: 4, omittingEmptySubsequences: false).map { Substring($0) }
    guard parts.count == 3 else { return nil }
    let parsed: IdentityURI?
    switch (String(parts[0]), String(parts[1])) {
    case ("maker", "device"): parsed = DeviceIdentifier(parts[2]).map { .makerDevice($0) }
    case (let owner, "device"):
      guard let owner = OwnerIdentifier(owner), let device = DeviceIdentifier(parts[2]) else { return nil }
      parsed = .device(owner: owner, device)
    case (let owner, "person"):
      guard let owner = OwnerIdentifier(owner), let person = PersonName(parts[2]) else { return nil }
      parsed = .person(owner: owner, person)
    default: parsed = nil
    }
    guard let parsed, parsed.text.utf8.elementsEqual(uri.utf8) else { return nil }
    self = parsed
  }

  /// The URI.
  public var text: String {
    switch self {
    case .makerDevice(let device): "haechi://maker/device/\(device)"
    case .device(let owner, let device): "haechi://\(owner)/device/\(device)"
    case .person(let owner, let name): "haechi://\(owner)/person/\(name)"
    }
  }
  public var description: String { text }
}
