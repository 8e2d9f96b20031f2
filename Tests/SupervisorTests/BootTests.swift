import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Boot, orderly end and what the runtime is told")
struct BootTests {
  @Test("the first runtime hears why it starts, each phase, each line, the network and the root of trust")
  func greeting() throws {
    let rig = Rig()
    rig.board.earlyPhases = [
      BoardPhase(name: "mount", isEssential: true) { () throws(BoardError) in },
      BoardPhase(name: "shell", isEssential: false) { () throws(BoardError) in throw .skipped("this image has no shell") },
      BoardPhase(name: "optional", isEssential: false) { () throws(BoardError) in throw BoardError(code: "broken", reason: "it broke") },
    ]
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 1_000_000)
    let heard = rig.host.heard
    #expect(heard.first == .started(count: 1, cause: .boot))
    let phases = heard.compactMap { if case .phase(let report) = $0 { report } else { nil } }
    #expect(
      phases.map(\.name.text) == [
        "mount", "shell", "optional", "lines", "watchdog", "security-epoch", "network-policy", "network", "crash-records", "root-of-trust", "storage",
        "beliefs", "runtime",
      ])
    #expect(phases.map(\.outcome) == [.done, .skipped, .failed, .done, .done, .done, .done, .done, .done, .done, .done, .done, .done])
    #expect(phases[1].detail == "this image has no shell")
    #expect(phases[2].detail == "broken: it broke")
    let complete = try #require(heard.firstIndex(of: .phasesComplete))
    #expect(heard[complete - 1] == .phase(phases[12]))
    #expect(heard.contains(.line(name: try #require(ShortName("relay")), isOutput: true, value: false)))
    #expect(heard.contains(.line(name: try #require(ShortName("valve")), isOutput: true, value: true)))
    #expect(heard.contains(.line(name: try #require(ShortName("button")), isOutput: false, value: false)))
    #expect(heard.contains(.link(up: true)))
    #expect(
      heard.contains(
        .rootOfTrust(RootOfTrustReport(kind: .tpm2, manufacturer: "IBM ", secureBootState: [UInt8](repeating: 7, count: 32)))))
  }

  @Test("an essential phase that fails restarts the machine before a runtime is started")
  func essential() {
    let rig = Rig()
    rig.board.fakeGpio.failsToOpen = true
    #expect(rig.supervisor.boot() == .restart(reason: "boot failed at lines"))
    #expect(!rig.isAlive)
  }

  @Test("a network that is not there does not keep the device from its work")
  func noNetwork() {
    let rig = Rig()
    rig.board.fakeNetwork.fails = true
    #expect(rig.supervisor.boot() == .goOn)
    #expect(rig.run(for: 20_000_000) == .goOn)
    #expect(rig.isAlive)
    #expect(rig.supervisor.startCount == 1)
  }

  @Test("a root of trust that gives no answer costs its worker and nothing else")
  func slowRootOfTrust() {
    let rig = Rig()
    rig.host.workerRuns = false
    #expect(rig.supervisor.boot() == .goOn)
    #expect(rig.run(for: 20_000_000) == .goOn)
    #expect(rig.journal.entries.contains("kill worker"))
    #expect(rig.supervisor.startCount == 1)
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("root of trust: its worker gave no answer") })
  }

  @Test("the watchdog is fed in each turn, and not when the machine shall restart")
  func watchdog() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    let before = rig.board.fakeWatchdog.feedings
    for _ in 0..<10 { #expect(rig.supervisor.turn() == .goOn) }
    #expect(rig.board.fakeWatchdog.feedings == before + 10)
    rig.host.startFails = true
    for _ in 0..<3 {
      rig.host.crash()
      rig.turn { false }
    }
    let atEnd = rig.board.fakeWatchdog.feedings
    guard case .restart = rig.supervisor.turn() else {
      Issue.record("no restart")
      return
    }
    #expect(rig.board.fakeWatchdog.feedings == atEnd)
  }

  @Test("asked to end: outputs safe, the runtime is told and may end by itself")
  func orderly() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 3_000_000)
    rig.host.endRequested = true
    let verdict = rig.supervisor.turn()
    #expect(verdict == .powerOff)
    rig.journal.clear()
    rig.host.crash(.exited(code: 0))
    rig.supervisor.shutDown(verdict)
    #expect(rig.journal.entries == ["safe", "safe"])
    #expect(rig.host.sent.isEmpty || rig.host.heard.contains(.shutdown(grace_ms: 2_000)))
    let names = ["outputs-safe", "tell-runtime", "await-runtime", "kill-rest", "beliefs", "wipe", "outputs-still-safe", "audit-log"]
    let told = rig.board.fakeConsole.lines.filter { $0.contains("shutdown ") }
    #expect(told.count == names.count)
    for (line, name) in zip(told, names) { #expect(line.contains("shutdown \(name): \(name == "wipe" ? "skipped" : "done")")) }
  }

  @Test("a runtime that ignores the end is killed after its grace")
  func stubborn() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 3_000_000)
    rig.journal.clear()
    rig.supervisor.shutDown(.powerOff)
    #expect(rig.journal.entries == ["safe", "kill", "safe"])
    #expect(rig.host.heard.contains(.shutdown(grace_ms: 2_000)))
    #expect(!rig.isAlive)
  }
}
