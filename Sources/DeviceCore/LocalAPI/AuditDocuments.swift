// The bodies of the audit log, as docs/openapi.json describes them; what the bytes are is in docs/audit.md.

/// `GET /v1/audit`: one segment of the log, and what all of it is verified by.
public struct AuditDocument: Codable, Sendable, Equatable {
  /// Hexadecimal.
  public var anchor: String
  /// The sequence number of the segment's first entry: `after` of the next page.
  public var first: UInt64
  /// Hexadecimal.
  public var segment: String
  /// Whether there is a page after this one.
  public var more: Bool

  public init(anchor: String, first: UInt64, segment: String, more: Bool) {
    self.anchor = anchor
    self.first = first
    self.segment = segment
    self.more = more
  }
}

/// `PUT /v1/audit`, and its answer.
public struct AuditSetting: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["export"]
  /// Whether the log may be read over the API.
  public var export: Bool

  public init(export: Bool) { self.export = export }
}
