import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("Storage is opened before the first runtime, and keeps the identity on request")
struct StorageTests {
  private func answers(_ rig: Rig) -> [SupervisorMessage] { rig.host.heard.filter { if case .answer = $0 { true } else { false } } }
  private func report(_ rig: Rig) -> StorageReport? {
    rig.host.heard.compactMap { if case .storage(let report) = $0 { report } else { nil } }.last
  }

  @Test("an open storage is told before the link, which ends the introduction")
  func opened() throws {
    let rig = Rig()
    #expect(rig.supervisor.boot() == .goOn)
    #expect(report(rig) == StorageReport(state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 3))
    let storage = try #require(rig.host.heard.firstIndex { if case .storage = $0 { true } else { false } })
    let link = try #require(rig.host.heard.firstIndex { if case .link = $0 { true } else { false } })
    #expect(storage < link)
  }

  @Test(
    "a storage that is not open has its reason told, and the runtime starts all the same",
    arguments: [StorageFacts.State.volatile, .damaged, .locked])
  func notOpen(_ state: StorageFacts.State) {
    let rig = Rig()
    rig.board.fakeStorage.facts = StorageFacts(state: state, rootOfTrust: .tpm2, reason: "the header is another one")
    #expect(rig.supervisor.boot() == .goOn)
    rig.run(for: 1_000_000)
    #expect(report(rig)?.reason == "the header is another one")
    #expect(rig.isAlive)
  }

  @Test("a worker that gives no answer leaves the device damaged, never blank")
  func silent() {
    let rig = Rig()
    rig.host.workerRuns = false
    #expect(rig.supervisor.boot() == .goOn)
    #expect(report(rig)?.state == .damaged)
    #expect(report(rig)?.reason.contains("no answer within 120 s") == true)
  }

  @Test("the identity is kept by one worker at a time, and each request gets its answer")
  func commits() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 1_000_000)
    rig.host.sent = []
    for request in 1...3 as ClosedRange<UInt32> { rig.host.say(.commitIdentity(request: request)) }
    rig.run(for: 1_000_000)
    #expect(answers(rig) == [.answer(request: 1, .done), .answer(request: 2, .done), .answer(request: 3, .done)])
    // The first at once; the other two together, after it.
    #expect(rig.board.fakeStorage.commits == 2)
    rig.host.sent = []
    rig.board.fakeStorage.failsToCommit = true
    rig.host.say(.commitIdentity(request: 4))
    rig.run(for: 1_000_000)
    #expect(answers(rig) == [.answer(request: 4, .failed)])
  }

  @Test("files that are none of the runtime's own are told once, and what is its own is kept")
  func undeclared() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 1_000_000)
    rig.board.fakeStorage.undeclared = UndeclaredFiles(count: 300, example: "stash.bin")
    for request in 1...4 as ClosedRange<UInt32> {
      #expect(rig.ask(.commitIdentity(request: request)) == .done)
      rig.board.fakeStorage.undeclared = UndeclaredFiles(count: Int(request), example: "other")
    }
    rig.run(for: 5_000_000)
    let told = rig.board.fakeConsole.lines.filter { $0.contains("not declared") }
    #expect(told.count == 1)
    #expect(told.first?.contains("the runtime's identity folder has 300 files that are not declared and are not kept, one of them stash.bin") == true)
    #expect(rig.audit.events(.undeclaredFiles) == [AuditEvent(.undeclaredFiles, .number(300))])
  }

  @Test("what a worker says of the files that it kept has one form")
  func keptAnswers() {
    for found in [UndeclaredFiles.none, UndeclaredFiles(count: 1, example: "a"), UndeclaredFiles(count: 65_535, example: String(repeating: "n", count: 64))] {
      #expect(KeptAnswer.read(KeptAnswer.bytes(of: { () throws(BoardError) in found })) == found)
    }
    let many = UndeclaredFiles(count: 70_000, example: String(repeating: "n", count: 100))
    #expect(
      KeptAnswer.read(KeptAnswer.bytes(of: { () throws(BoardError) in many })) == UndeclaredFiles(count: 65_535, example: String(repeating: "n", count: 64)))
    for bytes in [[], [1], [1, 0], [0, 0, 0], [2, 0, 0], [1, 0, 1] + [UInt8](repeating: 0x61, count: 65)] as [[UInt8]] {
      #expect(KeptAnswer.read(bytes) == nil)
    }
  }

  @Test("a volatile storage has nothing to keep; a damaged one keeps nothing")
  func nothingToKeep() {
    for (state, outcome) in [(StorageFacts.State.volatile, RequestOutcome.done), (.damaged, .failed), (.locked, .failed)] {
      let rig = Rig()
      rig.board.fakeStorage.facts = StorageFacts(state: state, reason: "because")
      _ = rig.supervisor.boot()
      rig.run(for: 1_000_000)
      rig.host.sent = []
      rig.host.say(.commitIdentity(request: 1))
      rig.run(for: 1_000_000)
      #expect(answers(rig) == [.answer(request: 1, outcome)])
      #expect(rig.board.fakeStorage.commits == 0)
    }
  }

  @Test("more requests than may wait are refused, and none is forgotten")
  func many() {
    let rig = Rig()
    _ = rig.supervisor.boot()
    rig.run(for: 1_000_000)
    rig.host.sent = []
    rig.host.workerRuns = false
    for request in 1...20 as ClosedRange<UInt32> { rig.host.say(.commitIdentity(request: request)) }
    rig.run(for: 60_000_000)
    let busy = answers(rig).filter { if case .answer(_, .busy) = $0 { true } else { false } }
    let failed = answers(rig).filter { if case .answer(_, .failed) = $0 { true } else { false } }
    #expect(busy.count == 11)
    #expect(failed.count == 9)
  }
}
