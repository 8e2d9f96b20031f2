import Crypto
import Foundations
import MQTT
import NIOConcurrencyHelpers
import TLS

/// Follows what a link should be: connects, stays, says goodbye, waits. One task's.
final class CloudRunner {
  /// What the link should be now.
  private struct Goal {
    let binding: CloudBinding?
    let grade: Grade
    let generation: UInt64
  }
  /// How staying connected, or trying to, ended.
  private enum Ending {
    case connected
    case failed(CloudFailure)
    /// There is another goal, and no client any more.
    case changed
  }

  /// As many addresses of a name as the supervisor lets through.
  private static let maximumAddresses = 4
  /// The broker's last answer may take so long before the link goes quiet without it: who ends the runtime waits for it.
  private static let farewell_ms: UInt64 = 1_000
  /// A client's thread ends within a second (its DISCONNECT's deadline); twice that is a fault of the machine.
  private static let close_ms: UInt64 = 2_000

  private let link: CloudLink
  private var iterator: AsyncStream<CloudLink.Signal>.Iterator
  private var client: MQTTClient?
  private var clientNumber: UInt64 = 0
  /// The generation that `client` was made for.
  private var clientGeneration: UInt64 = 0
  /// `client` was connected in a grade that allows readings: it may hold some, and would send them again.
  private var mayHoldReadings = false
  private var failures = 0
  private var failedGeneration: UInt64 = 0
  private var timers: UInt64 = 0
  private var isEnding = false

  init(_ link: CloudLink) {
    self.link = link
    iterator = link.signals.makeAsyncIterator()
  }

  func run() async {
    let link = link
    let orders = Task { await link.carryOutOrders() }
    while !isEnding {
      let goal = goal()
      if goal.binding == nil {
        await rest(in: .unbound, goal)
      } else if goal.grade == .locked {
        await rest(in: .suspended, goal)
      } else {
        await attempt(goal)
      }
    }
    orders.cancel()
    await discard()
  }

  private func goal() -> Goal {
    link.state.withLockedValue { Goal(binding: $0.binding, grade: $0.grade, generation: $0.generation) }
  }

  private func next() async -> CloudLink.Signal {
    let signal = await iterator.next() ?? .end
    if case .end = signal { isEnding = true }
    return signal
  }

  /// Whether what was begun for `begun` is no longer wanted.
  private func isOutdated(_ begun: Goal) -> Bool {
    let now = goal()
    return isEnding || now.generation != begun.generation || now.grade == .locked || (now.grade >= .quarantined) != (begun.grade >= .quarantined)
  }

  // MARK: without a connection

  private func rest(in state: CloudState, _ begun: Goal) async {
    await discard()
    link.enter(state)
    failures = 0
    while !isEnding {
      let now = goal()
      guard now.generation == begun.generation, (now.grade == .locked) == (begun.grade == .locked) else { return }
      _ = await next()
    }
  }

  /// One round through the broker's addresses; stays where one answers.
  private func attempt(_ goal: Goal) async {
    if failedGeneration != goal.generation { failures = 0 }
    failedGeneration = goal.generation
    if mayHoldReadings, goal.grade >= .quarantined { await discard() }
    link.enter(.connecting)
    var failure: CloudFailure
    do {
      let addresses = try await addresses(goal)
      let client = try makeClient(goal)
      failure = CloudFailure("addresses-unknown", "no address of the broker is known")
      round: for address in addresses {
        let began_ms = BootClock.now_ms()
        switch await connect(client, to: address, goal) {
        case .changed: return
        case .failed(let reason): failure = reason
        case .connected:
          switch await stay(client, goal) {
          case .changed, .connected: return
          case .failed(let reason): failure = reason
          }
          if BootClock.now_ms() - began_ms >= Backoff.steady_ms { failures = 0 }
          break round
        }
      }
    } catch let error as any HaechiError {
      failure = CloudFailure(error)
    } catch {
      failure = CloudFailure("internal-error", "\(error)")
    }
    failures += 1
    link.fail(failure)
    await pause(link.delay_ms(failures), goal)
  }

  /// Where the broker is: what is asked of the resolver, what the supervisor lets through, what is known from before.
  private func addresses(_ goal: Goal) async throws -> [NetworkAddress] {
    guard let destination = goal.binding?.destination else { return [] }
    if let address = destination.address { return [address] }
    let known = link.state.withLockedValue { $0.addresses }
    // A quarantined device asks nobody.
    if goal.grade >= .quarantined { return known }
    do {
      let found = Array(try await link.host.resolve(destination.host).prefix(Self.maximumAddresses))
      try await link.host.permit(found)
      link.state.withLockedValue { if $0.generation == goal.generation { $0.addresses = found } }
      return found
    } catch  where !known.isEmpty {
      // The broker is likely still where it was.
      return known
    }
  }

