public import Crypto
public import Foundations

/// What an export holds, and what is wrong with it.
public struct AuditVerification: Sendable {
  /// Something that an honest log never shows; `first` and `last` name the entries.
  public struct Finding: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: String, Sendable { case changed, removed, reordered, malformed, unsigned }
    public let kind: Kind
    public let first: UInt64
    public let last: UInt64
    public let sentence: String
    public var description: String { "\(kind.rawValue): \(sentence)" }
  }

  public let device: DeviceIdentifier
  /// The device's audit key; who compares it with the one that was remembered at the claim knows whose log it is.
  public let key: PublicKey
  /// In their order.
  public private(set) var records: [AuditRecord] = []
  public private(set) var findings: [Finding] = []
  /// The last entry that a signature covers, 0 for none.
  public private(set) var signedTo: UInt64 = 0
  /// The entries whose own code was checked, nil where no key was there to check one.
  public private(set) var coded: ClosedRange<UInt64>?

  /// What a later export is held against: see `AuditMemory`.
  public private(set) var memory: AuditMemory

  public var isClean: Bool { findings.isEmpty }

  /// Opens the key that the device sealed for its owner.
  public struct OwnerKey: Sendable {
    let key: PrivateKey
    let certificate: Certificate
    public init(key: PrivateKey, certificate: Certificate) {
      self.key = key
      self.certificate = certificate
    }
  }

  /// Verifies `export` without the device.
  ///
  /// - Parameters:
  ///   - remembered: of an earlier export, where there was one; nil takes the keys in this one at their word.
  ///   - isNewest: whether this one was made after it, so that it must go further; an older file need not.
  ///   - owner: finds the very entry that was changed, and what was changed by whoever held the device's audit key; nil goes by signatures only.
  /// - Throws: `audit-malformed` where it is no export; `audit-key` where it is of another device or for another owner.
  public init(export: [UInt8], remembered: AuditMemory? = nil, isNewest: Bool = true, owner: OwnerKey? = nil) throws(AuditError) {
    let export = try AuditExport(encoded: export)
    guard let anchor = AuditAnchor(encoded: export.anchor[...]) else { throw AuditError("audit-malformed", "the export's anchor cannot be read") }
    if let remembered, remembered.device != anchor.device.text || remembered.key != hexadecimal(anchor.key.digest) {
      throw AuditError("audit-key", "the export is signed by another key than the audit key of device \(remembered.device) that is remembered")
    }
    device = anchor.device
    key = anchor.key
    memory = AuditMemory(anchor)
    if let remembered, !remembered.sealed.isEmpty, remembered.sealed != memory.sealed {
      note(.changed, 0, 0, "the key of the entries' codes is sealed anew, which a device does for a new owner only: what the codes say counts for nothing")
    }
    var codes = try Codes(anchor, owner)
    var link: (sequence: UInt64, digest: [UInt8])?
    for (index, content) in export.segments.enumerated() {
      link = try read(content[...], number: index + 1, after: link, codes: &codes, remembered: remembered)
    }
    if let link {
      memory.sequence = link.sequence &- 1
      memory.digest = hexadecimal(link.digest)
    }
    checkBeginning()
    if isNewest, let remembered, remembered.sequence > memory.sequence {
      note(.removed, memory.sequence &+ 1, remembered.sequence, "entries to \(remembered.sequence) were exported before, and these end with \(memory.sequence)")
    }
    // Behind the last signature an entry's own code tells, where there is a key for it.
    let last = records.last?.sequence ?? 0
    let told = max(signedTo, coded?.upperBound ?? 0)
    if last > told { note(.unsigned, told + 1, last, "entries \(told + 1) to \(last) are not covered by a signature") }
  }

  /// Whose log an export says that it is, which nothing has verified yet.
  ///
  /// - Throws: `audit-malformed`.
  public static func device(of export: [UInt8]) throws(AuditError) -> DeviceIdentifier {
    guard let anchor = AuditAnchor(encoded: try AuditExport(encoded: export).anchor[...]) else {
      throw AuditError("audit-malformed", "the export's anchor cannot be read")
    }
    return anchor.device
  }

  /// Entries may be missing at the beginning only where the log itself says that it dropped them.
  private mutating func checkBeginning() {
    guard let first = records.first?.sequence, first > 1 else { return }
    let dropped = records.compactMap { record -> UInt64? in
      guard case .event(let event) = record.content, event.kind == .dropped || event.kind == .missing, case .number(let last)? = event.values.last else {
        return nil
      }
      return last
    }
    if !dropped.contains(where: { $0 >= first - 1 && $0 < .max }) {
      note(.removed, 1, first - 1, "the entries before \(first) are not there, and no entry says that they were dropped")
    }
  }

  /// The keys of the entries' codes, from the first that was sealed on.
  private struct Codes {
    /// So many entries are a log of decades; more is a number that somebody wrote.
    private static let maximumSteps: UInt64 = 1 << 20
    private(set) var sequence: UInt64
    private var key: AuditKey?

    init(_ anchor: AuditAnchor, _ owner: OwnerKey?) throws(AuditError) {
      sequence = anchor.sealedFrom
      key = nil
      guard let owner, !anchor.sealedKey.isEmpty else { return }
      do throws(CryptoError) {
        key = AuditKey(secret: try SecretEnvelope.open(anchor.sealedKey, key: owner.key, certificate: owner.certificate, maximum_bytes: 32))
      } catch {
        throw AuditError("audit-key", "the log of device \(anchor.device) is sealed for another owner", cause: error)
      }
    }

    /// The key of entry `wanted`; nil where there is none, or it has been passed.
    mutating func key(of wanted: UInt64) -> AuditKey? {
      // A number out of all proportion is no reason to count to it.
      guard let start = key, wanted >= sequence, wanted - sequence <= Self.maximumSteps else { return nil }
      var now = start
      while sequence < wanted {
        guard let next = try? now.next() else { return nil }
        (now, sequence) = (next, sequence + 1)
      }
      key = now
      return now
    }
  }

  private mutating func read(
    _ content: ArraySlice<UInt8>, number: Int, after link: (sequence: UInt64, digest: [UInt8])?, codes: inout Codes, remembered: AuditMemory?
  ) throws(AuditError) -> (sequence: UInt64, digest: [UInt8])? {
    guard let head = AuditSegment(head: content.prefix(AuditSegment.head_bytes)), head.device == device else {
      note(.malformed, link?.sequence ?? 0, link?.sequence ?? 0, "segment \(number) of the export cannot be read, or is of another device")
      return link
    }
    var (sequence, digest) = (head.firstSequence, head.previous)
    if let link {
      if sequence < link.sequence {
        note(.reordered, sequence, link.sequence - 1, "segment \(number) begins with entry \(sequence), and entry \(link.sequence) was to come")
      } else if sequence > link.sequence {
        note(.removed, link.sequence, sequence - 1, "entries \(link.sequence) to \(sequence - 1) are not there")
      } else if digest != link.digest {
        note(.changed, sequence, sequence, "the segment from entry \(sequence) on does not follow from the entries before it")
      }
    }
    // From the first entry that does not fit on, the rest of the segment cannot fit either, and is not named again.
    var isBroken = false
    var coveredFrom = sequence
    let (entries, length) = AuditSegment.entries(content.dropFirst(AuditSegment.head_bytes))
    for entry in entries {
      let record = entry.record
      if record.sequence != sequence, !isBroken {
        isBroken = true
        let kind: Finding.Kind = record.sequence > sequence ? .removed : .reordered
        note(kind, sequence, max(sequence, record.sequence &- 1), "entry \(record.sequence) stands where entry \(sequence) was to come")
      }
      let next = record.digest(after: digest)
      if !isBroken, let key = codes.key(of: record.sequence) {
        if let mac = try? key.mac(next), constantTimeEqual(mac, entry.mac) {
          coded = min(coded?.lowerBound ?? record.sequence, record.sequence)...record.sequence
        } else {
          isBroken = true
          // The codes of those before may be the business of nobody here: then it may be any since the last that is known to be good.
          let known = max(signedTo, coded?.upperBound ?? 0, head.firstSequence - 1)
          let first = known < record.sequence ? known + 1 : record.sequence
          let which = first == record.sequence ? "entry \(first) is" : "one of the entries from \(first) to \(record.sequence) is"
          note(.changed, first, record.sequence, "\(which) not what the device wrote")
        }
      }
      if case .checkpoint(let signature) = record.content, !isBroken {
        if key.isValid(signature: signature, of: record.signed(device: device, previous: digest)) {
          signedTo = record.sequence
          coveredFrom = record.sequence &+ 1
        } else {
          isBroken = true
          note(
            .changed, coveredFrom, record.sequence,
            "the signature at entry \(record.sequence) does not fit: one of the entries from \(coveredFrom) on was changed")
        }
      }
      if let remembered, remembered.sequence == record.sequence, remembered.digest != hexadecimal(next), !isBroken {
        isBroken = true
        note(.changed, record.sequence, record.sequence, "entry \(record.sequence), or one before it, is another than the one that was exported before")
      }
      records.append(record)
      digest = next
      sequence = record.sequence &+ 1
    }
    if length != content.count - AuditSegment.head_bytes, content.count > AuditSegment.head_bytes {
      note(.malformed, sequence, sequence, "what follows entry \(sequence &- 1) in segment \(number) cannot be read")
    }
    return (sequence, digest)
  }

  private mutating func note(_ kind: Finding.Kind, _ first: UInt64, _ last: UInt64, _ sentence: String) {
    findings.append(Finding(kind: kind, first: first, last: last, sentence: sentence))
  }
}
