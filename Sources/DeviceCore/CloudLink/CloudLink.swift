public import Foundations
import MQTT
import NIOConcurrencyHelpers

/// The device's link to its owner's cloud: readings, events and status go out, commands come in; MQTT 5 over TLS 1.3 with both sides' certificates.
///
/// Every method may be called from any thread and returns at once; `run` follows what they changed.
public final class CloudLink: Sendable {
  /// What makes the runner look again at what it should do.
  enum Signal: Sendable {
    /// The binding, the credential, the grade or the waiting events.
    case changed
    /// What a client said of its connection.
    case connection(client: UInt64, MQTTEvent)
    /// No status and no event is on the way any more; or there is room for one that is due; or one was refused.
    case settled
    case timer(UInt64)
    case end
  }
  /// A message of one client.
  struct Sent: Hashable {
    let client: UInt64
    let token: MQTTToken
  }
  struct PendingEvent {
    let event: CloudGradeEvent
    var delivery = Delivery()
  }
  /// What the broker is to know of the device's presence.
  struct PendingStatus {
    let isOnline: Bool
    let grade: Grade
    /// Instead of the two: nothing is to be retained of the device any more.
    var isForgotten = false
    var delivery = Delivery()
  }
  /// How far a message is that is sent until the broker has it.
  struct Delivery {
    /// Where it is on the way.
    var sent: Sent?
    /// This connection's broker does not take it: to be tried again on the next one.
    var isRefused = false
    var isDue: Bool { sent == nil && !isRefused }
  }
  struct Order: Sendable {
    let command: CloudCommand
    let reply: CloudReply?
  }
  struct State {
    var binding: CloudBinding?
    /// Those of a DNS name that were permitted last.
    var addresses: [NetworkAddress] = []
    var grade = Grade.normal
    /// Counts the changes after which a connection must be made anew.
    var generation: UInt64 = 0
    var status = CloudStatus()
    /// What the host was told last.
    var told: Told? = Told(state: .unbound, failureCode: nil)
    var client: MQTTClient?
    var clientNumber: UInt64 = 0
    var isConnected = false
    var events: [PendingEvent] = []
    /// nil once the broker has it.
    var presence: PendingStatus?
    /// Why the broker did not take a status or an event, until that was told.
    var refusal: CloudFailure?
    /// Status and events that are on the way.
    var awaited: Set<Sent> = []
    var commandRate = CommandRate()
    /// The device is about to be wiped.
    var isLeaving = false
    var erasure: Erasure?
  }
  struct Told: Equatable {
    let state: CloudState
    let failureCode: String?
  }

  /// A device that changes its grade more often than this while its broker is away forgets the oldest change first.
  static let maximumEvents = 16
  /// Readings and answers that are on the way: those of half a minute, in which a dead connection is not noticed yet.
  static let maximumOrdinary = 64
  /// What they leave free of the client's room: for the events, the status, and the status that comes after it.
  static let urgentReserve = maximumEvents + 2
  /// Commands that wait for the one before; a second's worth and a half.
  static let maximumOrders = 16

  let host: any CloudLinkHost
  let messages: CloudMessages
  let device: DeviceIdentifier
  let clock: WallClock
  let delay_ms: @Sendable (_ failures: Int) -> UInt64
  let state = NIOLockedValueBox(State())
  let signals: AsyncStream<Signal>
  let signal: AsyncStream<Signal>.Continuation
  let orders: AsyncStream<Order>
  private let order: AsyncStream<Order>.Continuation

  /// - Parameters:
  ///   - device: the name of the device in topics and as client identifier.
  ///   - clock: what the broker's certificate is judged by, and status messages are dated with.
  public convenience init(device: DeviceIdentifier, host: any CloudLinkHost, clock: WallClock) {
    self.init(
      device: device, host: host, clock: clock,
      delay_ms: { failures in
        var generator = SystemRandomNumberGenerator()
        return Backoff.delay_ms(failures: failures, using: &generator)
      })
  }

  init(device: DeviceIdentifier, host: any CloudLinkHost, clock: WallClock, delay_ms: @escaping @Sendable (Int) -> UInt64) {
    self.device = device
    self.host = host
    self.clock = clock
    self.delay_ms = delay_ms
    messages = CloudMessages(topics: CloudTopics(device))
    // Bounded by who signals: one client's few words, one timer, and calls of the device's own.
    (signals, signal) = AsyncStream.makeStream(of: Signal.self)
    (orders, order) = AsyncStream.makeStream(of: Order.self, bufferingPolicy: .bufferingOldest(Self.maximumOrders))
  }

  /// Keeps the link as it should be, until the task is cancelled; then says goodbye to the broker and returns within seconds. Once only.
  public func run() async {
    // Its own task: a cancelled one could not wait for the broker's last answer.
    let runner = Task { await CloudRunner(self).run() }
    await withTaskCancellationHandler {
      await runner.value
    } onCancel: {
      signal.yield(.end)
    }
  }

  public var status: CloudStatus { state.withLockedValue { $0.status } }

  /// Belongs to this broker from now on; nil for none.
  public func bind(_ binding: CloudBinding?) {
    let isNew = state.withLockedValue { state in
      guard state.binding?.destination != binding?.destination || state.binding?.authority != binding?.authority else {
        if let known = binding?.addresses, !known.isEmpty { state.addresses = known }
        return false
      }
      state.binding = binding
      if binding != nil { state.isLeaving = false }
      state.addresses = binding?.addresses ?? []
      state.status.destination = binding?.destination
      // What a new broker does wrong is told, also where the one before did the same.
      state.told = nil
      state.generation += 1
      return true
    }
    if isNew { signal.yield(.changed) }
  }

