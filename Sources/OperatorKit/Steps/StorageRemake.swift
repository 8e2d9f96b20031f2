internal import Foundations
internal import TLS

/// What the operator must know or do while a storage is made anew.
public enum RemakeStep: Sendable, Equatable {
  /// Press the device's button, within so many seconds.
  case pressButton(within_s: Int)
  /// It is made; the device restarts, and is blank then.
  case restarts
}

/// Has a device whose storage is damaged or locked make it anew, and waits until it is back and blank. Whatever lay there is gone.
struct StorageRemake: Sendable {
  let station: Station
  let patience: ClaimPatience

  func run(_ endpoint: Endpoint, tell: (RemakeStep) -> Void) async throws(OperatorError) {
    try await ask(endpoint, tell)
    tell(.restarts)
    let end_s = secondsNow() + Int64(patience.restart_s)
    while true {
      // For some seconds it is what it was; then it is away.
      var state = "away"
      do throws(OperatorError) {
        state = try await with(endpoint) { (client) throws(OperatorError) in try await client.info().lifeCycleState }
      } catch {
        guard error.mayPassByItself || ["tls-refused", "wrong-device"].contains(error.code) else { throw error }
      }
      if state == "blank" { return }
      guard secondsNow() < end_s else {
        throw OperatorError(
          "silent", "\(endpoint) made its storage anew and is not back as a blank device after \(patience.restart_s) s: it is '\(printable(state.prefix(40)))'")
      }
      try await patience.pause(ms: 1_000)
    }
  }

  private func ask(_ endpoint: Endpoint, _ tell: (RemakeStep) -> Void) async throws(OperatorError) {
    // Somebody has the whole time from when they are told.
    var end_s: Int64?
    while true {
      do throws(OperatorError) {
        _ = try await with(endpoint) { (client) throws(OperatorError) in
          try await client.send(LifeCycleAnswer.self, DeviceRequest(.post, "/v1/storage/remake"))
        }
        return
      } catch {
        guard error.refusal?.problem == "presence-needed" else { throw error }
        guard end_s.map({ secondsNow() < $0 }) ?? true else {
          throw OperatorError(
            "button-not-pressed", "the button of the device at \(endpoint) was not pressed within \(patience.button_s) s; nothing was changed")
        }
      }
      if end_s == nil {
        tell(.pressButton(within_s: patience.button_s))
        end_s = secondsNow() + Int64(patience.button_s)
      }
      try await patience.pause(ms: patience.poll_ms)
    }
  }

  /// A damaged device knows nothing of itself, and shows a certificate of this moment.
  private func with<Value: Sendable>(
    _ endpoint: Endpoint, _ body: (DeviceClient) async throws(OperatorError) -> Value
  ) async throws(OperatorError) -> Value {
    let security = try ConnectionSecurity(
      credential: station.credential, trust: .selfSigned, peerName: "a damaged device", policy: Profiles.refusalOfMakersDevice)
    return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
      try await body(DeviceClient(connection))
    }
  }
}
