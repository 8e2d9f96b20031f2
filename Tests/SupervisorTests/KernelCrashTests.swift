import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// What a crashed kernel left is taken by a worker before anything is served; a firmware that hangs or fails costs the records alone.
@Suite("The records of a crashed kernel")
struct KernelCrashTests {
  private let rig = Rig()
  private var lines: [String] { rig.board.fakeConsole.lines }
  private func boot() {
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 10_000_000)
  }

  @Test func theyAreToldAndNoted() throws {
    rig.board.crashRecords = ["Kernel panic - not syncing: Fatal exception", "Internal error: Oops"]
    boot()
    #expect(rig.audit.events(.kernelCrashed) == [AuditEvent(.kernelCrashed, .number(2))])
    #expect(lines.count { $0.contains("the kernel crashed: Kernel panic - not syncing: Fatal exception") } == 1)
    let told = try #require(lines.firstIndex { $0.contains("the kernel crashed: Internal error: Oops") })
    let started = try #require(lines.firstIndex { $0.contains("boot runtime: done") })
    #expect(told < started)
  }

  @Test func noneIsNothingToTell() {
    boot()
    #expect(rig.audit.events(.kernelCrashed) == [] && !lines.contains { $0.contains("the kernel crashed") })
    #expect(lines.contains { $0.contains("boot crash-records: done") })
  }

  @Test func aFirmwareThatHangsCostsTheRecordsAndNotTheDevice() {
    rig.board.crashRecords = ["Kernel panic - not syncing: Fatal exception"]
    // The first one sets the network rules.
    rig.host.hangingWorker = 3
    let before_us = rig.host.now
    let fed = rig.board.fakeWatchdog.feedings
    boot()
    let waited_us = rig.host.now - before_us
    #expect(waited_us >= rig.supervisor.limits.crashRecords_us)
    #expect(rig.board.fakeWatchdog.feedings - fed > Int(waited_us / 10_000_000))
    #expect(rig.journal.entries.contains("kill worker") && rig.isAlive)
    #expect(lines.contains { $0.contains("boot crash-records: failed") })
    let said = "what a crashed kernel left may stay with the firmware until the next boot: its worker gave no answer within 20 s"
    #expect(lines.count { $0.contains(said) } == 1)
    #expect(rig.audit.events(.kernelCrashed) == [])
  }

  @Test func aFirmwareThatFailsIsNamed() {
    rig.board.failsToTakeCrashRecords = true
    boot()
    #expect(rig.isAlive)
    #expect(lines.contains { $0.contains("boot crash-records: failed") && $0.contains("crash-records-failed: opendir: input/output error") })
    #expect(lines.contains { $0.contains("may stay with the firmware until the next boot: crash-records-failed: opendir: input/output error") })
  }

  @Test func manyRecordsAreCountedAndToldAsFarAsThereIsRoom() throws {
    let sentence = String(repeating: "x", count: 96)
    let found = try #require(CrashRecordsAnswer.read(CrashRecordsAnswer.bytes([String](repeating: sentence, count: 256))))
    #expect(found.count == 256 && found.sentences.count == 84 && found.sentences.allSatisfy { $0 == sentence })
    let two = try #require(CrashRecordsAnswer.read(CrashRecordsAnswer.bytes(["one\ntwo", "three"])))
    #expect(two.count == 2 && two.sentences == ["one two", "three"])
    rig.board.crashRecords = [String](repeating: sentence, count: 100)
    boot()
    #expect(rig.audit.events(.kernelCrashed) == [AuditEvent(.kernelCrashed, .number(100))])
    #expect(lines.contains { $0.contains("16 more records are gone untold") })
  }

  @Test func whatIsNoAnswerIsRefused() {
    for bytes in [[], [1], [1, 0], [0, 0, 0], [2, 0, 0], [1, 0, 0, 0x61], [1, 0, 1] + [UInt8](repeating: 0x61, count: 9_000)] as [[UInt8]] {
      #expect(CrashRecordsAnswer.read(bytes) == nil)
    }
    #expect(CrashRecordsAnswer.read([1, 0, 0])?.count == 0)
  }
}
