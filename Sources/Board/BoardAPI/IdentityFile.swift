/// A file of the runtime's folder of what survives a wipe (`Board.runtimeIdentityFolder`): whoever keeps that folder keeps these and no other, and of each no
/// more than it ever holds. Who has taken over the runtime finds no room there for anything else.
public enum IdentityFile: String, CaseIterable, Sendable {
  /// The device's own key, PKCS #8 in PEM; not where the root of trust keeps it.
  case deviceKey = "device.key"
  /// Serial number, the maker's certificates and what proves the label.
  case identity = "identity.json"
  /// How often the label was proved wrong lately.
  case lockOut = "lockout.json"
  /// A change that was begun.
  case intent = "intent.json"
  /// What the device signed after its last wipe.
  case receipt = "receipt.json"

  /// A plain name.
  public var name: String { rawValue }

  /// The most bytes that it ever holds.
  public var maximum_bytes: Int {
    switch self {
    // A key over P-256 has 241.
    case .deviceKey: 256
    // As much as the request has that brings it: a chain of four certificates with large keys, and the rest is small.
    case .identity: 16 * 1_024
    // Two numbers.
    case .lockOut: 128
    // Of a wipe: cause, owner, time, epoch.
    case .intent: 256
    // Two texts within a text: a serial number of 64 characters that are all escaped, and a signature.
    case .receipt: 1_536
    }
  }

  /// False for what the next wipe replaces: its order need not carry it on.
  public var outlivesWipe: Bool { self != .receipt }
}

/// What lay in the runtime's folder beside the declared files, and was not kept.
public struct UndeclaredFiles: Sendable, Equatable {
  public static let none = UndeclaredFiles(count: 0, example: "")

  public let count: Int
  /// The name of one, printable ASCII; whoever wrote it chose it. Empty where there is none.
  public let example: String

  public init(count: Int, example: String) {
    self.count = count
    self.example = example
  }
}
