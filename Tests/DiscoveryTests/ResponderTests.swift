import Foundations
import TestDisk
import Testing

@testable import Discovery

/// A responder and its clock.
private struct Bench {
  var responder: Responder
  var now_ms: UInt64 = 1_000_000
  /// What it did, and when.
  var log: [(at_ms: UInt64, output: Responder.Output)] = []

  init(_ announcement: Announcement = Samples.own) { responder = Responder(announcement, now_ms: now_ms) }

  /// Lets time pass, and calls the timer whenever it is due.
  mutating func run(for duration_ms: UInt64) {
    let end_ms = now_ms + duration_ms
    while let due_ms = responder.due_ms, due_ms <= end_ms {
      now_ms = max(now_ms, due_ms)
      let outputs = responder.timer(now_ms: now_ms)
      log += outputs.map { (now_ms, $0) }
    }
    now_ms = end_ms
  }

  mutating func hear(_ message: MulticastMessage) {
    let outputs = responder.receive(message, now_ms: now_ms)
    log += outputs.map { (now_ms, $0) }
  }

  /// Until it answers, and some time beyond.
  mutating func settle() {
    run(for: 10_000)
    log = []
  }

  var sent: [(at_ms: UInt64, message: MulticastMessage)] {
    log.compactMap { entry in if case .send(let message) = entry.output { (entry.at_ms, message) } else { nil } }
  }
  var answers: [ResourceRecord] { sent.filter(\.message.isResponse).flatMap(\.message.answers) }
}

@Suite("The multicast DNS responder")
struct ResponderTests {
  private let pointerQuestion = MulticastQuestion(Announcement.service, RecordType.ptr)

