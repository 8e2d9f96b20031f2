import Crypto
import Foundations
import Identity
import LocalAPI
import SupervisorLink

/// Passes on what the owner wants of the disk's recovery key. The key itself goes past it sealed: only the supervisor opens it.
struct RecoveryDesk: Sendable {
  let hub: DeviceHub
  let supervisor: SupervisorClient
  let statements: StatementDesk

  func document() -> RecoveryKeyDocument {
    let facts = hub.facts
    let key = facts.storage.recoveryKey
    return RecoveryKeyDocument(
      state: key == nil ? .none : .inForce, fingerprint: key.map { hexadecimal($0.fingerprint) }, orderedAt: key.map { rfc3339($0.ordered_s) },
      pending: facts.recoveryWish)
  }

  /// A key of the supervisor's that the next recovery key is to be sealed to.
  func offer() async throws(Problem) -> RecoveryOfferDocument {
    try checkStorage()
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.statementDeadline_ms) { .recoveryOffer(request: $0) }
    } catch {
      throw .unavailable("The supervisor could not be asked for a key: \(error.reason).")
    }
    switch outcome {
    case .done: return RecoveryOfferDocument(publicKey: hexadecimal(hub.facts.recoveryOffer))
    case .busy: throw .tooManyRequests("Another order about the recovery key is under way, or the machine restarts for one; try again in a minute.")
    default: throw .unavailable("The supervisor gave no key: \(outcome); the log tells why.")
    }
  }

  func set(_ request: RecoveryKeyRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    try checkStorage()
    guard let sealed = bytes(hexadecimal: request.sealedKey), sealed.count == RecoveryKey.sealed_bytes else {
      throw .unprocessable(
        "sealed-key-invalid", "sealedKey must be \(2 * RecoveryKey.sealed_bytes) hexadecimal digits: a recovery key, sealed to what the device offered.",
        field: "sealedKey")
    }
    try await statements.send(.setRecoveryKey, request, body: sealed)
    return ordered(.set, caller)
  }

  func remove(_ request: StatementRequest, caller: String) async throws(Problem) -> RecoveryKeyDocument {
    try checkStorage()
    try await statements.send(.removeRecoveryKey, request, body: [])
    return ordered(.remove, caller)
  }

  private func ordered(_ wish: RecoveryKeyDocument.Wish, _ caller: String) -> RecoveryKeyDocument {
    hub.update { $0.recoveryWish = wish }
    hub.log.append(.notice, source: "core", "\(caller) ordered a recovery key to be \(wish == .set ? "set" : "removed"); the machine restarts for it")
    return document()
  }

  private func checkStorage() throws(Problem) {
    let storage = hub.facts.storage
    guard storage.state == .open else {
      throw .conflict("storage-not-encrypted", "This device has no encrypted storage open that a recovery key could be for: \(storage.reason).")
    }
  }
}