  /// The host has another credential than before: connects anew with it.
  public func credentialChanged() {
    state.withLockedValue { $0.generation += 1 }
    signal.yield(.changed)
  }

  /// What the link may do from now on. The event that belongs to it is to be given to `publishEvent` before, so that it is told before the link goes quiet.
  public func setGrade(_ grade: Grade) {
    let isNew = state.withLockedValue { state in
      defer { state.grade = grade }
      return state.grade != grade
    }
    if isNew { signal.yield(.changed) }
  }

  /// Publishes a reading, where the link is connected and the grade allows it; else it is dropped and counted. Whether it was taken.
  @discardableResult public func publishReading(_ reading: CloudReading) -> Bool {
    send(messages.reading(reading), isAllowed: { $0.grade < .quarantined && !$0.isLeaving })
  }

  /// Publishes an event as soon as the link is connected, and again until the broker has it. The newest 16 are kept.
  public func publishEvent(_ event: CloudGradeEvent) {
    state.withLockedValue { state in
      state.events.append(PendingEvent(event: event))
      guard state.events.count > Self.maximumEvents else { return }
      state.events.removeFirst()
      state.status.dropped += 1
    }
    signal.yield(.changed)
  }

  // MARK: sending

  /// Hands a message to the connected client. A message that cannot be sent is counted as dropped where there is a broker that it was for.
  @discardableResult func send(_ message: MQTTMessage?, isAllowed: (State) -> Bool) -> Bool {
    state.withLockedValue { state in
      guard state.binding != nil else { return false }
      guard let message, isAllowed(state), Self.hand(message, &state, isUrgent: false) != nil else {
        state.status.dropped += 1
        return false
      }
      return true
    }
  }

  // The client's answer to a token needs the lock, too: it is never heard of before the token is noted.
  static func hand(_ message: MQTTMessage, _ state: inout State, isUrgent: Bool) -> Sent? {
    guard state.isConnected, let token = state.client?.publish(message, isUrgent: isUrgent) else { return nil }
    state.status.published += 1
    return Sent(client: state.clientNumber, token: token)
  }

  // MARK: what a client tells, on its own thread

  func heard(_ event: MQTTEvent, client: UInt64) {
    switch event {
    case .connected:
      // Before any answer to what the client sends again by itself. An earlier client's last words come too late to matter.
      state.withLockedValue { state in
        guard state.clientNumber == client else { return }
        _ = state.changeDeliveries(nil) { $0.isRefused = false }
        state.refusal = nil
      }
      signal.yield(.connection(client: client, event))
    case .refused, .closed: signal.yield(.connection(client: client, event))
    case .disconnected:
      state.withLockedValue { if $0.clientNumber == client { $0.isConnected = false } }
      signal.yield(.connection(client: client, event))
    case .acknowledged(let token): acknowledge(Sent(client: client, token: token))
    case .dropped(let token, let reason): drop(Sent(client: client, token: token), reason)
    case .subscribed(let filter, let reason) where reason.isRefusal:
      fail(CloudFailure("commands-refused", "the broker does not let the device listen to \(filter): \(reason)"), to: .connected)
    case .subscribed: break
    case .message(let message): receive(message)
    }
  }

  private func receive(_ message: MQTTMessage) {
    guard message.topic != messages.topics.erased else { return takeErasure(message) }
    let (grade, isTimely) = state.withLockedValue { ($0.grade, $0.commandRate.take(now_ms: BootClock.now_ms())) }
    switch readCommand(message, topics: messages.topics) {
    case .refused(let problem, let reply): answer(isTimely ? problem : .tooMany, to: reply)
    case .command(_, let reply) where !isTimely: answer(.tooMany, to: reply)
    case .command(_, let reply) where grade >= .quarantined: answer(.notInThisGrade, to: reply)
    case .command(let command, let reply):
      if case .dropped = order.yield(Order(command: command, reply: reply)) { answer(.tooMany, to: reply) }
    }
  }

  func answer(_ problem: CloudProblem, to reply: CloudReply?) {
    if let reply { send(messages.answer(problem, to: reply), isAllowed: { $0.grade < .quarantined }) }
  }

  /// Carries out commands, one after the other, until its task is cancelled.
  func carryOutOrders() async {
    for await order in orders {
      do throws(CloudProblem) {
        let result = try await host.carryOut(order.command)
        if let reply = order.reply { send(messages.answer(result, to: reply), isAllowed: { $0.grade < .quarantined }) }
      } catch {
        answer(error, to: order.reply)
      }
    }
  }

  // MARK: telling the host

  /// The link is in `state` now, and works so far.
  func enter(_ newState: CloudState) {
    tell { status in
      status.state = newState
      if newState != .connecting { status.failure = nil }
    }
  }

  /// The link is in `state` because of `failure`.
  func fail(_ failure: CloudFailure, to newState: CloudState = .waiting) {
    tell { status in
      status.state = newState
      status.failure = failure
    }
  }

  /// The host hears of each change once: a try is none, nor is a try that fails as the one before did. Reasons may hold times, so codes are compared.
  private func tell(_ change: (inout CloudStatus) -> Void) {
    let status: CloudStatus? = state.withLockedValue { state in
      change(&state.status)
      let told = Told(state: state.status.state, failureCode: state.status.failure?.code)
      guard told.state != .connecting, told != state.told else { return nil }
      state.told = told
      return state.status
    }
    if let status { host.cloudChanged(status) }
  }
}
