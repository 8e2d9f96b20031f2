import Audit
import Foundations
import LocalAPI
import NIOConcurrencyHelpers
import NIOPosix
import SupervisorLink

/// The runtime's part in the audit log: it tells the supervisor what it knows, and hands out what the supervisor's workers wrote. It cannot write there.
final class AuditDesk: Sendable {
  /// `audit.json` in the folder that a wipe empties: a new owner begins with an export that is on.
  private struct Stored: Codable {
    var export: Bool
  }
  private static let file = "audit.json"

  private let device: Device
  private let identifier: [UInt8]
  private let folder: PrivateFolder
  private let auditLog: AuditLog?
  private let supervisor: SupervisorClient
  private let threads: NIOThreadPool
  private let log: DeviceLog
  private let isExported: NIOLockedValueBox<Bool>

  /// - Parameters:
  ///   - auditFolder: nil where there is none.
  ///   - threads: for what waits for the medium.
  init(device: Device, folder: PrivateFolder, auditFolder: String?, supervisor: SupervisorClient, threads: NIOThreadPool, log: DeviceLog) {
    self.device = device
    identifier = bytes(hexadecimal: device.identifier.text) ?? []
    self.folder = folder
    auditLog = auditFolder.map { AuditLog(folder: $0) }
    self.supervisor = supervisor
    self.threads = threads
    self.log = log
    var isExported = true
    do {
      isExported = try folder.read(Stored.self, Self.file, as: "the switch of the audit log")?.export ?? true
    } catch {
      // An owner who has switched it off must not find it on.
      isExported = false
      log.append(.error, source: "audit", "whether the audit log may be exported cannot be read, so it is not; switch it anew: \(error)")
    }
    self.isExported = NIOLockedValueBox(isExported)
  }

  /// Tells the supervisor of something that belongs into the log. It is lost where the link is full.
  func note(_ event: AuditEvent) { supervisor.send(.audit(device: identifier, event)) }

  func note(_ claim: ClaimEventDocument) {
    let failures = AuditEvent.Value.number(UInt64(clamping: claim.failures))
    switch claim.outcome {
    case .proofWrong: note(AuditEvent(.claimRefused, failures))
    case .locked: note(AuditEvent(.lockedOut, failures))
    case .claimed: note(AuditEvent(.claimed))
    // The supervisor's own to say.
    case .wiped: break
    }
  }

  /// What a start finds.
  func noteServing(store: ProductStore) {
    let phase =
      switch device.standing.phase {
      case .blank: AuditWord("blank")
      case .provisioned: AuditWord("provisioned")
      case .owned: AuditWord("owned")
      case .damaged: AuditWord("damaged")
      }
    note(AuditEvent(.serving, .word(phase)))
    if store.isDamaged { note(AuditEvent(.storageDamaged, .word(AuditWord("product-data")))) }
    if device.revocations.isUnreadable { note(AuditEvent(.storageDamaged, .word(AuditWord("revocations")))) }
  }

  /// The device has another owner, or none.
  func ownerChanged() { if device.owner == nil { isExported.withLockedValue { $0 = true } } }

  func page(after: UInt64) async throws(Problem) -> AuditDocument {
    guard isExported.withLockedValue({ $0 }) else {
      throw .conflict("audit-export-off", "The owner has switched the export of the audit log off; switch it on with PUT /v1/audit.")
    }
    guard let auditLog else { throw .unavailable("This device keeps no audit log.") }
    if after == 0 { try await sign() }
    let page: AuditLog.Page?
    do {
      page = try await threads.runIfActive { try auditLog.page(after: after) }
    } catch {
      log.append(.error, source: "audit", "\(error)")
      throw .unavailable("The audit log could not be read.")
    }
    guard let page else { throw .notFound("No segment of the audit log begins after entry \(after).") }
    return AuditDocument(anchor: hexadecimal(page.anchor), first: page.first, segment: hexadecimal(page.segment), more: page.hasMore)
  }

  private func sign() async throws(Problem) {
    let outcome: RequestOutcome
    do throws(SupervisorError) {
      // A worker writes and signs before it answers.
      outcome = try await supervisor.request(deadline_ms: SupervisorClient.statementDeadline_ms) { .exportAudit(request: $0) }
    } catch {
      throw .unavailable("The supervisor could not be asked to sign the audit log: \(error.reason).")
    }
    switch outcome {
    case .done: return
    case .busy: throw .tooManyRequests("The audit log is exported too often; try again in a minute.")
    default: throw .unavailable("The audit log could not be written, so it is not signed; the log tells why.")
    }
  }

  func set(_ setting: AuditSetting, caller: String) throws(Problem) -> AuditSetting {
    let owner = device.owner
    // A wipe may come in between: nothing of this owner's is written after it.
    try device.beginOwned(by: owner)
    defer { device.end() }
    do {
      try folder.write(Stored(export: setting.export), Self.file)
    } catch {
      log.append(.error, source: "audit", "the switch of the audit log could not be written: \(error)")
      throw .notKept(error, "The device could not keep the setting, and goes on with the one before; send it again.")
    }
    isExported.withLockedValue { $0 = setting.export }
    note(AuditEvent(.exportSwitched, .word(setting.export ? AuditWord("on") : AuditWord("off"))))
    log.append(.notice, source: "audit", "\(caller) switched the export of the audit log \(setting.export ? "on" : "off")")
    return setting
  }
}
