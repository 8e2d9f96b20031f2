public import Crypto
public import Foundations
internal import Glibc

/// The audit log's writer: chains entries, authenticates each under a key that is erased with it, signs checkpoints, and stays within bounds.
///
/// Only a worker uses one, one at a time; between two appends everything is in the folder. Whoever takes over the runtime can neither write there nor
/// read the keys, and whoever takes over the worker's machine cannot make the codes of entries that were written before.
public struct AuditLog: Sendable {
  public struct Limits: Sendable {
    /// A segment is closed when it is longer, in bytes.
    public var segment_bytes = 16 * 1_024
    /// The oldest goes when there are more.
    public var segments = 16
    /// A segment is closed when its first entry is older, seconds. Segments go whole, when another is closed: up to twice this later than `life_s`.
    public var segment_s: Int64 = 30 * 86_400
    /// How long an entry is kept where there is room, seconds: long enough for an owner to look into what happened last year.
    public var life_s: Int64 = 365 * 86_400
    /// A checkpoint follows so many entries at the latest.
    public var unsigned: UInt64 = 64
    public init() {}
  }

  /// An event, when it came.
  public struct Arrival: Sendable {
    public let event: AuditEvent
    /// Seconds since 1970 UTC.
    public let time_s: Int64
    /// Milliseconds since the kernel started.
    public let uptime_ms: UInt64

    public init(_ event: AuditEvent, time_s: Int64, uptime_ms: UInt64) {
      self.event = event
      self.time_s = time_s
      self.uptime_ms = uptime_ms
    }
  }

  private let storage: any AuditStorage
  private let limits: Limits

  /// - Parameter folder: exists, and only its worker may write in it.
  public init(folder: String, limits: Limits = Limits()) { self.init(storage: AuditFolder(path: folder), limits: limits) }

  init(storage: any AuditStorage, limits: Limits = Limits()) {
    self.storage = storage
    self.limits = limits
  }

  /// Appends `arrivals`, and waits until they are on the medium. One that says that the device was wiped takes all entries before it away.
  ///
  /// - Parameters:
  ///   - device: whose log it is; needed for the first append only, and not looked at later.
  ///   - owner: the owner CA's certificate, for whose holder the code key is sealed; nil where it is not known, or there is none.
  ///   - isSigned: whether a checkpoint follows them.
  /// - Returns: the sequence number of the last entry.
  /// - Throws: `audit-unwritable`; nothing of `arrivals` is then acknowledged, and the log is as it was or has some of them. `audit-nameless` where it
  ///   is the first append and there is no `device`.
  @discardableResult
  public func append(_ arrivals: [Arrival], device: DeviceIdentifier?, owner: Certificate?, isSigned: Bool = false) throws(AuditError) -> UInt64 {
    do {
      var writing = try AuditWriting(storage: storage, limits: limits, device: device, arrivals.last)
      // Each boot begins without an owner, and what was sealed before stays.
      if let owner { try writing.seal(for: owner) }
      for arrival in arrivals { try writing.add(arrival) }
      if isSigned || writing.state.unsigned >= limits.unsigned { try writing.sign() }
      try writing.finish()
      return writing.state.sequence - 1
    } catch let error as AuditError {
      throw error
    } catch {
      throw AuditError("audit-unwritable", "the audit log in \(storage.path) cannot be written", cause: error)
    }
  }

  /// What an export is made of, a segment at a time.
  public struct Page: Sendable {
    public let anchor: [UInt8]
    /// The first sequence number of the segment.
    public let first: UInt64
    public let segment: [UInt8]
    /// Whether there are more after it.
    public let hasMore: Bool
  }

  /// The oldest segment that begins after entry `after`, as it stands; nil where there is none.
  ///
  /// - Parameter after: 0 for the first page, then `first` of the one before. What is dropped in between is no loss: a later page says so.
  /// - Throws: `audit-unreadable`.
  public func page(after: UInt64) throws(AuditError) -> Page? {
    do throws(SystemCallError) {
      // The one that was listed may go while this is being read, or be in the middle of an append: once or twice, and not for ever.
      for turn in 1...Self.readingTurns {
        let segments = try storage.segments().filter { $0 > after }
        guard let first = segments.first, let anchor = try storage.read(AuditFolder.anchorName, maximum_bytes: AuditAnchor.maximum_bytes) else { return nil }
        guard let content = try storage.read(AuditFolder.segmentName(first), maximum_bytes: Self.maximumSegment_bytes(limits)) else { continue }
        // A segment that went is another's file soon: what was read of it may be of either.
        guard try storage.segments().contains(first) else { continue }
        let isWhole = AuditSegment.entries(content.dropFirst(AuditSegment.head_bytes)).length_bytes == content.count - AuditSegment.head_bytes
        guard isWhole || segments.count > 1 || turn == Self.readingTurns else {
          usleep(Self.readingPause_us)
          continue
        }
        return Page(anchor: anchor, first: first, segment: content, hasMore: segments.count > 1)
      }
      return nil
    } catch {
      throw AuditError("audit-unreadable", "the audit log in \(storage.path) cannot be read", cause: error)
    }
  }

  /// An append writes its bytes by one call: it is over after a moment.
  private static let readingTurns = 4
  private static let readingPause_us: UInt32 = 20_000

  /// The whole log as a file; nil where there is none yet. Throws as `page`.
  public func export() throws(AuditError) -> [UInt8]? {
    guard var page = try page(after: 0) else { return nil }
    var segments = [page.segment]
    while page.hasMore, let next = try self.page(after: page.first) {
      page = next
      segments.append(next.segment)
    }
    return AuditExport(anchor: page.anchor, segments: segments).encoded
  }

  /// A segment is closed by the entry that made it too long: it, a checkpoint, and what a cut append left.
  static func maximumSegment_bytes(_ limits: Limits) -> Int { limits.segment_bytes + 64 * AuditRecord.maximum_bytes }
}
