internal import Crypto
internal import Foundations
internal import Identity

/// What the operator must know or do while a device is being claimed.
public enum ClaimStep: Sendable, Equatable {
  /// Press the device's button, within so many seconds.
  case pressButton(within_s: Int)
  /// The button was seen.
  case buttonSeen
  /// After wrong proofs the device waits; so many seconds are left.
  case waits(seconds: Int)
  /// The device is wiped and restarts.
  case wiped
}

/// How long a claim waits.
public struct ClaimPatience: Sendable {
  /// For somebody to walk to the device and press its button.
  public var button_s = 300
  /// Between two looks at whether it was pressed.
  public var poll_ms = 500
  /// A wait after wrong proofs that is longer is told instead of waited for.
  public var lockOut_s = 70
  /// For a device that was wiped to restart.
  public var restart_s = 120

  public init() {}

  /// Runs `body` again while a device that restarts would make it fail, for at most `limit_s` seconds.
  func retrying<Value>(for limit_s: Int, _ body: () async throws(OperatorError) -> Value) async throws(OperatorError) -> Value {
    let end_s = secondsNow() + Int64(limit_s)
    while true {
      do throws(OperatorError) {
        return try await body()
      } catch {
        // For some seconds its supervisor still knows the former owner; then it is away, and then for a moment not yet what it will be.
        let isRestarting =
          error.mayPassByItself || error.code == "wrong-device" || error.code == "tls-refused"
          || ["owner-not-pinned", "restarting"].contains(error.refusal?.problem)
        guard secondsNow() < end_s, isRestarting else { throw error }
      }
      try await pause(ms: 1_000)
    }
  }

  func pause(ms: Int) async throws(OperatorError) {
    do {
      try await Task.sleep(for: .milliseconds(ms))
    } catch {
      throw OperatorError("button-not-pressed", "the claim was given up", cause: error)
    }
  }
}

/// Proves the label over one connection: computes the proof, waits for the button, and sends a claim when the device looks at proofs.
struct LabelProver {
  let label: DeviceLabel
  let client: DeviceClient
  let patience: ClaimPatience

  private var endpoint: Endpoint { client.connection.endpoint }

  /// Hexadecimal. It holds for this connection and this owner alone.
  func proof(for owner: Certificate, offer: ClaimOffer) async throws(OperatorError) -> String {
    guard let salt = bytes(hexadecimal: offer.label.salt),
      let parameters = LabelParameters(salt: salt, n: offer.label.n, r: offer.label.r, p: offer.label.p)
    else {
      throw OperatorError("bad-answer", "\(endpoint) names a slow hash for its label that is not within bounds; nothing was proved")
    }
    let binding = try await client.connection.binding(label: LabelProof.exporterLabel)
    do throws(CryptoError) {
      let key = try LabelVerifier.clientKey(code: label.code, parameters: parameters)
      return hexadecimal(try LabelProof.make(clientKey: key, context: LabelProof.context(device: label.deviceId, binding: binding, owner: owner)))
    } catch {
      throw OperatorError("bad-argument", "the label's proof could not be computed; it takes 32 MB of memory", cause: error)
    }
  }

  /// Sends the claim once the device looks at proofs.
  func send(_ order: ClaimOrder, tell: (ClaimStep) -> Void) async throws(OperatorError) -> LifeCycleAnswer {
    let end_s = secondsNow() + Int64(patience.button_s)
    while true {
      try await waitUntilLookedAt(end_s: end_s, tell: tell)
      do throws(OperatorError) {
        return try await client.send(LifeCycleAnswer.self, DeviceRequest(.post, "/v1/claim", body: try encode(order)))
      } catch {
        switch error.refusal?.problem {
        // The window closed on the way, or somebody else's wrong proof came first.
        case "presence-needed", "locked-out", "life-cycle-busy": try await patience.pause(ms: patience.poll_ms)
        case "proof-wrong":
          throw OperatorError(
            "label-wrong",
            "\(endpoint) does not take the code of this label: look at the label again, it must be the one of serial number \(label.serialNumber)",
            refusal: error.refusal)
        default: throw error
        }
      }
    }
  }

  private func waitUntilLookedAt(end_s: Int64, tell: (ClaimStep) -> Void) async throws(OperatorError) {
    var isAsked = false
    var isWaiting = false
    while true {
      let offer = try await client.get(ClaimOffer.self, "/v1/claim")
      let wait_s = Int(clamping: offer.lockout.waitMilliseconds / 1_000) + (offer.lockout.waitMilliseconds % 1_000 > 0 ? 1 : 0)
      guard wait_s <= patience.lockOut_s else {
        throw OperatorError(
          "locked-out",
          "after \(offer.lockout.failures) wrong proofs \(endpoint) looks at none for another \(wait_s / 60 + 1) minutes of its running time; nothing shortens that"
        )
      }
      if wait_s > 0 {
        if !isWaiting { tell(.waits(seconds: wait_s)) }
        isWaiting = true
      } else if offer.presence.open {
        if isAsked { tell(.buttonSeen) }
        return
      } else {
        if !isAsked { tell(.pressButton(within_s: Int(max(0, end_s - secondsNow())))) }
        isAsked = true
      }
      guard secondsNow() < end_s else {
        throw OperatorError("button-not-pressed", "nobody pressed the button of \(endpoint) within \(patience.button_s) s; claim it again, and press it then")
      }
      try await patience.pause(ms: patience.poll_ms)
    }
  }
}
