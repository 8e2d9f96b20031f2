/// What another device of the same owner's may do here. Nothing, where the owner says nothing.
public struct PeerScope: Hashable, Sendable {
  /// A device has a handful of readings.
  public static let maximumGrants = 16
  /// The longest name of a reading.
  public static let nameMaximum_bytes = 31

  /// The names of the readings that it may have, sorted.
  public let readings: [String]

  /// Nothing.
  public static let nothing = PeerScope(sorted: [])

  private init(sorted readings: [String]) { self.readings = readings }

  /// - Parameter texts: `readings:<name>` each, at most `maximumGrants`; the same one twice counts once.
  /// - Throws: which one is no scope.
  public init(_ texts: [String]) throws(PeerScopeError) {
    guard texts.count <= Self.maximumGrants else { throw PeerScopeError("a scope has at most \(Self.maximumGrants) entries, not \(texts.count)") }
    var readings: Set<String> = []
    for text in texts {
      let name = text.dropFirst("readings:".count)
      let isPlain = name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
      }
      guard text.utf8.starts(with: "readings:".utf8), isPlain, (1...Self.nameMaximum_bytes).contains(name.utf8.count) else {
        throw PeerScopeError("'\(text.prefix(48))' is no scope; there is: readings:NAME")
      }
      readings.insert(String(name))
    }
    self.init(sorted: readings.sorted())
  }

  /// `readings:<name>` each.
  public var texts: [String] { readings.map { "readings:" + $0 } }

  /// Whether the latest value of that reading may be had.
  public func allowsReading(_ name: String) -> Bool { readings.contains(name) }
}

/// Why a text is no scope.
public struct PeerScopeError: Error, Hashable, Sendable {
  public let reason: String
  init(_ reason: String) { self.reason = reason }
}
