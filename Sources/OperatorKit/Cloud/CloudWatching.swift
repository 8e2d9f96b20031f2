internal import MQTT

extension BrokerAccess {
  /// Everything of Haechi's devices that the broker lets this person see, over as many connections as it takes; what comes in between is missed.
  ///
  /// Troubles that may pass are waited out, each told to `troubled`; anything else ends the sequence with its error.
  public func watch(troubled: @escaping @Sendable (OperatorError) -> Void = { _ in }) -> AsyncThrowingStream<CloudArrival, any Error> {
    follow("haechi/#", wantsRetained: true, keeping: 4096, troubled: troubled) { (session, early, told) throws(OperatorError) in
      for message in early { told(CloudArrival(message)) }
      while !Task.isCancelled {
        if case .message(let message) = try await session.next() { told(CloudArrival(message)) }
      }
    }
  }

  /// What `body` tells of the messages of `filter`, over as many connections as it takes.
  ///
  /// - Parameters:
  ///   - keeping: a reader that does not keep up loses all but the newest so many.
  ///   - troubled: is told each trouble that may pass by itself and is waited out; any other ends the sequence.
  ///   - body: lives for one connection. It is given what came before the broker's answer, and where to tell.
  func follow<Element: Sendable>(
    _ filter: String, wantsRetained: Bool, keeping: Int, troubled: @escaping @Sendable (OperatorError) -> Void,
    _ body: @escaping @Sendable (BrokerSession, [MQTTMessage], (Element) -> Void) async throws(OperatorError) -> Void
  ) -> AsyncThrowingStream<Element, any Error> {
    AsyncThrowingStream(Element.self, bufferingPolicy: .bufferingNewest(keeping)) { continuation in
      let task = Task {
        var backoff = Backoff()
        while !Task.isCancelled {
          do throws(OperatorError) {
            try await BrokerSession.with(self) { (session) throws(OperatorError) in
              let early = try await session.subscribe(filter, wantsRetained: wantsRetained)
              backoff.reset()
              try await body(session, early) { continuation.yield($0) }
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
