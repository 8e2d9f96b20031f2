import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// What happens is noted, and written by a worker: nothing here waits for it, nothing is lost by it, and nobody floods it.
@Suite("The supervisor's part in the audit log")
struct AuditTests {
  private let rig = Rig()
  private let device: [UInt8] = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99]

  private func words(_ event: AuditEvent) -> [String] { event.values.compactMap { if case .word(let word) = $0 { word.text } else { nil } } }
  private func kinds() -> [AuditEvent.Kind] { rig.audit.events.map(\.kind) }
  private func answer(to request: UInt32) -> RequestOutcome? {
    rig.host.heard.compactMap { if case .answer(request, let outcome) = $0 { outcome } else { nil } }.last
  }

  private func boot() {
    #expect(rig.supervisor.boot() == .goOn)
    rig.host.say(.audit(device: device, AuditEvent(.serving, .word(AuditWord("owned")))))
    rig.run(for: 5_000_000)
  }

  @Test func aBootIsOneAppendAfterTheStart() {
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 1_000_000)
    #expect(rig.audit.batches.isEmpty)
    rig.host.say(.audit(device: device, AuditEvent(.serving, .word(AuditWord("owned")))))
    rig.run(for: 4_000_000)
    #expect(rig.audit.batches.count == 1)
    #expect(kinds() == [.boot, .runtimeStarted, .serving])
    #expect(rig.audit.batches.first?.device == device && rig.audit.batches.first?.owner == [])
    let times = rig.audit.batches[0].entries.map(\.at_us)
    #expect(times == times.sorted() && times[0] < rig.host.now)
  }

  @Test func whatTheOwnerAndTheRuntimeDoIsThere() {
    boot()
    rig.host.say(.pinOwner(request: 1, device: device, certificate: [0x30]))
    rig.run(for: 3_000_000)
    #expect(kinds().contains(.ownerPinned))
    rig.host.say(.revocations(request: 2, [1, 2]))
    rig.turn { answer(to: 2) != nil }
    rig.host.crash(.killed(signal: 11))
    rig.run(for: 5_000_000)
    #expect(rig.audit.batches.last?.owner == [0x30])
    #expect(kinds().contains(.revocations))
    #expect(rig.audit.events(.runtimeEnded) == [AuditEvent(.runtimeEnded, .word(AuditWord("killed")), .number(11))])
    #expect(rig.audit.events(.runtimeStarted).last.map(words) == ["ended"])
  }

  @Test func aQuarantineIsWrittenAtOnceAndSigned() throws {
    boot()
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    rig.turn(most: 3) { rig.audit.events(.grade).count == 1 }
    #expect(rig.audit.events(.grade).first.map(words) == ["quarantined", "crash-loop"])
    #expect(rig.audit.batches.last?.isSigned == true)
  }

  @Test func statementsAreThereWhetherTheyCountOrNot() throws {
    boot()
    rig.host.say(.pinOwner(request: 1, device: device, certificate: [0x30]))
    rig.turn(most: 5) { answer(to: 1) != nil }
    for (request, signature) in [(UInt32(2), [UInt8(2)]), (3, [1])] {
      let report = rig.supervisor.guardState
      let statement = try #require(
        SignedStatement(kind: .release, event: report.event, nonce: report.nonce, body: [], certificate: [0x30], signature: signature))
      rig.host.say(.statement(request: request, statement))
      rig.turn(most: 20) { answer(to: request) != nil }
    }
    rig.run(for: 5_000_000)
    #expect(rig.audit.events(.statementRefused).map(words) == [["release"]])
    #expect(rig.audit.events(.statementAccepted).map(words) == [["release"]])
  }

  private func pressAndWipe() {
    rig.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: rig.host.now)]
    rig.turn(most: 20) { rig.board.fakeGpio.events.isEmpty }
    rig.host.say(.allowWipe(request: 7))
  }

  @Test func aWipeIsAnsweredOnceTheLogHasForgotten() {
    boot()
    rig.host.say(.pinOwner(request: 1, device: device, certificate: [0x30]))
    rig.turn(most: 5) { answer(to: 1) != nil }
    pressAndWipe()
    rig.turn(most: 20) { answer(to: 7) != nil }
    #expect(answer(to: 7) == .done)
    #expect(rig.audit.events(.wiped).map(words) == [["label"]])
    // Nothing is sealed for the owner before any more.
    #expect(rig.audit.batches.last?.owner == [] && rig.audit.batches.last?.isSigned == true)
  }

  @Test func aLogThatCannotBeWrittenStopsNoWipeAndNeitherDoesOneThatHangs() {
    // So that no worker but the log's has a part in it.
    rig.board.fakeStorage.facts = StorageFacts(state: .volatile, reason: "in memory")
    boot()
    rig.host.workerRuns = false
    pressAndWipe()
    rig.turn(most: 4) { answer(to: 7) != nil }
    #expect(answer(to: 7) == nil)
    let asked_us = rig.host.now
    rig.turn(most: 60) { answer(to: 7) != nil }
    #expect(answer(to: 7) == .done && rig.host.now - asked_us <= rig.supervisor.limits.audit_us + 2_000_000)
    // The runtime has all its time from then on.
    let allowed_us = rig.host.now
    #expect(rig.run(for: 20_000_000) == .restart(reason: "the device is wiped"))
    #expect(rig.host.now - allowed_us >= rig.supervisor.limits.wipe_us)
  }

  /// Two at once would write over each other, and one that is left keeps a volume that is to be wiped.
  @Test func aWorkerThatHangsIsEndedBeforeTheLastEntriesAreWritten() {
    boot()
    rig.turn(most: 40) { rig.supervisor.audit.entries.isEmpty && !rig.supervisor.workers.values.contains { $0.job.isAudit } }
    rig.host.workerRuns = false
    rig.supervisor.note(AuditEvent(.revocations), isUrgent: true)
    rig.turn(most: 20) { rig.supervisor.workers.values.contains { $0.job.isAudit } }
    rig.host.workerRuns = true
    rig.journal.clear()
    #expect(rig.audit.events(.revocations).isEmpty)
    rig.supervisor.shutDown(.powerOff)
    #expect(rig.journal.entries.contains("kill worker"))
    #expect(rig.audit.events(.revocations).count == 1 && rig.audit.events(.shutdown).count == 1)
  }

  @Test func anExportIsAnsweredWhenItIsSigned() {
    boot()
    rig.host.say(.exportAudit(request: 9))
    rig.turn(most: 20) { answer(to: 9) != nil }
    #expect(answer(to: 9) == .done)
    #expect(rig.audit.events.last?.kind == .exported && rig.audit.batches.last?.isSigned == true)
    rig.audit.outcome = .failed("no space")
    rig.host.say(.exportAudit(request: 10))
    rig.turn(most: 20) { answer(to: 10) != nil }
    #expect(answer(to: 10) == .failed)
  }

  @Test func whatCannotBeWrittenIsTriedAgainAndCounted() {
    rig.audit.outcome = .failed("no space")
    boot()
    #expect(rig.audit.batches.isEmpty)
    let said = rig.board.fakeConsole.lines.filter { $0.contains("the audit log cannot be written: no space") }
    #expect(said.count == 1)
    for _ in 0..<300 { rig.supervisor.note(AuditEvent(.ownerPinned)) }
    rig.audit.outcome = .appended
    rig.run(for: 40_000_000)
    #expect(Array(kinds().prefix(3)) == [.boot, .runtimeStarted, .serving])
    #expect(rig.audit.events(.unwritable).count == 1)
    guard case .number(let count)? = rig.audit.events(.withheld).first?.values.first else {
      Issue.record("no entry says how many had no room")
      return
    }
    #expect(count > 150 && count < 300)
  }

  @Test func aRuntimeThatFloodsIsHeldBackAndTheRestIsNot() {
    boot()
    for _ in 0..<200 { rig.host.say(.audit(device: device, AuditEvent(.claimRefused, .number(1)))) }
    rig.run(for: 5_000_000)
    #expect(rig.audit.events(.claimRefused).count <= 40)
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    rig.turn(most: 3) { rig.audit.events(.grade).count == 1 }
    #expect(rig.audit.events(.grade).count == 1 && rig.audit.events(.withheld).count == 1)
  }

  @Test func aNewLogWaitsForItsName() {
    rig.audit.outcome = .nameless
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 10_000_000)
    #expect(rig.audit.batches.isEmpty && !rig.board.fakeConsole.lines.contains { $0.contains("audit log cannot") })
    rig.audit.outcome = .appended
    rig.host.say(.audit(device: device, AuditEvent(.serving, .word(AuditWord("blank")))))
    rig.run(for: 5_000_000)
    #expect(kinds() == [.boot, .runtimeStarted, .serving])
    // The first that is told counts.
    rig.host.say(.audit(device: [UInt8](repeating: 9, count: 10), AuditEvent(.claimed)))
    rig.run(for: 5_000_000)
    #expect(rig.audit.batches.last?.device == device)
  }

  @Test func theEndIsTheLastEntry() {
    boot()
    rig.host.endRequested = true
    let verdict = rig.turn { false }
    #expect(verdict == .powerOff)
    rig.supervisor.shutDown(verdict)
    #expect(rig.audit.events.last == AuditEvent(.shutdown, .word(AuditWord("power-off"))))
    #expect(rig.audit.batches.last?.isSigned == true)
  }

  @Test func afterFailuresTheEndIsWrittenWithTheirCount() {
    rig.audit.outcome = .failed("no space")
    boot()
    rig.audit.outcome = .appended
    rig.host.endRequested = true
    rig.supervisor.shutDown(rig.turn { false })
    #expect(rig.audit.events(.unwritable).count == 1 && rig.audit.events.last?.kind == .shutdown)
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("shutdown audit-log: done") })
  }
}
