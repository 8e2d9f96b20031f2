internal import Audit
internal import Crypto
internal import Foundations

/// One entry of an audit log, for people and programs.
public struct AuditEntry: Encodable, Sendable, Equatable {
  public let sequence: UInt64
  /// RFC 3339, UTC, by the device's clock.
  public let time: String
  /// Since the device's kernel started.
  public let uptimeMilliseconds: UInt64
  /// `boot`, `claimed`, `grade`, …; `checkpoint` is a signature over all before it.
  public let kind: String
  public let values: [String]
}

/// What an honest log never shows.
public struct AuditFinding: Encodable, Sendable, Equatable {
  /// `changed`, `removed`, `reordered`, `malformed` or `unsigned`.
  public let kind: String
  /// The entries that it is about.
  public let first: UInt64
  public let last: UInt64
  public let sentence: String
}

/// An export of an audit log, as it was found.
public struct AuditReport: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let file: String
  public let entries: [AuditEntry]
  /// The last entry that a signature covers, 0 for none.
  public let signedTo: UInt64
  /// The entries whose own codes were checked, with the owner's key; absent where none were.
  public let codedFrom: UInt64?
  public let codedTo: UInt64?
  /// Whether the audit key was remembered from an earlier export, and is the same.
  public let keyWasKnown: Bool
  public let findings: [AuditFinding]
  public var isClean: Bool { findings.isEmpty }
}

/// Verifies exports of audit logs, without the device.
public struct AuditChecking: Sendable {
  private let home: OperatorHome
  private let ownerKey: AuditVerification.OwnerKey?

  /// By signatures, and by what is remembered of the device.
  public init(home: OperatorHome) {
    self.home = home
    ownerKey = nil
  }

  /// With the owner's key too: only then is a log that was rewritten by whoever took over the whole device told from an honest one, and the very entry
  /// named. Asks for the passphrase.
  ///
  /// - Parameter ownerFolder: nil for the usual one.
  /// - Throws: `file-missing`, `passphrase-wrong`, `passphrase-needed`, and what is wrong with a file.
  public init(home: OperatorHome, ownerFolder: String?, passphrases: any PassphraseSource) throws(OperatorError) {
    self.home = home
    let owner = try OwnerFolder.open(ownerFolder ?? home.ownerFolder)
    let passphrase = try passphrases.passphrase(.unlock("owner \(owner.ownerId) in \(owner.folder)"))
    ownerKey = AuditVerification.OwnerKey(key: try KeyFiles.key(owner.folder + "/ca.key", passphrase: passphrase), certificate: owner.authority)
  }

  /// - Throws: `file-malformed` where the file is no export; `audit-key` where it is signed by another key than the one that is remembered, or sealed for
  ///   another owner; what is wrong with the file.
  public func run(file: String) throws(OperatorError) -> AuditReport {
    try check(try PrivateFiles.read(file, atMost: AuditExport.maximum_bytes), file: file, isNewest: false)
  }

  /// - Parameter isNewest: the export was made now, so all that was remembered of earlier ones must be in it.
  func check(_ export: [UInt8], file: String, isNewest: Bool) throws(OperatorError) -> AuditReport {
    do {
      let device = try AuditVerification.device(of: export)
      let memory = try AuditMemories.load(home, device)
      let seen = try AuditVerification(export: export, remembered: memory, isNewest: isNewest, owner: ownerKey)
      // What is not clean is not what the next one shall be like.
      if seen.isClean, (memory?.sequence ?? 0) <= seen.memory.sequence { try AuditMemories.save(seen.memory, home) }
      return Self.report(seen, file: file, keyWasKnown: memory != nil)
    } catch let error as OperatorError {
      throw error
    } catch let error as AuditError {
      throw OperatorError(error.code == "audit-key" ? "audit-key" : "file-malformed", "\(file): \(error.reason)", cause: error.cause)
    } catch {
      throw OperatorError("file-malformed", "\(file) cannot be verified", cause: error)
    }
  }

  private static func report(_ seen: AuditVerification, file: String, keyWasKnown: Bool) -> AuditReport {
    AuditReport(
      deviceId: seen.device.text, file: file, entries: seen.records.map(entry), signedTo: seen.signedTo, codedFrom: seen.coded?.lowerBound,
      codedTo: seen.coded?.upperBound, keyWasKnown: keyWasKnown,
      findings: seen.findings.map { AuditFinding(kind: $0.kind.rawValue, first: $0.first, last: $0.last, sentence: $0.sentence) })
  }

  private static func entry(_ record: AuditRecord) -> AuditEntry {
    let (kind, values): (AuditEvent.Kind, [AuditEvent.Value]) =
      switch record.content {
      case .event(let event): (event.kind, event.values)
      case .checkpoint: (.checkpoint, [])
      }
    return AuditEntry(
      sequence: record.sequence, time: rfc3339(seconds: record.time_s), uptimeMilliseconds: record.uptime_ms, kind: kind.word,
      values: values.map {
        switch $0 {
        case .number(let number): String(number)
        case .word(let word): word.text
        }
      })
  }
}
