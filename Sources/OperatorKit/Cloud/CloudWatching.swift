internal import MQTT

extension BrokerAccess {
  /// Everything of Haechi's devices that the broker lets this person see, over as many connections as it takes; what comes in between is missed.
  ///
  /// Troubles that may pass are waited out, each told to `troubled`; anything else ends the sequence with its error.
  public func watch(troubled: @escaping @Sendable (OperatorError) -> Void = { _ in }) -> AsyncThrowingStream<CloudArrival, any Error> {
    AsyncThrowingStream(CloudArrival.self, bufferingPolicy: .bufferingNewest(4096)) { continuation in
      let task = Task {
        var backoff = Backoff()
        while !Task.isCancelled {
          do throws(OperatorError) {
            try await BrokerSession.with(self) { (session) throws(OperatorError) in
              for message in try await session.subscribe("haechi/#", wantsRetained: true) { continuation.yield(CloudArrival(message)) }
              backoff.reset()
              while !Task.isCancelled {
                if case .message(let message) = try await session.next() { continuation.yield(CloudArrival(message)) }
              }
            }
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

  /// What the operator calls the devices that it knows, by their ids.
  public func deviceNames() throws(OperatorError) -> [String: String] {
    Dictionary(try DeviceBook.load(home).devices.map { ($0.deviceId, $0.name) }, uniquingKeysWith: { first, _ in first })
  }
}
