internal import Crypto
internal import Foundations

/// One append, from opening the log to its new state.
struct AuditWriting {
  private let storage: any AuditStorage
  private let limits: AuditLog.Limits
  var state: AuditState
  /// The segment being written: how long it is on the medium, and what comes behind.
  private var length_bytes = 0
  private var pending: [UInt8] = []
  private var isNewSegment = false
  /// The time of the segment's first entry; nil before it has one.
  private var segmentBegan_s: Int64?
  /// The keys are new, and the ones before are gone: what was sealed for an owner is worth nothing any more.
  private var isWiped = false
  private var moment: (time_s: Int64, uptime_ms: UInt64)

  init(storage: any AuditStorage, limits: AuditLog.Limits, device: DeviceIdentifier?, _ latest: AuditLog.Arrival?) throws {
    self.storage = storage
    self.limits = limits
    moment = (latest?.time_s ?? 0, latest?.uptime_ms ?? 0)
    if let stored = try storage.readSecret(AuditFolder.stateName, maximum_bytes: AuditState.maximum_bytes).flatMap(AuditState.init) {
      state = stored
      try resume()
      return
    }
    guard let device else { throw AuditError("audit-nameless", "the audit log in \(storage.path) has no device yet") }
    let segments = try storage.segments()
    // Without its keys an old log cannot be gone on with; its entries stay readable for as long as they are kept.
    let first = segments.isEmpty ? 1 : try Self.end(of: segments[segments.count - 1], in: storage, limits)
    state = try AuditState(device: device, firstSequence: first, oldest: segments.first ?? first)
    // One more than are kept is there for a moment.
    try storage.reserve(limits.segments + 1)
    // What a cut leaves from here on is a log without entries, and no log whose entries nobody can vouch for.
    try replaceAnchor(sealed: [])
    try storage.replace(AuditFolder.stateName, with: try state.encoded())
    try openSegment()
    if let first = segments.first { try missing(first, state.sequence - 1) }
  }

  /// The number after the last entry that can be read in a segment.
  private static func end(of first: UInt64, in storage: any AuditStorage, _ limits: AuditLog.Limits) throws -> UInt64 {
    let content = try storage.read(AuditFolder.segmentName(first), maximum_bytes: AuditLog.maximumSegment_bytes(limits)) ?? []
    let entries = AuditSegment.entries(content.dropFirst(AuditSegment.head_bytes)).entries
    // A file's word for it, which nobody vouches for: never so far that the numbers could run out.
    return min(max(entries.last?.record.sequence ?? first, first), UInt64.max / 2) + 1
  }

  /// Finds the end of the segment on the medium: it may be ahead of the state by an append that was cut, or damaged.
  private mutating func resume() throws {
    // Begun by an append that was cut, and acknowledged to nobody; or dropped by one that was.
    for first in try storage.segments() where first > state.segment || first < state.oldest { try storage.remove(AuditFolder.segmentName(first)) }
    let content = try storage.read(AuditFolder.segmentName(state.segment), maximum_bytes: AuditLog.maximumSegment_bytes(limits)) ?? []
    guard let head = AuditSegment(head: content.prefix(AuditSegment.head_bytes)), head.firstSequence == state.segment, head.device == state.device else {
      if content.isEmpty, state.segment == state.sequence { return try openSegment() }
      return try skipDamage(from: state.segment)
    }
    var digest = head.previous
    var end = AuditSegment.head_bytes
    var sequence = head.firstSequence
    for entry in AuditSegment.entries(content.dropFirst(AuditSegment.head_bytes)).entries {
      guard entry.record.sequence == sequence else { break }
      segmentBegan_s = segmentBegan_s ?? entry.record.time_s
      let next = entry.record.digest(after: digest)
      if sequence >= state.sequence {
        // Beyond the state: written by the append that was cut, where its code is right.
        guard sequence > state.sequence || digest == state.digest, constantTimeEqual(try state.key.mac(next), entry.mac) else { break }
        try advance(next, entry.record.content)
      }
      digest = next
      sequence += 1
      end += AuditSegment.encode(entry).count
    }
    guard sequence >= state.sequence, digest == state.digest else { return try skipDamage(from: min(sequence, state.sequence)) }
    length_bytes = end
  }

  private mutating func skipDamage(from first: UInt64) throws {
    // An entry of this number has never been acknowledged where the state is at it: then nothing is missing but the file.
    try openSegment()
    if first < state.sequence { try missing(first, state.sequence - 1) }
  }

  private mutating func missing(_ first: UInt64, _ last: UInt64) throws {
    try add(AuditLog.Arrival(AuditEvent(.missing, .number(first), .number(last)), time_s: moment.time_s, uptime_ms: moment.uptime_ms))
  }

  private mutating func openSegment() throws {
    state.segment = state.sequence
    pending = AuditSegment(device: state.device, firstSequence: state.sequence, previous: state.digest).head
    length_bytes = 0
    isNewSegment = true
    segmentBegan_s = nil
  }

  private mutating func advance(_ digest: [UInt8], _ content: AuditRecord.Content) throws {
    state.digest = digest
    state.key = try state.key.next()
    state.sequence += 1
    switch content {
    case .checkpoint: state.unsigned = 0
    case .event(let event):
      state.unsigned += 1
      state.lastKind = event.kind.rawValue
    }
  }

