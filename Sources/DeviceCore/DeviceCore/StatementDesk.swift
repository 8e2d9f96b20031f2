import Crypto
import Foundations
import LocalAPI
import SupervisorLink

/// Passes the owner's statements on to the supervisor. It looks at their form only: whether they count is not for the runtime to say.
struct StatementDesk: Sendable {
  let supervisor: SupervisorClient

  /// The code of the problem that another owner is pinned.
  static let ownerNotPinned = "owner-not-pinned"

  /// Tells the supervisor who the owner is.
  func pin(_ owner: Certificate, of device: DeviceIdentifier) async throws(Problem) {
    guard owner.der.count <= SignedStatement.certificateMaximum_bytes else {
      throw .unprocessable(
        "owner-too-large", "An owner CA's certificate has at most \(SignedStatement.certificateMaximum_bytes) bytes here, not \(owner.der.count).",
        field: "ownerCertificate")
    }
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      // It is durable before it is answered.
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.statementDeadline_ms) {
        .pinOwner(request: $0, device: Foundations.bytes(hexadecimal: device.text) ?? [], certificate: owner.der)
      }
    } catch {
      throw .unavailable("The owner could not be pinned: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .notKept: throw .unavailable("The owner could not be made durable; the log tells why. Try again in a while.")
    case .busy: throw .restarting
    default: throw .conflict(Self.ownerNotPinned, "The supervisor has another owner pinned, which only a wipe ends.")
    }
  }

  /// Asks whether the device may be wiped by its label. The supervisor has seen the button itself; it restarts the machine soon after.
  func askForWipe() async throws(Problem) {
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      // It is recorded and written down, by workers, before it is allowed.
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.commitDeadline_ms) { .allowWipe(request: $0) }
    } catch {
      throw .unavailable("The supervisor could not be asked for a wipe: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .notPermitted: throw .presenceNeeded("The supervisor has not seen the device's button pressed lately; press it and claim the device again.")
    case .notInThisGrade:
      throw .conflict("not-in-this-grade", "A quarantine of this start of the machine is its owner's to end; after a restart the label and the button wipe it.")
    default: throw .unavailable("The supervisor did not allow a wipe: \(outcome).")
    }
  }

  /// Asks to have the storage made anew. The supervisor has seen the button itself; it restarts the machine soon after.
  func askForRemake() async throws(Problem) {
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.remakeDeadline_ms) { .remakeStorage(request: $0) }
    } catch {
      throw .unavailable("The supervisor could not be asked for a new storage: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .notPermitted: throw .presenceNeeded("Press the device's button, and ask again within a minute: nobody makes its storage anew from afar.")
    case .notInThisGrade: throw .conflict("not-in-this-grade", "The device is in quarantine; restart it and ask again.")
    case .busy: throw .conflict("life-cycle-busy", "The storage is being made anew already, or the device restarts.")
    case .refused: throw Device.storageIsWhole
    default: throw .unavailable("The storage could not be made anew; the log tells why. It is as damaged as before, or more, and may be tried again.")
    }
  }

  /// Refuses what the supervisor would refuse in any case: for an order that something is done for before it is sent.
  func check(_ kind: StatementKind, _ request: some SignedRequest, body: [UInt8], newest: GradeReport) throws(Problem) {
    let statement = try statement(kind, request, body: body)
    guard statement.event == newest.event, statement.nonce == newest.nonce else { throw Self.stale }
  }

  private static var stale: Problem {
    .conflict("statement-stale", "The statement is about another event or nonce than the newest: read GET /v1/guard again and sign anew.")
  }

  /// Sends a statement, and returns once the supervisor has carried it out.
  func send(_ kind: StatementKind, _ request: some SignedRequest, body: [UInt8]) async throws(Problem) {
    let statement = try statement(kind, request, body: body)
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      outcome = try await supervisor.request(
        deadline_ms: Self.isRecorded(kind) ? SupervisorClient.commitDeadline_ms : SupervisorClient.statementDeadline_ms
      ) { .statement(request: $0, statement) }
    } catch {
      throw .unavailable("The statement could not be passed on: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .stale: throw Self.stale
    case .notPermitted:
      throw .unprocessable(
        "statement-refused", "The statement is not signed by an admin of this device's owner, with a certificate that is valid now.",
        field: "signature")
    case .busy: throw .tooManyRequests("Another statement is being checked; try again in a second.")
    case .notInThisGrade: throw .conflict("not-in-this-grade", "The device's grade does not allow it.")
    case .refused, .unknownName: throw .unprocessable("statement-refused", "What the statement orders makes no sense here.", field: "signature")
    case .failed: throw .unavailable("The statement could not be checked; the log tells why.")
    case .notKept:
      throw .unavailable("It is carried out, and could not be made durable: a restart of the machine would forget it. The log tells why; say it again later.")
    }
  }

  /// Whether it is recorded where the identity is kept, which takes longer.
  private static func isRecorded(_ kind: StatementKind) -> Bool {
    switch kind {
    case .transfer, .setRecoveryKey, .removeRecoveryKey: true
    case .release, .bindCloud, .setPeers, .setDiscovery: false
    }
  }

  private func statement(_ kind: StatementKind, _ request: some SignedRequest, body: [UInt8]) throws(Problem) -> SignedStatement {
    guard let nonce = bytes(hexadecimal: request.nonce), nonce.count == GradeReport.nonce_bytes else {
      throw .unprocessable("nonce-invalid", "nonce must be the \(GradeReport.nonce_bytes * 2) hexadecimal digits of GET /v1/guard.", field: "nonce")
    }
    guard let signature = bytes(hexadecimal: request.signature), !signature.isEmpty else {
      throw .unprocessable("signature-invalid", "signature must be hexadecimal digits.", field: "signature")
    }
    let certificate: Certificate
    do {
      certificate = try Certificate(pem: request.certificate)
    } catch {
      throw .unprocessable("certificate-malformed", "certificate is not what it should be, one certificate in PEM: \(error.reason).", field: "certificate")
    }
    let statement = SignedStatement(
      kind: kind, event: request.event, nonce: nonce, body: body, certificate: certificate.der, signature: signature)
    guard let statement else {
      throw .unprocessable(
        "statement-too-large",
        "A certificate has at most \(SignedStatement.certificateMaximum_bytes) bytes here, a signature \(SignedStatement.signatureMaximum_bytes).",
        field: "certificate")
    }
    return statement
  }
}
