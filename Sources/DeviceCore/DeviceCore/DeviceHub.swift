import Crypto
import Foundations
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink

/// What the device's parts tell each other: readings, lines, and facts from the supervisor. Any thread may call; nothing waits.
final class DeviceHub: Sendable {
  /// Facts that the supervisor told at the start and later.
  struct Facts {
    var startCount: UInt32 = 0
    var startCause = StartCause.boot
    var phases: [PhaseReport] = []
    var linkUp = false
    var lease: NetworkLease?
    var rootOfTrust = RootOfTrustReport(kind: .none, manufacturer: "", secureBootState: [])
    var storage = StorageReport(state: .volatile, reason: "the supervisor did not say")
    /// The public half of the device's own key, where the root of trust keeps the other.
    var identityKey: [UInt8]?
    /// What a recovery key is to be sealed to; empty before the first.
    var recoveryOffer: [UInt8] = []
    /// What the next start of the machine does about the recovery key; nil for nothing.
    var recoveryWish: RecoveryKeyDocument.Wish?
  }

  private struct Line {
    let isOutput: Bool
    var value: Bool
    var changed_us: UInt64?
  }

  private struct State {
    var facts = Facts()
    var lines: [String: Line] = [:]
    var readings: [String: ReadingDocument] = [:]
    var readingReceivers = Receivers()
    var readingFollower: (@Sendable (ReadingDocument) -> Void)?
    var leaseFollower: (@Sendable (NetworkLease?) -> Void)?
    var productInputs: [UInt64: AsyncStream<InputEvent>.Continuation] = [:]
    var nextProductInput: UInt64 = 0
    var request: (@Sendable (ShortName, Bool) async throws(SupervisorError) -> RequestOutcome)?
  }

  /// No more boot phases than this are kept.
  static let maximumPhases = 64
  /// No more lines than this are kept; a board has a handful.
  static let maximumLines = 64

  let description: ProductDescription
  let log: DeviceLog
  let events = EventJournal()
  private let clock: WallClock
  private let state = NIOLockedValueBox(State())

  init(description: ProductDescription, log: DeviceLog, clock: WallClock) {
    self.description = description
    self.log = log
    self.clock = clock
  }

  /// How outputs are driven: by the supervisor, which owns the lines.
  func connect(_ setOutput: @escaping @Sendable (ShortName, Bool) async throws(SupervisorError) -> RequestOutcome) {
    state.withLockedValue { $0.request = setOutput }
  }

  var facts: Facts { state.withLockedValue { $0.facts } }
  func update(_ change: (inout Facts) -> Void) {
    let (follower, lease) = state.withLockedValue { state in
      let before = state.facts.lease
      change(&state.facts)
      return (state.facts.lease == before ? nil : state.leaseFollower, state.facts.lease)
    }
    follower?(lease)
  }

  /// Calls `follower`, which must not wait, with the lease now if there is one, and with each change.
  func onLease(_ follower: @escaping @Sendable (NetworkLease?) -> Void) {
    let lease = state.withLockedValue { state in
      state.leaseFollower = follower
      return state.facts.lease
    }
    if let lease { follower(lease) }
  }

  /// The declared names that the board does not wire, or wires the other way round.
  func missingLines() -> [String] {
    state.withLockedValue { state in
      let outputs = description.actuators.map(\.name) + [description.indicator].compactMap { $0 }
      return outputs.filter { state.lines[$0]?.isOutput != true } + description.inputs.filter { state.lines[$0]?.isOutput != false }
    }
  }

  // MARK: Lines

  func announceLine(_ name: String, isOutput: Bool, value: Bool) {
    let isFull = state.withLockedValue { state in
      guard state.lines.count < Self.maximumLines || state.lines[name] != nil else { return true }
      state.lines[name] = Line(isOutput: isOutput, value: value, changed_us: nil)
      return false
    }
    if isFull { log.append(.error, source: "core", "the supervisor announced more than \(Self.maximumLines) lines; \(name) is left out") }
  }

  func inputChanged(_ name: String, value: Bool, at_us: UInt64) {
    guard description.inputs.contains(name) else { return }
    state.withLockedValue { state in
      state.lines[name] = Line(isOutput: false, value: value, changed_us: at_us)
      for follower in state.productInputs.values { follower.yield(InputEvent(name: name, isActive: value, at_us: at_us)) }
    }
    events.append(.input(InputDocument(name: name, active: value, changedMicroseconds: at_us)))
  }

