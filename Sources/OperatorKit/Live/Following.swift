/// What of a device can be followed.
public enum Stream: Sendable, Equatable {
  case readings
  case events
  /// The log, from the record after this sequence number.
  case logs(after: UInt64)
}

/// How long to wait before the next try to reach a device: 1, 2, 4 … 30 s, each a fifth shorter or longer by chance,
/// so that many operators do not come back to a device at the same instant.
struct Backoff: Sendable {
  private var next_ms: UInt64 = 1000

  /// Milliseconds to wait now.
  mutating func wait_ms() -> UInt64 {
    defer { next_ms = min(next_ms * 2, 30_000) }
    return next_ms * UInt64.random(in: 80...120) / 100
  }

  /// A connection did work: the next trouble begins at the shortest wait.
  mutating func reset() { next_ms = 1000 }
}

extension OwnedDevice {
  /// Follows one stream over as many connections as it takes. The log goes on where it was; of readings and events what came in between is missed.
  ///
  /// Troubles that may pass are waited out, each told once to `troubled`; anything else ends the sequence with its error.
  public func follow<Value: Sendable>(
    _ stream: Stream, as type: Value.Type, troubled: @escaping @Sendable (OperatorError) -> Void = { _ in }
  ) -> AsyncThrowingStream<Value, any Error> {
    // A reader that does not keep up loses the oldest of 4096, and never the device's or this machine's memory.
    AsyncThrowingStream(type, bufferingPolicy: .bufferingNewest(4096)) { continuation in
      let task = Task {
        var backoff = Backoff()
        var after: UInt64 = if case .logs(let first) = stream { first } else { 0 }
        while !Task.isCancelled {
          do throws(OperatorError) {
            try await with { (client) throws(OperatorError) in
              func pass(_ value: some Sendable) -> Bool {
                backoff.reset()
                guard let value = value as? Value else { return true }
                if case .terminated = continuation.yield(value) { return false }
                return true
              }
              switch stream {
              case .readings: try await client.followReadings { (reading) throws(OperatorError) in pass(reading) }
              case .events: try await client.followEvents { (event) throws(OperatorError) in pass(event) }
              case .logs:
                try await client.followLogs(after: after) { (entry) throws(OperatorError) in
                  after = entry.sequence
                  return pass(entry)
                }
              }
            }
            return continuation.finish()
          } catch {
            guard error.mayPassByItself, !Task.isCancelled else { return continuation.finish(throwing: error) }
            troubled(error)
            try? await Task.sleep(for: .milliseconds(backoff.wait_ms()))
          }
        }
        continuation.finish()
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Everything that a live picture shows: who and how the device is, its outputs and inputs, its grade and its cloud every 2 s, readings and
  /// events as they come.
  public func live() -> AsyncThrowingStream<LiveUpdate, any Error> {
    AsyncThrowingStream(LiveUpdate.self, bufferingPolicy: .bufferingNewest(4096)) { continuation in
      let task = Task {
        do {
          try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await poll(continuation) }
            group.addTask { for try await reading in follow(.readings, as: Reading.self) { continuation.yield(.reading(reading)) } }
            group.addTask { for try await event in follow(.events, as: DeviceEvent.self) { continuation.yield(.event(event)) } }
            // The first that fails for good ends the others.
            while try await group.next() != nil {}
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// One connection that asks again and again, so that an outage is noticed and told once, here.
  private func poll(_ continuation: AsyncThrowingStream<LiveUpdate, any Error>.Continuation) async throws(OperatorError) {
    var backoff = Backoff()
    var isTroubled = false
    while !Task.isCancelled {
      do throws(OperatorError) {
        try await with { (client) throws(OperatorError) in
          continuation.yield(.info(try await client.info()))
          var hasGuard = true
          while !Task.isCancelled {
            continuation.yield(.status(try await client.status()))
            continuation.yield(.actuators(try await client.actuators()))
            continuation.yield(.inputs(try await client.inputs()))
            if hasGuard { hasGuard = try await pollGuard(client, continuation) }
            if isTroubled { continuation.yield(.trouble(nil)) }
            isTroubled = false
            backoff.reset()
            try? await Task.sleep(for: .seconds(2))
          }
        }
      } catch {
        guard !Task.isCancelled else { return }
        guard error.mayPassByItself else { throw error }
        isTroubled = true
        continuation.yield(.trouble("\(error.reason); trying again"))
        try? await Task.sleep(for: .milliseconds(backoff.wait_ms()))
      }
    }
  }
  /// Asks for grade and cloud; false where the device is too old to have them.
  private func pollGuard(
    _ client: DeviceClient, _ continuation: AsyncThrowingStream<LiveUpdate, any Error>.Continuation
  ) async throws(OperatorError) -> Bool {
    do throws(OperatorError) {
      continuation.yield(.guardState(try await client.guardState()))
      continuation.yield(.cloud(try await client.cloudState()))
      return true
    } catch {
      guard error.refusal?.status == 404 else { throw error }
      return false
    }
  }
}
