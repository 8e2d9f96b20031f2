import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Runtimes that end, hang and come back")
struct RestartTests {
  /// Seven seconds: `ready`, then heartbeats for more than the five that make it settled.
  private let settle_us: UInt64 = 7_000_000

  @Test("killed 100 times after it settled it always returns; then three times at once reaches the ceiling, and outputs stay safe")
  func ceiling() throws {
    let rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    for _ in 0..<100 {
      #expect(rig.run(for: settle_us) == .goOn)
      try #require(rig.isAlive)
      try rig.board.fakeGpio.set("relay", to: true)
      rig.host.crash(.killed(signal: 9))
      rig.journal.clear()
      #expect(rig.supervisor.turn() == .goOn)
      // Safe within one turn, and before the next start.
      #expect(rig.journal.entries == ["safe", "start"])
      #expect(rig.board.fakeGpio.areOutputsSafe)
    }
    #expect(rig.supervisor.startCount == 101)

    // Faster than it settles: three times lead to quarantine, three more to a machine that starts anew.
    var verdict = Supervisor.Verdict.goOn
    for number in 1...6 {
      rig.turn { rig.isAlive }
      try #require(rig.isAlive)
      rig.host.crash(.killed(signal: 9))
      #expect(verdict == .goOn)
      verdict = rig.supervisor.turn()
      #expect(rig.supervisor.guardState.grade == (number < 3 ? .normal : .quarantined))
    }
    guard case .restart(let reason) = verdict else {
      Issue.record("no restart but \(verdict)")
      return
    }
    #expect(reason.contains("3 runtimes in a row"))
    #expect(rig.board.fakeGpio.areOutputsSafe)
    #expect(!rig.isAlive)
    rig.journal.clear()
    rig.supervisor.shutDown(verdict)
    #expect(rig.journal.entries == ["safe", "safe"])
  }

  @Test("two quick ends and one that settled clear the count")
  func clears() throws {
    let rig = Rig()
    _ = rig.supervisor.boot()
    for _ in 0..<20 {
      for _ in 0..<2 {
        rig.turn { rig.isAlive }
        rig.host.crash()
        #expect(rig.supervisor.turn() == .goOn)
      }
      rig.turn { rig.isAlive }
      #expect(rig.run(for: settle_us) == .goOn)
    }
  }

  @Test("starts are at least a second apart")
  func floor() {
    var limits = SupervisorLimits()
    limits.ceiling = 1_000
    let rig = Rig(limits: limits)
    _ = rig.supervisor.boot()
    for _ in 0..<50 {
      rig.turn { rig.isAlive }
      rig.host.crash(.exited(code: 1))
      _ = rig.supervisor.turn()
    }
    let pauses = zip(rig.host.startTimes.dropFirst(), rig.host.startTimes).map { $0 - $1 }
    #expect(pauses.count >= 49)
    #expect(pauses.allSatisfy { $0 >= limits.restartFloor_us })
  }

  @Test("one that freezes: outputs safe first, then killed, then a fresh one that hears why")
  func frozen() throws {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    try rig.board.fakeGpio.set("relay", to: true)
    rig.journal.clear()
    rig.host.isHealthy = false
    let frozenAt = rig.host.now
    rig.turn { rig.journal.entries.contains("kill") }
    // Five seconds after its last heartbeat, which was up to one second before.
    #expect((4_000_000...5_500_000).contains(rig.host.now - frozenAt))
    #expect(rig.journal.entries.prefix(2) == ["safe", "kill"])
    rig.host.isHealthy = true
    rig.turn { rig.isAlive }
    #expect(rig.host.heard.first == .started(count: 2, cause: .hung))
    #expect(rig.board.fakeGpio.areOutputsSafe)
  }

  @Test("a machine that stood still blames nobody for it, and a runtime that is silent afterwards is killed") func standstill() throws {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    let process = try #require(rig.host.runtime)
    for _ in 0..<3 {
      // It cannot send before it has a processor again.
      rig.host.isHealthy = false
      rig.host.now += 12_000_000
      #expect(rig.supervisor.turn() == .goOn)
      #expect(rig.host.runtime == process)
      rig.host.isHealthy = true
      rig.run(for: settle_us)
    }
    #expect(rig.host.runtime == process && rig.supervisor.startCount == 1)
    rig.host.isHealthy = false
    rig.host.now += 12_000_000
    rig.run(for: 4_000_000)
    #expect(rig.host.runtime == process)
    rig.turn(most: 10) { rig.host.runtime != process }
    #expect(rig.host.runtime != process)
  }

  @Test("a runtime that gives no sign between two standstills is not forgiven twice") func standstillTwice() throws {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    let process = try #require(rig.host.runtime)
    rig.host.isHealthy = false
    rig.host.now += 12_000_000
    #expect(rig.supervisor.turn() == .goOn)
    #expect(rig.host.runtime == process)
    rig.host.now += 12_000_000
    rig.turn(most: 2) { rig.host.runtime != process }
    #expect(rig.host.runtime != process)
  }