  private func makeClient(_ goal: Goal) throws -> MQTTClient {
    if let client, clientGeneration == goal.generation { return client }
    guard let binding = goal.binding else { throw CloudLinkError("internal-error", "there is no broker") }
    guard let credential = link.host.cloudCredential else {
      throw CloudLinkError("credential-missing", "the device has no certificate that it could show to a broker; it is to be claimed first")
    }
    let name: SubjectAlternativeName = binding.destination.address.map { .address($0) } ?? .dns(binding.destination.host)
    let tls = try LibraryClientContext(
      chain: credential.chain, key: credential.key, authorities: [binding.authority], server: name, clock: link.clock)
    let number = clientNumber + 1
    let client = try MQTTClient(
      MQTTConfiguration(
        clientIdentifier: link.device.text, will: link.messages.will, maximumOutstanding: CloudLink.maximumOrdinary + CloudLink.urgentReserve,
        urgentReserve: CloudLink.urgentReserve), tls: tls,
      handler: { [weak link] event in link?.heard(event, client: number) })
    clientNumber = number
    clientGeneration = goal.generation
    mayHoldReadings = false
    self.client = client
    link.state.withLockedValue {
      $0.client = client
      $0.clientNumber = number
    }
    return client
  }

  private func connect(_ client: MQTTClient, to address: NetworkAddress, _ goal: Goal) async -> Ending {
    guard let port = goal.binding?.destination.port else { return .changed }
    client.connect(to: address, port: port)
    while true {
      switch await next() {
      case .connection(clientNumber, .connected): return .connected
      case .connection(clientNumber, .refused(let code)): return .failed(CloudFailure("broker-refused", "the broker does not want the device: \(code)"))
      case .connection(clientNumber, .disconnected(let error)): return .failed(failure(error))
      default: break
      }
      guard !isOutdated(goal) else {
        await discard()
        return .changed
      }
    }
  }

  private func failure(_ error: (any HaechiError)?) -> CloudFailure {
    error.map { CloudFailure($0) } ?? CloudFailure("connection-lost", "the connection to the broker ended")
  }

  private func pause(_ delay_ms: UInt64, _ goal: Goal) async {
    let (timer, task) = startTimer(delay_ms)
    defer { task.cancel() }
    while !isOutdated(goal) {
      if case .timer(timer) = await next() { return }
    }
  }

  private func startTimer(_ delay_ms: UInt64) -> (UInt64, Task<Void, Never>) {
    timers += 1
    let number = timers
    let signal = link.signal
    let task = Task {
      do { try await Task.sleep(nanoseconds: delay_ms * 1_000_000) } catch { return }
      signal.yield(.timer(number))
    }
    return (number, task)
  }

  // MARK: with a connection

  private func stay(_ client: MQTTClient, _ begun: Goal) async -> Ending {
    link.state.withLockedValue {
      $0.isConnected = true
      $0.status.connections += 1
    }
    link.enter(.connected)
    var grade = begun.grade
    tellStatus(grade)
    if grade < .quarantined {
      mayHoldReadings = true
      _ = client.subscribe(link.messages.topics.commands, wantsRetained: false)
    }
    while true {
      switch await next() {
      case .connection(clientNumber, .disconnected(let error)): return .failed(failure(error))
      case .connection(clientNumber, .closed): return .failed(failure(nil))
      default: break
      }
      let now = goal()
      guard !isEnding, now.generation == begun.generation, now.binding != nil, now.grade < .locked else {
        tellStatus(now.grade, isOnline: false)
        await drain()
        await discard()
        return .changed
      }
      if now.grade != grade {
        tellStatus(now.grade)
        if now.grade >= .quarantined, grade < .quarantined {
          _ = client.unsubscribe(link.messages.topics.commands)
        } else if now.grade < .quarantined, grade >= .quarantined {
          mayHoldReadings = true
          _ = client.subscribe(link.messages.topics.commands, wantsRetained: false)
        }
        grade = now.grade
      }
      link.tellRefusal()
      link.sendDue()
    }
  }

  /// The status is sent with the events, and before them: on every connection, because the broker has sent the will of the one before.
  private func tellStatus(_ grade: Grade, isOnline: Bool = true) {
    link.state.withLockedValue {
      $0.presence = CloudLink.PendingStatus(isOnline: isOnline, grade: grade, isForgotten: !isOnline && $0.isLeaving)
    }
    link.sendDue()
  }

  /// Waits until the broker has the last status and events, but not long.
  private func drain() async {
    let (timer, task) = startTimer(Self.farewell_ms)
    defer { task.cancel() }
    while !link.state.withLockedValue({ $0.awaited.isEmpty }) {
      switch await next() {
      case .timer(timer), .connection(clientNumber, .disconnected), .connection(clientNumber, .closed): return
      default: link.sendDue()
      }
    }
  }

  /// Ends the client with all that it holds, and waits until it has.
  private func discard() async {
    guard let client else { return }
    self.client = nil
    link.state.withLockedValue {
      $0.client = nil
      $0.isConnected = false
    }
    client.close()
    let (timer, task) = startTimer(Self.close_ms)
    defer { task.cancel() }
    while true {
      switch await next() {
      case .timer(timer), .connection(clientNumber, .closed): return
      default: break
      }
    }
  }
}

/// Why a link cannot even try.
struct CloudLinkError: HaechiError {
  let code: String
  let reason: String
  var cause: (any Error)? { nil }

  init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }
}
