internal import Foundations

/// A multicast DNS responder (RFC 6762) for one announcement on one link, without socket or clock: whoever holds it feeds it with messages and time.
///
/// It answers by multicast only, and nobody who does not ask from port 5353: so it cannot be made to send anything to a host of somebody's choice.
public struct Responder: Sendable {
  public enum State: Sendable, Equatable {
    /// Asks whether a name is somebody else's already; how often it has asked.
    case probing(Int)
    /// Says its records; how often it has said them.
    case announcing(Int)
    /// Answers.
    case settled
    /// Says nothing any more: it has said good-bye, or somebody else has one of its names.
    case silent
  }
  public enum Output: Sendable, Equatable {
    case send(MulticastMessage)
    /// The names are this device's, and have been announced.
    case announced
    /// Somebody else says so of the name: the responder is silent from now on.
    case conflict(DomainName)
  }

  // RFC 6762 sections 8.1 and 8.3.
  static let firstProbe_ms: UInt64 = 250
  static let probePause_ms: UInt64 = 250
  static let probes = 3
  static let announcePause_ms: UInt64 = 1_000
  static let announcements = 2
  /// Who loses to a simultaneous probe asks again after this (section 8.2).
  static let deferral_ms: UInt64 = 1_000
  /// A record is not sent again sooner (section 6), but to defend it against a probe.
  static let repeatPause_ms: UInt64 = 1_000
  static let defencePause_ms: UInt64 = 250
  /// Others may have the same answer: a random while; longer where more known answers follow (sections 6 and 7.2).
  static let sharedDelay_ms: ClosedRange<UInt64> = 20...120
  static let truncatedDelay_ms: ClosedRange<UInt64> = 400...500

  public let announcement: Announcement
  public private(set) var state = State.probing(0)
  /// When the next step of probing or announcing is due; nil where there is none.
  private var step_ms: UInt64?
  /// Answers that wait, by when they are due.
  private var pending: [ResourceRecord: UInt64] = [:]
  private var sent_ms: [ResourceRecord: UInt64] = [:]

  /// - Parameter now_ms: of a clock that never goes back.
  public init(_ announcement: Announcement, now_ms: UInt64) {
    self.announcement = announcement
    step_ms = now_ms + UInt64.random(in: 0...Self.firstProbe_ms)
  }

  /// When `timer` is to be called; nil where nothing is due.
  public var due_ms: UInt64? { (pending.values + [step_ms].compactMap { $0 }).min() }

  private var isAnnounced: Bool {
    switch state {
    case .probing, .silent: false
    case .announcing, .settled: true
    }
  }

  // MARK: Time

  public mutating func timer(now_ms: UInt64) -> [Output] {
    var outputs: [Output] = []
    if let step_ms, now_ms >= step_ms { outputs += step(now_ms) }
    let due = pending.filter { now_ms >= $0.value }.keys
    guard !due.isEmpty else { return outputs }
    for record in due { pending[record] = nil }
    var message = MulticastMessage(isResponse: true)
    // In the order of the announcement, so that the same question has the same answer.
    message.answers = due.sorted { order($0) < order($1) }
    message.additionals = announcement.additionals(to: message.answers)
    outputs.append(send(message, now_ms))
    return outputs
  }

  private func order(_ record: ResourceRecord) -> Int { (announcement.records + [announcement.kind]).firstIndex(of: record) ?? .max }

  private mutating func step(_ now_ms: UInt64) -> [Output] {
    switch state {
    case .probing(let count) where count < Self.probes:
      state = .probing(count + 1)
      step_ms = now_ms + Self.probePause_ms
      var probe = MulticastMessage(isResponse: false)
      probe.questions = [announcement.instance, announcement.host].map { MulticastQuestion($0, RecordType.any, wantsUnicast: false) }
      // What will be said, for whoever asks at the same time.
      probe.authorities = announcement.uniqueRecords.map { record in
        ResourceRecord(record.name, record.content, lifetime_s: record.lifetime_s, isUnique: false)
      }
      return [.send(probe)]
    case .probing: return announce(1, now_ms)
    case .announcing(let count): return announce(count + 1, now_ms)
    case .settled, .silent:
      step_ms = nil
      return []
    }
  }

  private mutating func announce(_ count: Int, _ now_ms: UInt64) -> [Output] {
    let isLast = count >= Self.announcements
    state = isLast ? .settled : .announcing(count)
    step_ms = isLast ? nil : now_ms + Self.announcePause_ms
    var message = MulticastMessage(isResponse: true)
    message.answers = announcement.records
    return [send(message, now_ms)] + (count == 1 ? [.announced] : [])
  }

