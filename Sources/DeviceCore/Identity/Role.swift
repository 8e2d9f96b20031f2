public import Crypto

/// What a person may do. Ordered: each may do what those below it may.
public enum Role: String, Sendable, Comparable, CaseIterable {
  /// Sees state, readings, actuators, inputs, events.
  case viewer
  /// Also drives actuators.
  case `operator`
  /// Also reads logs and changes the device's life.
  case admin

  private var rank: Int {
    switch self {
    case .viewer: 0
    case .operator: 1
    case .admin: 2
    }
  }
  public static func < (a: Role, b: Role) -> Bool { a.rank < b.rank }

  /// The role extension of `certificate`, nil where it is missing, malformed or names an unknown role: an unknown role is no role.
  public init?(certificate: Certificate) {
    guard let value = certificate.extensionValue(HaechiObjectIdentifier.role), let word = utf8String(der: value) else { return nil }
    self.init(rawValue: word)
  }

  /// The extension that gives this role.
  var certificateExtension: CertificateTemplate.Extension {
    // A role's word has at most 8 bytes, and a UTF8String of at most 127 always has a form.
    .init(identifier: HaechiObjectIdentifier.role, value: derUTF8String(rawValue) ?? [], isCritical: false)
  }
}
