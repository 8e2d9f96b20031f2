/// What a vault keeps of one kind: declared once, with what it is for and how long it lives. Nothing is stored that was not declared.
public struct VaultKind: Sendable, Equatable {
  public enum Form: Sendable, Equatable {
    /// Values under names; a new value takes the place of the old.
    case records
    /// Values one after another, numbered from 1.
    case log
  }

  /// 1 to 63 letters, digits, `-` and `_`.
  public let name: String
  public let form: Form
  /// One sentence for the owner: what the data is kept for.
  public let purpose: String
  /// After this time from its writing a value is gone, seconds; nil where it lives until it is replaced, removed or wiped.
  public let life_s: Int64?
  /// Records: no more than this many names. Logs: the newest this many entries stay.
  public let maximumCount: Int

  /// Whether a value that was written at `written_s` is past its life at `now_s`. A clock that was set back keeps a value longer, never shorter.
  func isExpired(_ written_s: Int64, now_s: Int64) -> Bool {
    guard let life_s else { return false }
    let (age_s, overflow) = now_s.subtractingReportingOverflow(written_s)
    return overflow ? now_s > written_s : age_s >= life_s
  }
}

/// Records of one type: settings, or one value for each of several keys.
public struct RecordKind<Value: Codable & Sendable>: Sendable {
  public let declaration: VaultKind

  /// - Parameters:
  ///   - name: 1 to 63 letters, digits, `-` and `_`; what the file holds it under, so never to be changed.
  ///   - purpose: one sentence for the owner.
  ///   - life_s: nil where it lives until it is replaced, removed or wiped.
  ///   - maximumKeys: how many keys may have a value at a time.
  public init(_ name: String, purpose: String, life_s: Int64? = nil, maximumKeys: Int = 1) {
    declaration = VaultKind(name: name, form: .records, purpose: purpose, life_s: life_s, maximumCount: maximumKeys)
  }
}

/// A log of one type: history.
public struct LogKind<Entry: Codable & Sendable>: Sendable {
  public let declaration: VaultKind

  /// - Parameters:
  ///   - name: as for `RecordKind`.
  ///   - life_s: nil where only the number of entries bounds it.
  ///   - maximumEntries: the newest so many stay.
  public init(_ name: String, purpose: String, life_s: Int64? = nil, maximumEntries: Int) {
    declaration = VaultKind(name: name, form: .log, purpose: purpose, life_s: life_s, maximumCount: maximumEntries)
  }
}

/// One entry of a log.
public struct VaultEntry<Value: Sendable>: Sendable {
  /// Counts up from 1 within its log, without gaps, for as long as the vault exists.
  public let number: UInt64
  /// Seconds since 1970 UTC.
  public let written_s: Int64
  public let value: Value
}
