internal import Crypto
internal import Foundations
internal import Identity

/// Signs an owner's statements with an admin's own key, each for the event that the device names.
struct StatementSigner: Sendable {
  private let certificate: Certificate
  private let key: PrivateKey

  /// - Parameter purpose: what only an admin may do, for the error: `release a device`.
  /// - Throws: `not-permitted` where `credential` is no admin's of `owner`, before anything is sent.
  init(_ credential: Credential, owner: OwnerIdentifier, purpose: String) throws(OperatorError) {
    guard let certificate = credential.chain.first, let key = credential.key else {
      throw OperatorError("not-permitted", "only an admin may \(purpose), and there is no certificate")
    }
    let person: CallerIdentity
    do {
      person = try PersonProfile.check(certificate, owner: owner)
    } catch {
      throw OperatorError("file-malformed", "\(credential.name) is not the certificate of a person of owner \(owner)", cause: error)
    }
    guard case .person(_, _, .admin) = person else {
      throw OperatorError(
        "not-permitted",
        "only an admin may \(purpose), and you are \(person); say who you are with --as NAME (see: haechi member list)")
    }
    self.certificate = certificate
    self.key = key
  }

  /// The device's newest event.
  func state(_ client: DeviceClient) async throws(OperatorError) -> GuardState {
    try await orTooOld { () throws(OperatorError) in try await client.guardState() }
  }

  /// Signs for the event of `first` and sends; once more, for the newest, where that event was over before the statement arrived.
  ///
  /// - Returns: the event that was signed for, and the device's answer.
  func order<Answer>(
    _ kind: UInt8, body: [UInt8] = [], from first: GuardState, over client: DeviceClient, to device: DeviceIdentifier,
    send: (StatementProof) async throws(OperatorError) -> Answer
  ) async throws(OperatorError) -> (state: GuardState, answer: Answer) {
    try await order(kind, from: first, over: client, to: device, body: { _ throws(OperatorError) in body }) {
      (proof, _) throws(OperatorError) in try await send(proof)
    }
  }

  /// As above, with a body that is made anew for each event.
  func order<Answer>(
    _ kind: UInt8, from first: GuardState, over client: DeviceClient, to device: DeviceIdentifier,
    body: (GuardState) async throws(OperatorError) -> [UInt8], send: (StatementProof, [UInt8]) async throws(OperatorError) -> Answer
  ) async throws(OperatorError) -> (state: GuardState, answer: Answer) {
    do throws(OperatorError) {
      let bytes = try await body(first)
      return (first, try await send(try proof(kind, body: bytes, device, first, client), bytes))
    } catch {
      guard error.refusal?.problem == staleStatement else { throw error }
    }
    let newest = try await state(client)
    let bytes = try await body(newest)
    return (newest, try await send(try proof(kind, body: bytes, device, newest, client), bytes))
  }

  private func proof(
    _ kind: UInt8, body: [UInt8], _ device: DeviceIdentifier, _ state: GuardState, _ client: DeviceClient
  ) throws(OperatorError) -> StatementProof {
    guard let nonce = bytes(hexadecimal: state.nonce),
      let statement = OwnerStatement(kind: kind, device: device, event: state.event, nonce: nonce, body: body)
    else {
      throw OperatorError(
        "bad-answer",
        "the field 'nonce' that \(client.connection.endpoint) sent is not \(2 * OwnerStatement.nonce_bytes) hexadecimal digits; nothing was signed")
    }
    do {
      let signature = try statement.sign(with: key)
      return StatementProof(event: state.event, nonce: state.nonce, certificate: certificate.pem, signature: hexadecimal(signature))
    } catch {
      throw OperatorError("bad-argument", "the statement could not be signed", cause: error)
    }
  }
}

/// Runs `body`, which asks for `/v1/guard`, `/v1/cloud` or the list of events, and says what their absence means.
private func orTooOld<Value>(_ body: () async throws(OperatorError) -> Value) async throws(OperatorError) -> Value {
  do throws(OperatorError) {
    return try await body()
  } catch {
    // 406: an older device has events as a stream only.
    guard let status = error.refusal?.status, status == 404 || status == 406 else { throw error }
    throw OperatorError(
      error.code, "the device's firmware is older than this haechi: it has no guard, no cloud link and no list of events", refusal: error.refusal)
  }
}

extension OwnedDevice {
  /// The device's grade.
  ///
  /// - Throws: what the connection throws; `refused-by-device`, saying so, where the firmware is too old to have one.
  public func guardState() async throws(OperatorError) -> GuardState {
    try await with { (client) throws(OperatorError) in try await orTooOld { () throws(OperatorError) in try await client.guardState() } }
  }

  /// How the device's connection to its broker is.
  ///
  /// - Throws: as `guardState`.
  public func cloudState() async throws(OperatorError) -> CloudState {
    try await with { (client) throws(OperatorError) in try await orTooOld { () throws(OperatorError) in try await client.cloudState() } }
  }

  /// The events that the device still has.
  ///
  /// - Throws: as `guardState`.
  public func events() async throws(OperatorError) -> EventPage {
    try await with { (client) throws(OperatorError) in try await orTooOld { () throws(OperatorError) in try await client.events() } }
  }
}
