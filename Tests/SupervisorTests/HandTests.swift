import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

/// Wiping by hand: held through slow and fast blinking, let go while the light is steady; anything else means nothing.
@Suite("A hand at the button")
struct HandTests {
  private let rig = Rig()
  private let light = SupervisorPacket.presenceLight

  private func boot(hasOwner: Bool = true) {
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 10_000_000)
    if hasOwner { #expect(rig.ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30])) == .done) }
    rig.host.sent = []
    rig.journal.clear()
  }

  private func button(_ isPressed: Bool) {
    rig.board.fakeGpio.events = [LineEvent(name: "button", value: isPressed, at_us: rig.host.now)]
    rig.turn(most: 3) { rig.board.fakeGpio.events.isEmpty }
  }

  @discardableResult
  private func hold(for duration_us: UInt64) -> Supervisor.Verdict {
    button(true)
    rig.run(for: duration_us)
    button(false)
    return rig.run(for: 10_000_000)
  }

  private var isWanted: Bool { rig.host.heard.contains(.wipeWanted) }
  private func said(_ text: String) -> Bool { rig.board.fakeConsole.lines.contains { $0.contains(text) } }
  private var blinks: Int { rig.journal.entries.filter { $0.hasPrefix("set \(light) ") }.count }

  @Test("let go too early or too late it means nothing", arguments: [100_000, 3_000_000, 9_000_000, 15_200_000, 60_000_000] as [UInt64])
  func otherwise(_ duration_us: UInt64) {
    boot()
    #expect(hold(for: duration_us) == .goOn)
    #expect(!isWanted && rig.board.fakeStorage.records == 0)
  }

  @Test("a machine that stood still while it was pressed wipes nothing: no steady light was seen") func standstill() {
    boot()
    button(true)
    rig.host.now += 12_000_000
    button(false)
    #expect(rig.run(for: 10_000_000) == .goOn)
    #expect(!isWanted && rig.board.fakeStorage.records == 0)
    // Both changes of the line are found at once, too.
    rig.board.fakeGpio.events = [
      LineEvent(name: "button", value: true, at_us: rig.host.now), LineEvent(name: "button", value: false, at_us: rig.host.now + 12_000_000),
    ]
    rig.host.now += 12_000_000
    #expect(rig.run(for: 10_000_000) == .goOn)
    #expect(!isWanted && rig.board.fakeStorage.records == 0)
  }

  @Test("a button that is pressed since the start, or that is only let go, means nothing") func stuck() {
    boot()
    button(false)
    #expect(rig.run(for: 30_000_000) == .goOn)
    #expect(!isWanted && blinks == 0)
  }

  @Test("the light blinks slowly, then fast, then is steady, and is the product's before and after") func pattern() {
    boot()
    #expect(rig.ask(.setOutput(request: 2, name: ShortName(light) ?? .unnamed, value: true)) == .done)
    rig.journal.clear()
    button(true)
    rig.run(for: 1_000_000)
    #expect(blinks == 0)
    rig.run(for: 4_200_000)
    #expect((6...9).contains(blinks), "\(blinks) changes in four slow seconds")
    rig.journal.clear()
    // What the product wants meanwhile is shown later.
    #expect(rig.ask(.setOutput(request: 3, name: ShortName(light) ?? .unnamed, value: false)) == .done)
    rig.run(for: 4_000_000)
    #expect((25...34).contains(blinks), "\(blinks) changes in four fast seconds")
    rig.journal.clear()
    rig.run(for: 2_000_000)
    #expect(rig.board.fakeGpio.values[light] == true && blinks <= 1)
    #expect(said("letting go now wipes the device"))
    rig.run(for: 4_000_000)
    #expect(rig.board.fakeGpio.values[light] == false, "held too long: the product's own again")
  }

  @Test("a runtime that asks for it wipes with a receipt of its own") func withTheRuntime() {
    boot()
    button(true)
    rig.run(for: 12_000_000)
    button(false)
    #expect(isWanted && rig.board.fakeStorage.records == 0)
    #expect(rig.ask(.allowWipe(request: 5)) == .done)
    let verdict = rig.run(for: 10_000_000)
    #expect(verdict == .restart(reason: "the device is wiped") && rig.board.fakeStorage.records == 1)
    #expect(rig.audit.events(.wiped) == [AuditEvent(.wiped, .word(AuditWord("button")))])
    rig.supervisor.shutDown(verdict)
    #expect(rig.board.fakeStorage.wipes == 1)
  }

  @Test("a runtime that does not take part is not waited for, alive or not", arguments: [true, false]) func without(_ isAlive: Bool) {
    boot()
    button(true)
    rig.run(for: 12_000_000)
    if !isAlive { rig.host.crash(.killed(signal: 9)) }
    button(false)
    let verdict = rig.run(for: 10_000_000)
    #expect(verdict == .restart(reason: "the device is wiped") && rig.board.fakeStorage.records == 1)
    #expect(said("does not take part"))
    rig.supervisor.shutDown(verdict)
    #expect(rig.board.fakeStorage.wipes == 1)
  }

  @Test("a quarantine that begins while the runtime is waited for keeps its evidence; the light is nobody's when outputs are safe") func quarantineMeanwhile() {
    boot()
    #expect(rig.ask(.setOutput(request: 2, name: ShortName(light) ?? .unnamed, value: true)) == .done)
    button(true)
    rig.run(for: 12_000_000)
    button(false)
    #expect(isWanted)
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    #expect(rig.run(for: 10_000_000) == .goOn)
    #expect(rig.board.fakeStorage.records == 0 && said("a quarantine has begun") && rig.board.fakeGpio.values[light] == false)
  }

  @Test("a wipe by hand that waits for the storage outlives the runtime's restart") func waitingForTheStorage() {
    boot()
    // The storage is busy for longer than the runtime is waited for.
    rig.host.workerRuns = false
    rig.host.say(.commitIdentity(request: 9))
    rig.turn(most: 20) { rig.supervisor.workers.values.contains { $0.job.isStorage } }
    button(true)
    rig.run(for: 12_000_000)
    rig.host.crash(.killed(signal: 9))
    button(false)
    rig.host.workerRuns = true
    #expect(rig.run(for: 40_000_000) == .restart(reason: "the device is wiped"))
    #expect(rig.board.fakeStorage.records == 1)
  }

  @Test("without an owner there is nothing to wipe; what quarantine keeps for the owner stays") func refused() {
    boot(hasOwner: false)
    #expect(hold(for: 12_000_000) == .goOn)
    #expect(!isWanted && said("there is no owner"))

    #expect(rig.ask(.pinOwner(request: 1, device: [UInt8](repeating: 1, count: 10), certificate: [0x30])) == .done)
    rig.supervisor.raise(to: .quarantined, .crashLoop, evidence: "3 starts")
    #expect(hold(for: 12_000_000) == .goOn)
    #expect(!isWanted && rig.board.fakeStorage.records == 0)

    let next = rig.restarted()
    next.board.fakeGpio.events = [LineEvent(name: "button", value: true, at_us: next.host.now)]
    next.run(for: 12_000_000)
    next.board.fakeGpio.events = [LineEvent(name: "button", value: false, at_us: next.host.now)]
    #expect(next.run(for: 8_000_000) == .restart(reason: "the device is wiped"))
  }
}
