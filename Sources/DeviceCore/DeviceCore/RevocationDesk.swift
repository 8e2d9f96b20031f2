import Crypto
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink

/// Takes the owner's revocation lists, each longer than the one before, keeps the newest, tells the supervisor, and has every open connection judged
/// by it at once.
final class RevocationDesk: Sendable {
  private let device: Device
  /// The folder that a wipe empties.
  private let folder: PrivateFolder
  private let supervisor: SupervisorClient
  private let log: DeviceLog
  private struct State {
    /// One list at a time.
    var isChanging = false
    /// The present list counts, and could not be written.
    var isUnkept = false
  }
  private let state = NIOLockedValueBox(State())
  private let changed = NIOLockedValueBox<(@Sendable () -> Void)?>(nil)

  private static let file = "revocations.pem"
  /// PEM is a third longer than the list itself.
  private static let fileMaximum_bytes = CertificateRevocationList.maximumDERBytes * 2

  /// Reads what the owner sent before.
  init(device: Device, folder: PrivateFolder, supervisor: SupervisorClient, log: DeviceLog) {
    self.device = device
    self.folder = folder
    self.supervisor = supervisor
    self.log = log
    guard let owner = device.owner else { return }
    do {
      guard let bytes = try folder.read(Self.file, maximum_bytes: Self.fileMaximum_bytes) else { return }
      let list = try CertificateRevocationList(pem: String(decoding: bytes, as: UTF8.self))
      try OwnerRevocations.check(list, owner: owner, after: nil)
      device.revocations.become(.list(list))
    } catch {
      device.revocations.become(.unreadable("\(error)"))
      let file = folder.path + "/" + Self.file
      log.append(.error, source: "core", "\(file) cannot be read, so nobody of the owner is let in; wipe the device and claim it again: \(error)")
    }
  }

  /// Calls `handler`, which must not wait, after each new list.
  func onChange(_ handler: @escaping @Sendable () -> Void) { changed.withLockedValue { $0 = handler } }

  func document() -> RevocationsDocument {
    let list = device.revocations.list
    return RevocationsDocument(number: list?.number ?? 0, revoked: list?.revoked.map(\.serial.description) ?? [])
  }

  /// The device has another owner, or none: whom the one before withdrew means nothing any more.
  func ownerChanged() {
    if let owner = device.owner, let list = device.revocations.list, list.refusal(issuer: owner) == nil { return }
    state.withLockedValue { $0.isUnkept = false }
    device.revocations.become(.none)
  }

  /// Tells a supervisor that was started anew with the device's state; one that knows the list takes it again.
  func pin() async {
    guard let list = device.revocations.list else { return }
    do throws(Problem) {
      try await pin(list)
    } catch {
      log.append(.error, source: "guard", error.detail)
    }
  }

  func put(_ request: RevocationsRequest, caller: String, serial: String?) async throws(Problem) -> RevocationsDocument {
    let begins = state.withLockedValue { state in
      defer { state.isChanging = true }
      return !state.isChanging
    }
    guard begins else { throw .tooManyRequests("Another list is being taken; try again in a second.") }
    defer { state.withLockedValue { $0.isChanging = false } }
    let owner = device.owner
    let list = try check(request.list, serial: serial)
    // The supervisor first: one that knows more than the runtime harms nobody, and the same list is taken again.
    try await pin(list)
    guard list != device.revocations.list || state.withLockedValue({ $0.isUnkept }) else { return document() }
    // A wipe may have come in between: nothing of this owner's is written after it.
    try device.beginOwned(by: owner)
    defer { device.end() }
    let written = Result { try folder.replace(Self.file, with: Array(list.pem.utf8)) }
    // Whom the owner withdraws is out at once, whatever the storage does.
    device.revocations.become(.list(list))
    log.append(.notice, source: "core", "\(caller) brought revocation list \(list.number): \(list.revoked.count) certificates are withdrawn")
    changed.withLockedValue { $0 }?()
    if case .failure(let error) = written {
      state.withLockedValue { $0.isUnkept = true }
      log.append(.error, source: "core", "the revocation list could not be written: \(error)")
      throw .notKept(error, "The list counts now, and could not be written: after the device's next start the one before would count. Send it again.")
    }
    state.withLockedValue { $0.isUnkept = false }
    return document()
  }

  private func check(_ pem: String, serial: String?) throws(Problem) -> CertificateRevocationList {
    guard let owner = device.owner else { throw .conflict("life-cycle-state", "The device has no owner whose list this could be.") }
    let list: CertificateRevocationList
    do {
      list = try CertificateRevocationList(pem: pem)
    } catch {
      throw .unprocessable("list-malformed", "list is not what it should be, one revocation list in PEM: \(error.reason).", field: "list")
    }
    let present = device.revocations.list
    if let present, list.number < present.number || (list.number == present.number && list != present) {
      throw .conflict(
        "list-older",
        "The device has list \(present.number) already, and this one is number \(list.number): make the next one from that (GET /v1/revocations).")
    }
    do {
      try OwnerRevocations.check(list, owner: owner, after: present)
    } catch {
      throw .unprocessable("list-refused", "The list is refused: \(error.reason).", field: "list")
    }
    if let serial = serial.flatMap({ CertificateSerial($0) }), list.revokes(serial) {
      throw .conflict(
        "list-withdraws-sender",
        "The list withdraws the very certificate that you show: let another admin send it, or get yourself a new certificate first.")
    }
    return list
  }

  private func pin(_ list: CertificateRevocationList) async throws(Problem) {
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.statementDeadline_ms) { .revocations(request: $0, list.der) }
    } catch {
      throw .unavailable("The supervisor could not be told of the list: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .busy: throw .tooManyRequests("The supervisor is checking another list; try again in a second.")
    case .refused: throw .conflict("list-refused", "The supervisor refuses the list, because it knows a newer one or another owner; the log tells which.")
    case .notKept:
      throw .unavailable("The supervisor believes the list, and could not make it durable; the log tells why. Send it again in a while.")
    default: throw .unavailable("The supervisor could not check the list: \(outcome).")
    }
  }
}
