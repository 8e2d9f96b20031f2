/// A log as it leaves the device: `haechi-audit-export-1`, a zero byte, then the anchor and each segment, each with a length of 4 bytes before it.
public struct AuditExport: Sendable {
  /// Bounds what a verifier reads: the log's own bound is far below.
  public static let maximum_bytes = 16 << 20
  private static let magic = Array("haechi-audit-export-1".utf8) + [0]

  let anchor: [UInt8]
  let segments: [[UInt8]]

  /// As the pages of `GET /v1/audit` give them.
  public init(anchor: [UInt8], segments: [[UInt8]]) {
    self.anchor = anchor
    self.segments = segments
  }

  public var encoded: [UInt8] {
    ([anchor] + segments).reduce(into: Self.magic) { bytes, part in
      bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: part.count >> $0) } + part
    }
  }

  init(encoded: [UInt8]) throws(AuditError) {
    guard encoded.count <= Self.maximum_bytes, encoded.starts(with: Self.magic) else {
      throw AuditError(
        "audit-malformed", "this is no export of an audit log (or has more than \(Self.maximum_bytes >> 20) MB); make one with: haechi audit export")
    }
    var rest = encoded[Self.magic.count...]
    var parts: [[UInt8]] = []
    while !rest.isEmpty {
      let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= 4, rest.count - 4 >= length else {
        throw AuditError("audit-malformed", "the export ends in the middle of its part \(parts.count + 1)")
      }
      parts.append(Array(rest.dropFirst(4).prefix(length)))
      rest = rest.dropFirst(4 + length)
    }
    guard let anchor = parts.first else { throw AuditError("audit-malformed", "the export holds no anchor") }
    self.init(anchor: anchor, segments: Array(parts.dropFirst()))
  }
}