  mutating func add(_ arrival: AuditLog.Arrival) throws {
    moment = (arrival.time_s, arrival.uptime_ms)
    if arrival.event.kind == .wiped { try forget() }
    try write(.event(arrival.event.kind == .boot ? boot : arrival.event))
    guard length_bytes + pending.count > limits.segment_bytes || isOlder(segmentBegan_s ?? moment.time_s, than: limits.segment_s) else { return }
    try closeSegment()
    try openSegment()
    // The one that was just opened is not there yet.
    let segments = try storage.segments()
    let surplus = max(segments.count + 1 - limits.segments, try countPastLife(of: segments))
    if surplus > 0, surplus < segments.count { try drop(segments[0], upTo: segments[surplus]) }
  }

  /// A clock that was set back keeps an entry longer, never shorter.
  private func isOlder(_ time_s: Int64, than life_s: Int64) -> Bool {
    let (age_s, overflow) = moment.time_s.subtractingReportingOverflow(time_s)
    return overflow ? moment.time_s > time_s : age_s >= life_s
  }

  /// How many of the oldest segments hold nothing that is younger than its life: those before one whose first entry is past its own.
  private func countPastLife(of segments: [UInt64]) throws -> Int {
    for (index, first) in segments.enumerated().dropFirst() {
      let content = try storage.read(AuditFolder.segmentName(first), maximum_bytes: AuditLog.maximumSegment_bytes(limits)) ?? []
      let record = AuditSegment.entries(content.dropFirst(AuditSegment.head_bytes)).entries.first?.record
      guard let record, isOlder(record.time_s, than: limits.life_s) else { return index - 1 }
    }
    return max(segments.count - 1, 0)
  }

  /// A boot without a shutdown before it came unannounced.
  private var boot: AuditEvent {
    guard state.sequence > 1 else { return AuditEvent(.boot, .word(AuditWord("first"))) }
    return AuditEvent(.boot, .word(state.lastKind == AuditEvent.Kind.shutdown.rawValue ? AuditWord("after-shutdown") : AuditWord("unannounced")))
  }

  /// Whoever holds only some segments can verify them: each ends with a signature.
  private mutating func closeSegment() throws {
    try sign()
    try flush()
  }

  /// What the owner before may not leave behind, and whoever comes next may not read: the entries, and the keys that were sealed for that owner.
  private mutating func forget() throws {
    let oldest = try storage.segments().first ?? state.segment
    try closeSegment()
    try openSegment()
    state.key = AuditKey(secret: try randomSecret(32))
    isWiped = true
    if oldest < state.sequence { try drop(oldest, upTo: state.sequence) }
  }

  mutating func sign() throws {
    let unsigned = AuditRecord(sequence: state.sequence, time_s: moment.time_s, uptime_ms: moment.uptime_ms, content: .checkpoint(signature: []))
    let covered = unsigned.signed(device: state.device, previous: state.digest)
    try write(.checkpoint(signature: try state.signer.signature(of: covered)))
  }

  private mutating func write(_ content: AuditRecord.Content) throws {
    let record = AuditRecord(sequence: state.sequence, time_s: moment.time_s, uptime_ms: moment.uptime_ms, content: content)
    segmentBegan_s = segmentBegan_s ?? moment.time_s
    let digest = record.digest(after: state.digest)
    pending += AuditSegment.encode(AuditSegment.Entry(record: record, mac: try state.key.mac(digest)))
    try advance(digest, content)
  }

  /// The oldest segments go once the state says so; what went is itself an entry.
  private mutating func drop(_ first: UInt64, upTo end: UInt64) throws {
    state.oldest = end
    let event = AuditEvent(.dropped, .number(first), .number(end - 1))
    try write(.event(event))
  }

  private mutating func flush() throws {
    guard !pending.isEmpty else { return }
    try storage.write(AuditFolder.segmentName(state.segment), pending, at: length_bytes, isNew: isNewSegment)
    length_bytes += pending.count
    (pending, isNewSegment) = ([], false)
  }

  /// Seals the key of the next entry's code for `owner`, where another was known before: what is added now is the first that this owner can check.
  mutating func seal(for owner: Certificate) throws {
    let wanted = sha256(owner.der)
    guard wanted != state.sealedFor else { return }
    try replaceAnchor(sealed: owner.publicKey?.algorithm == .p256 ? try SecretEnvelope.seal(state.key.secret, for: owner) : [])
    state.sealedFor = wanted
  }

  /// Entries first, then the state that says they are there.
  mutating func finish() throws {
    try flush()
    if isWiped {
      try replaceAnchor(sealed: [])
      state.sealedFor = AuditState.sealedForNobody
    }
    try storage.replace(AuditFolder.stateName, with: try state.encoded())
    for first in try storage.segments() where first < state.oldest { try storage.remove(AuditFolder.segmentName(first)) }
  }

  private func replaceAnchor(sealed: [UInt8]) throws {
    let anchor = AuditAnchor(device: state.device, key: state.signer.publicKey, sealedFrom: state.sequence, sealedKey: sealed)
    try storage.replace(AuditFolder.anchorName, with: anchor.encoded)
  }
}
