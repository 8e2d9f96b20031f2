import Foundations
import SupervisorLink
import TestDisk
import Testing

@testable import Supervisor

@Suite("The record of what the supervisor believes")
struct BeliefRecordTests {
  private static func bytes(_ count: ClosedRange<Int>, _ random: inout SeededRandom) -> [UInt8] {
    (0..<Int.random(in: count, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  private static func address(_ random: inout SeededRandom) -> NetworkAddress {
    // 1.0.0.0 to 126.255.255.255 are hosts.
    NetworkAddress(ipv4: UInt32.random(in: 0x0100_0000...0x7eff_ffff, using: &random))
  }

  private static func belief(_ random: inout SeededRandom) -> Belief {
    var belief = Belief(
      owner: PinnedOwner(device: bytes(10...10, &random), certificate: bytes(1...SignedStatement.certificateMaximum_bytes, &random)))
    if Bool.random(using: &random) { belief.revocations = bytes(1...SupervisorPacket.maximumRevocationsBytes, &random) }
    switch Int.random(in: 0...2, using: &random) {
    case 0:
      belief.destination = CloudDestination(host: "broker-\(Int.random(in: 0...999, using: &random)).example", port: 8_883)
      belief.addresses = (0..<Int.random(in: 0...4, using: &random)).map { _ in address(&random) }
    case 1:
      let own = address(&random)
      belief.destination = CloudDestination(host: own.description, port: UInt16.random(in: 1 ... .max, using: &random))
      belief.addresses = [own]
    default: break
    }
    let places = (0..<Int.random(in: 0...4, using: &random)).compactMap { _ in PeerDestinations.Destination(address: address(&random), port: 8_443) }
    belief.peers = PeerDestinations(places) ?? .none
    belief.discovers = Bool.random(using: &random)
    if Bool.random(using: &random) {
      belief.quarantine = Belief.Quarantine(
        grade: [Grade.quarantined, .locked].randomElement(using: &random) ?? .locked,
        cause: GradeCause.allCases.filter { $0.ceiling >= .quarantined }.randomElement(using: &random) ?? .requested,
        event: random.next(), evidence: String(repeating: "ä", count: Int.random(in: 0...60, using: &random)))
    }
    return belief
  }

  @Test("whatever is believed is read again, and has its bounds", arguments: 1...20 as ClosedRange<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var random = SeededRandom(seed)
    for _ in 0..<20 {
      let belief = Self.belief(&random)
      let record = BeliefRecord.encoded(belief)
      #expect(try BeliefRecord.belief(record) == belief)
      // What the file has room for (Beliefs.BeliefFile).
      #expect(record.count <= 16 * 1_024 - 60)
    }
    #expect(try BeliefRecord.belief(BeliefRecord.encoded(nil)) == nil)
  }

  @Test("there is one form for each belief, whatever the bytes are, and nothing ends the process", arguments: 1...20 as ClosedRange<UInt64>)
  func fuzz(seed: UInt64) {
    var random = SeededRandom(seed)
    for _ in 0..<200 {
      var belief = Self.belief(&random)
      belief.revocations = Array(belief.revocations.prefix(20))
      let bytes = random.mutation(of: BeliefRecord.encoded(belief))
      if let read = try? BeliefRecord.belief(bytes) { #expect(BeliefRecord.encoded(read) == bytes, "seed \(seed)") }
    }
  }

  @Test("each field that is not as it should be is named")
  func refusals() throws {
    let owner: [UInt8] = [1, 1] + [UInt8](repeating: 7, count: 10)
    let good: [UInt8] = owner + [0, 1, 0x30] + [0, 0] + [0] + [0] + [0] + [0]
    #expect(try BeliefRecord.belief(good)?.discovers == false)
    #expect(try BeliefRecord.belief([2] + good.dropFirst())?.discovers == true)
    let name = Array("a.example".utf8)
    let cases: [(String, [UInt8])] = [
      ("format", []), ("format", [2, 0]), ("format", [3] + good.dropFirst()), ("owner", [1]), ("owner", [1, 2]), ("end", [1, 0, 0]), ("device", [1, 1, 0]),
      ("certificate", owner + [0, 0]), ("certificate", owner + [4, 1]), ("certificate", owner + [0, 2, 1]),
      ("revocations", owner + [0, 1, 0x30, 0xff, 0xff]), ("broker", owner + [0, 1, 0x30, 0, 0, 67]),
      ("broker", owner + [0, 1, 0x30, 0, 0, 3, 0, 0, 0x61, 0]),
      ("addresses", owner + [0, 1, 0x30, 0, 0, 0, 5]), ("addresses", owner + [0, 1, 0x30, 0, 0, 0, 1, 4, 192, 0, 2, 1]),
      ("address", owner + [0, 1, 0x30, 0, 0, 0, 1, 3, 192, 0, 2]),
      // No host, and a numeric broker without its address.
      ("addresses", owner + [0, 1, 0x30, 0, 0, 11, 0x22, 0xb3] + name + [1, 4, 127, 0, 0, 1]),
      ("addresses", owner + [0, 1, 0x30, 0, 0, 9, 0x22, 0xb3] + Array("1.2.3.4".utf8) + [0]),
      ("peers", owner + [0, 1, 0x30, 0, 0, 0, 0, 1, 9]),
      ("quarantine", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 2]), ("quarantine", Array(good.dropLast())),
      ("grade", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 1, 1]), ("cause", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 1, 2, 8]),
      ("event", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 1, 2, 2, 1]),
      ("evidence", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 1, 2, 2] + [UInt8](repeating: 0, count: 8) + [121]),
      ("evidence", owner + [0, 1, 0x30, 0, 0, 0, 0, 0, 1, 2, 2] + [UInt8](repeating: 0, count: 8) + [1, 0xff]), ("end", good + [0]),
    ]
    for (field, bytes) in cases {
      let error = #expect(throws: SupervisorError.self, "\(field): \(bytes)") { _ = try BeliefRecord.belief(bytes) }
      #expect(error?.code == "beliefs-refused" && error?.reason == "\(field) is not as it should be", "\(bytes)")
    }
  }
}