  private mutating func send(_ message: MulticastMessage, _ now_ms: UInt64) -> Output {
    for record in message.records { sent_ms[record] = now_ms }
    return .send(message)
  }

  /// The last word, where anything was said: the neighbours forget this device.
  public mutating func goodbye() -> MulticastMessage? {
    defer {
      state = .silent
      step_ms = nil
      pending = [:]
    }
    guard isAnnounced else { return nil }
    var message = MulticastMessage(isResponse: true)
    message.answers = announcement.records.map { $0.living(0) }
    return message
  }

  // MARK: What others say

  /// A message of a neighbour's, which was sent to the group from port 5353. The own ones, where they come back, change nothing.
  public mutating func receive(_ message: MulticastMessage, now_ms: UInt64) -> [Output] {
    guard state != .silent else { return [] }
    if message.isResponse { return hear(message, now_ms) }
    if case .probing = state { compare(message.authorities, now_ms) }
    guard isAnnounced else { return [] }
    // A neighbour goes on with what it knows already.
    suppress(message.answers)
    for question in message.questions { plan(question, message, now_ms) }
    return []
  }

  private mutating func hear(_ message: MulticastMessage, _ now_ms: UInt64) -> [Output] {
    let own = announcement.uniqueRecords
    for record in message.records where announcement.uniqueNames.contains(record.name) && record.lifetime_s > 0 {
      guard let mine = own.first(where: { $0.name == record.name && $0.type == record.type }), mine.data != record.data else { continue }
      state = .silent
      step_ms = nil
      pending = [:]
      return [.conflict(record.name)]
    }
    guard isAnnounced else { return [] }
    // Somebody lets it be forgotten sooner than it should (section 10.1 and 6.6): it is said again.
    for record in message.answers {
      guard let mine = announcement.records.first(where: { $0.name == record.name && $0.type == record.type && $0.data == record.data }),
        record.lifetime_s < mine.lifetime_s / 2
      else { continue }
      wait(mine, now_ms, delay_ms: 0, pause_ms: Self.repeatPause_ms)
    }
    return []
  }

  /// Two that ask for a name at the same time compare what they would say of it: who would say less asks again later, when the other has it or is gone.
  private mutating func compare(_ theirs: [ResourceRecord], _ now_ms: UInt64) {
    for name in announcement.uniqueNames {
      let theirs = Self.comparable(theirs.filter { $0.name == name })
      let mine = Self.comparable(announcement.uniqueRecords.filter { $0.name == name })
      guard !theirs.isEmpty, theirs != mine, mine.lexicographicallyPrecedes(theirs, by: { $0.lexicographicallyPrecedes($1) }) else { continue }
      state = .probing(0)
      step_ms = now_ms + Self.deferral_ms
    }
  }

  /// Type and data (the class is the same), in order (RFC 6762 section 8.2.1).
  private static func comparable(_ records: [ResourceRecord]) -> [[UInt8]] {
    records.map { bigEndian($0.type) + $0.data }.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private mutating func suppress(_ known: [ResourceRecord]) {
    pending = pending.filter { !Self.isKnown($0.key, known) }
  }

  /// Whoever asks knows it, and will for at least half of its time (section 7.1).
  private static func isKnown(_ record: ResourceRecord, _ known: [ResourceRecord]) -> Bool {
    known.contains { $0.name == record.name && $0.type == record.type && $0.data == record.data && $0.lifetime_s >= record.lifetime_s / 2 }
  }

  private mutating func plan(_ question: MulticastQuestion, _ message: MulticastMessage, _ now_ms: UInt64) {
    let isProbe = message.authorities.contains { $0.name == question.name }
    for record in announcement.answers(to: question) where !Self.isKnown(record, message.answers) {
      let delay_ms = message.isTruncated ? UInt64.random(in: Self.truncatedDelay_ms) : record.isUnique ? 0 : UInt64.random(in: Self.sharedDelay_ms)
      wait(record, now_ms, delay_ms: delay_ms, pause_ms: isProbe ? Self.defencePause_ms : Self.repeatPause_ms)
    }
  }

  private mutating func wait(_ record: ResourceRecord, _ now_ms: UInt64, delay_ms: UInt64, pause_ms: UInt64) {
    let due_ms = max(now_ms + delay_ms, sent_ms[record].map { $0 + pause_ms } ?? 0)
    pending[record] = min(pending[record] ?? .max, due_ms)
  }
}
