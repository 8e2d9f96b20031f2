import Foundations
import LocalAPI
import NIOCore
import NIOPosix
import SupervisorLink
import Synchronization
import Testing

@testable import DeviceCore

/// The log, the hub, the ledger and the budget, each alone.
@Suite struct PartsTests {
  let description = ProductDescription(
    manufacturer: "Bench", model: "node", readings: [.init("temperature", unit: "Cel"), .init("humidity", unit: "%")],
    actuators: [.init("relay", safe: false)], inputs: ["button"], indicator: "status-led")

  final class Collected: Sendable {
    private let texts = Mutex<[String]>([])
    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var all: [String] { texts.withLock { $0 } }
  }

  @Test func theLogForgetsItsOldestAndSaysSo() {
    let log = DeviceLog()
    for number in 1...1_005 { log.append(.info, source: "test", "record \(number)") }
    let all = log.document(after: 0)
    #expect(all.records.count == 1_000 && all.forgotten == 5)
    #expect(all.records.first?.sequence == 6 && all.records.last?.sequence == 1_005)
    #expect(log.document(after: 1_003).records.map(\.text) == ["record 1004", "record 1005"])
    #expect(log.document(after: 1_003).forgotten == 0 && log.document(after: 2).forgotten == 3)
    #expect(log.document(after: .max) == LogsDocument(records: [], forgotten: 0))
  }

  @Test func aRecordIsOneBoundedLine() {
    #expect(DeviceLog.clean("a\r\nb\u{1b}[31m\u{0}c\u{2028}d") == "a  b [31m c d")
    #expect(DeviceLog.clean(String(repeating: "é", count: 400)).utf8.count == 512)
  }

  @Test func followersOfTheLogMissNothing() {
    let log = DeviceLog()
    log.append(.info, source: "test", "before")
    let got = Collected()
    let subscription = log.subscribe(after: 0) { got.add($0.data) }
    log.append(.info, source: "test", "during")
    subscription.cancel()
    log.append(.info, source: "test", "after")
    #expect(got.all.count == 2 && got.all[0].contains("before") && got.all[1].contains("during"))
  }

  @Test func theConsoleGetsTheRuntimesOwnRecordsOnly() {
    let log = DeviceLog()
    let got = Collected()
    log.mirror { _, source, text in got.add("\(source): \(text)") }
    log.append(.info, source: "core", "own")
    log.appendForeign(.info, at_us: 5_000, source: "supervisor", "foreign")
    #expect(got.all == ["core: own"])
    #expect(log.document(after: 1).records.first?.uptimeMilliseconds == 5)
  }

  @Test func readingsAreOnlyWhatIsDeclaredAndFinite() {
    let hub = DeviceHub(description: description, log: DeviceLog(), clock: testClock)
    let got = Collected()
    _ = hub.subscribeReadings { got.add($0.data) }
    hub.report("temperature", 20, isSimulated: true)
    hub.report("pressure", 1_000, isSimulated: false)
    hub.report("humidity", .nan, isSimulated: false)
    hub.report("temperature", 21, isSimulated: true)
    #expect(hub.readings().map(\.value) == [21])
    #expect(got.all.count == 2)
    let late = Collected()
    _ = hub.subscribeReadings { late.add($0.data) }
    #expect(late.all.count == 1 && late.all[0].contains("21"))
  }

  @Test func linesFollowTheDeclaration() async {
    let hub = DeviceHub(description: description, log: DeviceLog(), clock: testClock)
    #expect(hub.missingLines() == ["relay", "status-led", "button"])
    hub.announceLine("relay", isOutput: true, value: true)
    hub.announceLine("status-led", isOutput: false, value: false)
    hub.announceLine("button", isOutput: false, value: false)
    #expect(hub.missingLines() == ["status-led"])
    #expect(hub.actuators() == [ActuatorDocument(name: "relay", on: true, safe: false)])
    hub.inputChanged("door", value: true, at_us: 1)
    hub.inputChanged("button", value: true, at_us: 9)
    #expect(hub.inputs() == [InputDocument(name: "button", active: true, changedMicroseconds: 9)])
    for number in 0..<100 { hub.announceLine("line\(number)", isOutput: true, value: false) }
    #expect(!hub.value(of: "line99"))
    for (name, code) in [("rocket", "unknown-output"), ("button", "unknown-output"), ("relay", "supervisor-silent")] {
      do throws(ProductError) {
        try await hub.set(name, true)
        Issue.record("\(name) was set")
      } catch {
        #expect(error.code == code)
      }
    }
  }

  @Test func theProductHearsItsInputs() async {
    let hub = DeviceHub(description: description, log: DeviceLog(), clock: testClock)
    let events = hub.inputEvents()
    for number in 1...70 { hub.inputChanged("button", value: number % 2 == 1, at_us: UInt64(number)) }
    var first: InputEvent?
    for await event in events {
      first = event
      break
    }
    // 64 are held, the oldest are lost.
    #expect(first == InputEvent(name: "button", isActive: true, at_us: 7))
  }

  @Test func theBudgetRefillsAndKeepsItsReserve() {
    var budget = PacketBudget(now_ms: 0)
    var logs = 0
    while budget.take(leaving: PacketBudget.reserve, now_ms: 0) { logs += 1 }
    var requests = 0
    while budget.take(now_ms: 0) { requests += 1 }
    #expect(logs == 64 && requests == 64)
    let (early, refilled) = (budget.take(now_ms: 1), budget.take(now_ms: 10))
    #expect(!early && refilled)
    var later = 0
    while budget.take(now_ms: 3_600_000) { later += 1 }
    #expect(later == 128)
  }

  @Test func addressesOfBothFamiliesCountAsOne() throws {
    #expect(ConnectionLedger.peerKey(try SocketAddress(ipAddress: "::ffff:192.0.2.7", port: 1)) == "192.0.2.7")
    #expect(ConnectionLedger.peerKey(try SocketAddress(ipAddress: "192.0.2.7", port: 2)) == "192.0.2.7")
    #expect(ConnectionLedger.peerKey(try SocketAddress(ipAddress: "2001:db8::7", port: 2)) == "2001:db8::7")
  }
}