  /// In quarantine the supervisor has driven every output to its safe value without being asked.
  func outputsAreSafe() {
    let safe = Dictionary(description.actuators.map { ($0.name, $0.safe) }, uniquingKeysWith: { first, _ in first })
    state.withLockedValue { state in
      for (name, line) in state.lines where line.isOutput && line.value != safe[name, default: false] {
        state.lines[name]?.value = safe[name, default: false]
        state.lines[name]?.changed_us = BootClock.now_us()
      }
    }
  }

  func value(of name: String) -> Bool { state.withLockedValue { $0.lines[name]?.value ?? false } }

  func set(_ name: String, _ on: Bool) async throws(ProductError) {
    let isDeclared = description.actuators.contains { $0.name == name } || description.indicator == name
    guard isDeclared, let shortName = ShortName(name) else {
      throw ProductError(code: "unknown-output", reason: "\(name) is no actuator that the product declares")
    }
    guard let request = state.withLockedValue({ $0.request }) else {
      throw ProductError(code: "supervisor-silent", reason: "the supervisor is not connected, so \(name) cannot be set")
    }
    let outcome: RequestOutcome
    do {
      outcome = try await request(shortName, on)
    } catch  where error.code == "link-busy" {
      throw ProductError(code: "too-many-requests", reason: "\(name) was not set: \(error.reason)", cause: error)
    } catch {
      throw ProductError(code: "supervisor-silent", reason: "the supervisor did not answer whether \(name) was set", cause: error)
    }
    guard outcome != .notInThisGrade else {
      throw ProductError(code: "not-in-this-grade", reason: "\(name) stays at its safe value for as long as the device is quarantined")
    }
    guard outcome == .done else {
      throw ProductError(code: "supervisor-refused", reason: "the supervisor did not set \(name): \(outcome)")
    }
    state.withLockedValue { state in
      state.lines[name]?.value = on
      state.lines[name]?.changed_us = BootClock.now_us()
    }
  }

  func inputEvents() -> AsyncStream<InputEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: InputEvent.self, bufferingPolicy: .bufferingNewest(64))
    let identifier = state.withLockedValue { state in
      state.nextProductInput += 1
      state.productInputs[state.nextProductInput] = continuation
      return state.nextProductInput
    }
    continuation.onTermination = { [self] _ in _ = state.withLockedValue { $0.productInputs.removeValue(forKey: identifier) } }
    return stream
  }

  /// How many streams of input events the product holds.
  var productFollowers: Int { state.withLockedValue { $0.productInputs.count } }

  func actuators() -> [ActuatorDocument] {
    state.withLockedValue { state in
      description.actuators.map { ActuatorDocument(name: $0.name, on: state.lines[$0.name]?.value ?? $0.safe, safe: $0.safe) }
    }
  }

  func inputs() -> [InputDocument] {
    state.withLockedValue { state in
      description.inputs.map {
        InputDocument(name: $0, active: state.lines[$0]?.value ?? false, changedMicroseconds: state.lines[$0]?.changed_us)
      }
    }
  }

  // MARK: Readings

  func report(_ name: String, _ value: Double, isSimulated: Bool) {
    guard let declared = description.readings.first(where: { $0.name == name }) else {
      return log.append(.error, source: "core", "the product reported \(name), which it does not declare; the reading is left out")
    }
    // JSON has no form for what is no number.
    guard value.isFinite else { return log.append(.warning, source: "core", "the reading \(name) is no finite number and is left out") }
    let reading = ReadingDocument(name: name, value: value, unit: declared.unit, time: rfc3339(clock.now_s()), simulated: isSimulated)
    let follower = state.withLockedValue { state in
      state.readings[name] = reading
      if !state.readingReceivers.isEmpty, let event = try? StreamEvent(name: "reading", identifier: nil, document: reading) {
        state.readingReceivers.deliver(event)
      }
      return state.readingFollower
    }
    follower?(reading)
  }

  /// Calls `follower`, which must not wait, with each new reading.
  func onReading(_ follower: @escaping @Sendable (ReadingDocument) -> Void) { state.withLockedValue { $0.readingFollower = follower } }

  /// In the order of the declaration; those that were never reported are left out.
  func readings() -> [ReadingDocument] {
    state.withLockedValue { state in description.readings.compactMap { state.readings[$0.name] } }
  }

  func subscribeReadings(_ deliver: @escaping @Sendable (StreamEvent) -> Void) -> FeedSubscription {
    let identifier = state.withLockedValue { state in
      for reading in description.readings.compactMap({ state.readings[$0.name] }) {
        if let event = try? StreamEvent(name: "reading", identifier: nil, document: reading) { deliver(event) }
      }
      return state.readingReceivers.add(deliver)
    }
    return FeedSubscription { [self] in state.withLockedValue { $0.readingReceivers.remove(identifier) } }
  }
}