  @Test("a start and a worker have as much time on a machine that stood still") func standstillAtStart() throws {
    let rig = Rig()
    rig.host.isHealthy = false
    rig.host.workerRuns = false
    _ = rig.supervisor.boot()
    rig.turn { rig.isAlive }
    let (process, workers) = (try #require(rig.host.runtime), rig.supervisor.workers.count)
    try #require(workers > 0)
    rig.host.now += 60_000_000
    #expect(rig.supervisor.turn() == .goOn)
    #expect(rig.host.runtime == process && rig.supervisor.workers.count == workers)
    rig.run(for: rig.supervisor.limits.startTimeout_us + 1_000_000)
    #expect(rig.host.runtime != process)
  }

  @Test("one that says it serves and freezes before its first heartbeat is killed as well")
  func frozenAtOnce() {
    let rig = Rig()
    rig.host.isHealthy = false
    _ = rig.supervisor.boot()
    rig.host.say(.ready)
    rig.run(for: 4_000_000)
    #expect(!rig.journal.entries.contains("kill"))
    rig.turn { rig.journal.entries.contains("kill") }
    rig.host.isHealthy = true
    rig.turn { rig.isAlive }
    #expect(rig.host.heard.first == .started(count: 2, cause: .hung))
  }

  @Test("one that never says it serves is killed; three of them quarantine the device, three more restart the machine")
  func neverReady() {
    let rig = Rig()
    rig.host.isHealthy = false
    _ = rig.supervisor.boot()
    var verdict = Supervisor.Verdict.goOn
    for _ in 0..<10 where verdict == .goOn { verdict = rig.run(for: 20_000_000) }
    guard case .restart = verdict else {
      Issue.record("no restart but \(verdict)")
      return
    }
    #expect(rig.supervisor.startCount == 6)
  }

  @Test("a sandbox violation is told to the next runtime, and in the log")
  func violation() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    rig.host.crash(.killed(signal: 31))
    rig.turn { rig.isAlive && rig.host.heard.count > 3 }
    #expect(rig.host.heard.first == .started(count: 2, cause: .violation))
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("system call that its sandbox forbids") })
  }

  @Test("a process that outlives SIGKILL restarts the machine, and the watchdog is not fed meanwhile for ever")
  func unkillable() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    rig.host.survivesKill = true
    rig.host.isHealthy = false
    guard case .restart(let reason) = rig.run(for: 60_000_000) else {
      Issue.record("no restart")
      return
    }
    #expect(reason.contains("outlives SIGKILL"))
    #expect(rig.board.fakeGpio.areOutputsSafe)
  }

  @Test("a start that fails is tried again after the floor, and counts")
  func startFails() {
    let rig = Rig()
    rig.host.startFails = true
    #expect(rig.supervisor.boot() == .goOn)
    guard case .restart = rig.run(for: 10_000_000) else {
      Issue.record("no restart")
      return
    }
    #expect(rig.host.startTimes.count == 6)
  }

  @Test("one that closes its link and stays is killed for it")
  func closedLink() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    rig.host.inbox = [.closed]
    rig.journal.clear()
    _ = rig.supervisor.turn()
    #expect(rig.journal.entries == ["safe"])
    rig.turn { rig.journal.entries.contains("kill") }
    rig.turn { rig.isAlive && !rig.host.heard.isEmpty }
    #expect(rig.host.heard.first == .started(count: 2, cause: .violation))
  }

  @Test("one whose link ends a moment before it can be reaped has ended by itself, by SIGKILL too")
  func closedLinkOfTheDead() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    rig.host.inbox = [.closed]
    rig.journal.clear()
    _ = rig.supervisor.turn()
    #expect(rig.journal.entries == ["safe"])
    rig.host.crash(.killed(signal: 9))
    rig.turn { rig.isAlive && !rig.host.heard.isEmpty }
    #expect(rig.host.heard.first == .started(count: 2, cause: .ended))
    #expect(!rig.journal.entries.contains("kill"))
  }

  @Test("what a dead runtime still asked for is not done; what it still said is kept for the next")
  func lastWords() throws {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: settle_us)
    let relay = try #require(ShortName("relay"))
    rig.host.say(.setOutput(request: 1, name: relay, value: true))
    rig.host.say(.log(level: .error, source: relay, text: "crashed by signal 11"))
    rig.host.crash()
    _ = rig.supervisor.turn()
    #expect(rig.board.fakeGpio.areOutputsSafe)
    rig.turn { rig.isAlive && rig.host.heard.count > 5 }
    let lines = rig.host.heard.compactMap { if case .log(.error, _, let text) = $0 { text } else { nil } }
    #expect(lines.contains("relay: crashed by signal 11"))
  }
}