  @Test("it asks three times whether its names are taken, says them twice, and then only answers")
  func begins() throws {
    var bench = Bench()
    bench.run(for: 60_000)
    let sent = bench.sent
    #expect(sent.map(\.message.isResponse) == [false, false, false, true, true])
    let times = sent.map(\.at_ms)
    #expect(zip(times, times.dropFirst()).map { $1 - $0 } == [250, 250, 250, 1_000])
    for probe in sent.prefix(3).map(\.message) {
      #expect(Set(probe.questions.map(\.name)) == Samples.own.uniqueNames && probe.questions.allSatisfy { $0.type == RecordType.any })
      #expect(probe.authorities.map(\.data) == Samples.own.uniqueRecords.map(\.data) && probe.answers.isEmpty)
    }
    for announcement in sent.suffix(2).map(\.message) { #expect(announcement.answers == Samples.own.records && announcement.questions.isEmpty) }
    #expect(bench.log.map(\.output).filter { $0 == .announced }.count == 1)
    #expect(bench.responder.state == .settled && bench.responder.due_ms == nil)
    // One packet on an Ethernet, by far.
    for message in sent { #expect(message.message.encoded.count < 500) }
  }

  @Test("it answers what is asked of it, with what is asked next, and nothing else")
  func answers() throws {
    var bench = Bench()
    bench.hear(Samples.query(pointerQuestion))
    #expect(bench.responder.state == .probing(0), "nothing is answered before the names are its own")
    bench.settle()
    bench.hear(Samples.query(pointerQuestion))
    bench.run(for: 1_000)
    #expect(bench.sent.count == 1 && bench.answers == [Samples.own.pointer])
    #expect(bench.sent.first?.message.additionals == [Samples.own.location, Samples.own.text, Samples.own.place])
    bench.settle()
    bench.hear(Samples.query(MulticastQuestion(Samples.own.instance, RecordType.any), MulticastQuestion(Samples.own.host, RecordType.a)))
    bench.run(for: 1_000)
    #expect(bench.sent.count == 1 && bench.answers == [Samples.own.location, Samples.own.text, Samples.own.place])
    bench.settle()
    bench.hear(Samples.query(MulticastQuestion(Samples.own.kind.name, RecordType.ptr)))
    bench.run(for: 1_000)
    #expect(bench.answers == [Samples.own.kind])
    bench.settle()
    let other = Announcement(device: Samples.other, address: Samples.there, port: 1)
    bench.hear(Samples.query(MulticastQuestion(other.instance, RecordType.any), MulticastQuestion(other.host, RecordType.a)))
    bench.run(for: 10_000)
    #expect(bench.log.isEmpty)
  }

  @Test("what whoever asks knows already is not said, unless it is about to be forgotten; more known answers may follow")
  func knownAnswers() throws {
    var bench = Bench()
    bench.settle()
    bench.hear(Samples.query(pointerQuestion, known: [Samples.own.pointer.living(2_250)]))
    bench.run(for: 5_000)
    #expect(bench.log.isEmpty)
    bench.hear(Samples.query(pointerQuestion, known: [Samples.own.pointer.living(2_249)]))
    bench.run(for: 5_000)
    #expect(bench.answers == [Samples.own.pointer])
    bench.settle()
    let asked_ms = bench.now_ms
    bench.hear(Samples.query(pointerQuestion, isTruncated: true))
    bench.run(for: 5_000)
    #expect(bench.answers == [Samples.own.pointer] && (bench.sent.first?.at_ms ?? 0) >= asked_ms + 400)
    bench.settle()
    bench.hear(Samples.query(pointerQuestion, isTruncated: true))
    bench.run(for: 100)
    bench.hear(Samples.query(known: [Samples.own.pointer]))
    bench.run(for: 5_000)
    #expect(bench.log.isEmpty)
  }

  @Test("however often it is asked, a record is sent once a second; four times to whoever probes for its name")
  func rates() throws {
    var bench = Bench()
    bench.settle()
    for _ in 0..<1_000 {
      bench.hear(Samples.query(pointerQuestion, MulticastQuestion(Samples.own.host, RecordType.any)))
      bench.run(for: 10)
    }
    #expect((9...22).contains(bench.sent.count), "\(bench.sent.count) packets in ten seconds")
    for record in Samples.own.records {
      let times = bench.sent.filter { $0.message.records.contains(record) && $0.message.answers.contains(record) }.map(\.at_ms)
      #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 1_000 }, "\(record.name)")
    }
    bench.settle()
    for _ in 0..<100 {
      var probe = Samples.query(MulticastQuestion(Samples.own.host, RecordType.any))
      probe.authorities = [ResourceRecord(Samples.own.host, .address(Samples.there), lifetime_s: 120, isUnique: false)]
      bench.hear(probe)
      bench.run(for: 10)
    }
    #expect((3...5).contains(bench.sent.count) && bench.answers.allSatisfy { $0 == Samples.own.place })
  }

  @Test("somebody else's record under its name silences it for good, while it probes and later; its own coming back does not")
  func conflict() throws {
    let foreign = [
      ResourceRecord(Samples.own.host, .address(Samples.there), lifetime_s: 120, isUnique: true),
      ResourceRecord(Samples.own.instance, .service(priority: 0, weight: 0, port: 9, target: Samples.own.host), lifetime_s: 120, isUnique: true),
    ]
    for record in foreign {
      for before_ms in [0, 400, 30_000] as [UInt64] {
        var bench = Bench()
        bench.run(for: before_ms)
        bench.hear(Samples.response(Samples.own.records))
        bench.hear(Samples.response([Samples.own.pointer.living(4_500), record.living(0)]))
        #expect(!bench.log.contains { if case .conflict = $0.output { true } else { false } })
        bench.hear(Samples.response([record]))
        #expect(bench.log.last?.output == .conflict(record.name))
        bench.log = []
        bench.hear(Samples.query(pointerQuestion))
        bench.hear(Samples.response([record]))
        bench.run(for: 60_000)
        let farewell = bench.responder.goodbye()
        #expect(bench.log.isEmpty && farewell == nil && bench.responder.due_ms == nil)
      }
    }
  }

  @Test("of two that probe at the same time, the one with less to say waits, and asks again")
  func simultaneous() throws {
    func probe(_ address: NetworkAddress) -> MulticastMessage {
      var message = Samples.query(MulticastQuestion(Samples.own.host, RecordType.any))
      message.authorities = [ResourceRecord(Samples.own.host, .address(address), lifetime_s: 120, isUnique: false)]
      return message
    }
    var loser = Bench()
    loser.run(for: 300)
    let before = loser.sent.count
    loser.hear(probe(Samples.there))
    loser.run(for: 999)
    #expect(loser.sent.count == before && loser.responder.state == .probing(0))
    loser.run(for: 5_000)
    #expect(loser.responder.state == .settled)
    for address in [NetworkAddress(ipv4: 0xc000_0201), Samples.here] {
      var winner = Bench()
      winner.run(for: 300)
      let state = winner.responder.state
      winner.hear(probe(address))
      #expect(winner.responder.state == state)
    }
  }

  @Test("what somebody lets the neighbours forget too soon is said again")
  func defended() throws {
    var bench = Bench()
    bench.settle()
    bench.hear(Samples.response([Samples.own.pointer.living(0), Samples.own.place.living(10)]))
    bench.run(for: 5_000)
    #expect(bench.answers == [Samples.own.pointer, Samples.own.place])
  }

  @Test("the good-bye takes back what was announced, and nothing where nothing was")
  func goodbye() throws {
    var early = Bench()
    early.run(for: 300)
    let nothing = early.responder.goodbye()
    #expect(nothing == nil)
    var bench = Bench()
    bench.settle()
    let farewell = bench.responder.goodbye()
    #expect(farewell?.answers == Samples.own.records.map { $0.living(0) })
    bench.hear(Samples.query(pointerQuestion))
    bench.run(for: 10_000)
    #expect(bench.log.isEmpty)
  }

  @Test("whatever neighbours say, it lives, and sends no more than it may", arguments: 1...20 as ClosedRange<UInt64>)
  func fuzz(seed: UInt64) {
    var random = SeededRandom(seed)
    var bench = Bench()
    bench.run(for: UInt64.random(in: 0...3_000, using: &random))
    bench.log = []
    for _ in 0..<500 {
      bench.hear(random.message())
      bench.run(for: 20)
    }
    // Ten seconds: six records, each at most four times a second.
    #expect(bench.answers.count <= 6 * 4 * 10 + 12)
    for message in bench.sent { #expect(message.message.encoded.count < 1_472) }
  }
}

@Suite("What is seen of others")
struct SightingTests {
  private let attic = Announcement(device: Samples.other, address: Samples.there, port: 8_443)

  @Test("an announcement is a place, and a good-bye takes it back; a new address replaces the old one")
  func taken() throws {
    var sightings = Sightings()
    sightings.take(Samples.response(attic.records))
    #expect(sightings.all == [Sighting(device: Samples.other, address: Samples.there, port: 8_443)])
    sightings.take(Samples.response([Announcement(device: Samples.other, address: Samples.here, port: 8_443).place]))
    #expect(sightings.all.map(\.address) == [Samples.here])
    sightings.take(Samples.query(known: [attic.place]))
    #expect(sightings.all.map(\.address) == [Samples.here], "what somebody asks is no answer")
    sightings.take(Samples.response(attic.records.map { $0.living(0) }))
    #expect(sightings.all.isEmpty)
  }

  @Test("what names no device is left out, and there is an end to all of it", arguments: 1...10 as ClosedRange<UInt64>)
  func bounded(seed: UInt64) throws {
    var random = SeededRandom(seed)
    var sightings = Sightings()
    for _ in 0..<50 { sightings.take(random.message()) }
    for number in 0..<600 {
      let digest = [UInt8(number >> 8), UInt8(number & 0xff)] + [UInt8](repeating: 0, count: 30)
      let device = try #require(DeviceIdentifier(publicKeyDigest: digest))
      for last in 1...6 as ClosedRange<UInt32> {
        let announcement = Announcement(device: device, address: NetworkAddress(ipv4: 0xc000_0200 + last), port: 8_443)
        sightings.take(
          Samples.response(
            announcement.records.map { ResourceRecord($0.name, $0.content, lifetime_s: $0.lifetime_s, isUnique: false) }))
      }
    }
    #expect(sightings.all.count <= Sightings.maximumDevices * 4 && !sightings.all.isEmpty)
    let wrong = try #require(DomainName("attic._haechi._tcp.local"))
    var other = Sightings()
    other.take(
      Samples.response([
        ResourceRecord(wrong, .service(priority: 0, weight: 0, port: 1, target: attic.host), lifetime_s: 120, isUnique: true), attic.place,
      ]))
    #expect(other.all.isEmpty)
  }
}
