public import Foundations

/// Why a datagram is no message.
///
/// Codes: `message-size`, `message-kind`, `message-name`, `message-field`.
public struct DiscoveryError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  init(_ code: String, _ reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}

/// What a question or record is about (RFC 1035, 2782, 3596, 4034).
public enum RecordType {
  public static let a: UInt16 = 1
  public static let ptr: UInt16 = 12
  public static let txt: UInt16 = 16
  public static let aaaa: UInt16 = 28
  public static let srv: UInt16 = 33
  public static let nsec: UInt16 = 47
  public static let any: UInt16 = 255
}

/// What somebody asks, of class IN.
public struct MulticastQuestion: Hashable, Sendable {
  public let name: DomainName
  public let type: UInt16
  /// The asker would rather be answered alone (RFC 6762 section 5.4).
  public let wantsUnicast: Bool

  public init(_ name: DomainName, _ type: UInt16, wantsUnicast: Bool = false) {
    self.name = name
    self.type = type
    self.wantsUnicast = wantsUnicast
  }
}

/// What somebody says, of class IN.
public struct ResourceRecord: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    /// A, or AAAA by the address's length.
    case address(NetworkAddress)
    case pointer(DomainName)
    case service(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName)
    /// Any other type, as it stands.
    case other(type: UInt16, [UInt8])
  }

  public let name: DomainName
  public let content: Content
  /// How long it may be believed, seconds; 0 is a good-bye.
  public let lifetime_s: UInt32
  /// It replaces what was known under this name and type (RFC 6762 section 10.2): its name is one host's alone.
  public let isUnique: Bool

  public init(_ name: DomainName, _ content: Content, lifetime_s: UInt32, isUnique: Bool) {
    self.name = name
    self.content = content
    self.lifetime_s = lifetime_s
    self.isUnique = isUnique
  }

  public var type: UInt16 {
    switch content {
    case .address(let address): address.isIPv4 ? RecordType.a : RecordType.aaaa
    case .pointer: RecordType.ptr
    case .service: RecordType.srv
    case .other(let type, _): type
    }
  }

  /// The record's data in its one form, names without compression.
  var data: [UInt8] {
    switch content {
    case .address(let address): address.bytes
    case .pointer(let name): name.encoded
    case .service(let priority, let weight, let port, let target): bigEndian(priority) + bigEndian(weight) + bigEndian(port) + target.encoded
    case .other(_, let bytes): bytes
    }
  }

  /// The same with another lifetime.
  func living(_ lifetime_s: UInt32) -> ResourceRecord { ResourceRecord(name, content, lifetime_s: lifetime_s, isUnique: isUnique) }
}

/// A message of multicast DNS (RFC 6762 section 18).
public struct MulticastMessage: Hashable, Sendable {
  /// The longest that is read (RFC 6762 section 17).
  public static let maximum_bytes = 9_000
  /// Questions and records that are read, together. Who has more to say says it in another message.
  public static let maximumEntries = 256

  public var isResponse: Bool
  /// More known answers follow in another message.
  public var isTruncated = false
  public var questions: [MulticastQuestion] = []
  public var answers: [ResourceRecord] = []
  public var authorities: [ResourceRecord] = []
  public var additionals: [ResourceRecord] = []

  public init(isResponse: Bool) { self.isResponse = isResponse }

  /// Every record, whatever its section.
  var records: [ResourceRecord] { answers + authorities + additionals }
}

/// The two bytes of `value`, the higher one first.
func bigEndian(_ value: UInt16) -> [UInt8] { [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
