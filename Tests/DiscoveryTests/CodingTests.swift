import Foundations
import TestDisk
import Testing

@testable import Discovery

@Suite("Messages of multicast DNS")
struct CodingTests {
  @Test("whatever is said is read again", arguments: 1...20 as ClosedRange<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var random = SeededRandom(seed)
    for _ in 0..<50 {
      let message = random.message()
      #expect(try MulticastMessage(encoded: message.encoded) == message)
    }
  }

  @Test("whatever the bytes are, they are a message or are refused, and a message has one form", arguments: 1...20 as ClosedRange<UInt64>)
  func fuzz(seed: UInt64) throws {
    var random = SeededRandom(seed)
    var read = 0
    for _ in 0..<300 {
      let bytes = Bool.random(using: &random) ? random.mutation(of: random.message().encoded) : random.bytes(0...80)
      guard let message = try? MulticastMessage(encoded: bytes) else { continue }
      read += 1
      let again = message.encoded
      if again.count <= MulticastMessage.maximum_bytes { #expect(try MulticastMessage(encoded: again) == message, "seed \(seed)") }
    }
    #expect(read > 0)
  }

  /// The bytes that a few hexadecimal texts spell, one after the other.
  private static func spelled(_ parts: String...) throws -> [UInt8] {
    let text = parts.joined()
    return try #require(bytes(hexadecimal: text))
  }
  /// `_haechi._tcp.local`, in capitals too.
  private static let service = "075f686165636869045f746370056c6f63616c00"
  private static let serviceInCapitals = "075f484145434849045f544350056c6f63616c00"

  @Test("the bytes of a question and of an answer, as other programs write them")
  func fixtures() throws {
    // One question: PTR, class IN, unicast wanted.
    let question = try MulticastMessage(encoded: Self.spelled("000000000001000000000000", Self.service, "000c8001"))
    #expect(question.questions == [MulticastQuestion(Announcement.service, RecordType.ptr, wantsUnicast: true)])
    // Two answers whose names point back, into the first one's data: PTR abcd, and SRV abcd, priority 0, weight 0, port 8443, target x.local.
    let answer = try MulticastMessage(
      encoded: Self.spelled(
        "000084000000000200000000", Self.serviceInCapitals, "000c0001000011940007", "0461626364c00c", "c02a", "0021800100000078000a", "00000000",
        "20fb", "0178c019"))
    let name = try #require(DomainName("abcd._haechi._tcp.local"))
    let target = try #require(DomainName("x.local"))
    #expect(answer.isResponse)
    #expect(
      answer.answers == [
        ResourceRecord(Announcement.service, .pointer(name), lifetime_s: 4_500, isUnique: false),
        ResourceRecord(name, .service(priority: 0, weight: 0, port: 8_443, target: target), lifetime_s: 120, isUnique: true),
      ])
  }

  @Test(
    "what is cut, leads nowhere or in a circle is refused by its name",
    arguments: [
      ("", "message-size"), ("0000", "message-size"),
      // An operation code, a response code.
      ("000008000000000000000000", "message-kind"), ("000084030000000000000000", "message-kind"),
      // A question without its name; a label and a pointer that end with the message.
      ("000000000001000000000000", "message-name"), ("00000000000100000000000004ab", "message-name"), ("000000000001000000000000c0", "message-name"),
      // A pointer to itself, and one ahead; a circle of two; kinds of labels that do not exist.
      ("000000000001000000000000c00c00010001", "message-name"), ("000000000001000000000000c01000010001", "message-name"),
      ("0000000000020000000000000161c01300010001c00c00010001", "message-name"), ("0000000000010000000000004161", "message-name"),
      ("0000000000010000000000008061", "message-name"),
      // Cut in type and class, and something left.
      ("000000000001000000000000000001", "message-field"), ("0000000000010000000000000000010001ff", "message-size"),
      // A record: data beyond the end; an address of three bytes; SRV and PTR with another length than they say.
      ("000084000000000100000000000001000100000078000501020304", "message-field"),
      ("0000840000000001000000000000010001000000780003010203", "message-field"),
      ("00008400000000010000000000000c00010000007800030000ff", "message-field"),
      ("0000840000000001000000000000210001000000780007000000000001aa", "message-name"),
      // 257 questions.
      ("000000000101000000000000", "message-size"),
    ])
  func refusals(text: String, code: String) throws {
    let bytes = try Self.spelled(text)
    let error = #expect(throws: DiscoveryError.self, "\(text)") { _ = try MulticastMessage(encoded: bytes) }
    #expect(error?.code == code, "\(text): \(error?.reason ?? "")")
  }

  @Test("a chain of pointers ends where a name would be too long, and what is too long is not read")
  func bounds() throws {
    // Names that each point at the one before: 130 labels of one letter are 261 bytes.
    var bytes: [UInt8] = [0, 0, 0, 0, 0, 130, 0, 0, 0, 0, 0, 0]
    var before = 0
    for index in 0..<130 {
      let start = bytes.count
      bytes += [1, 0x61] + (index == 0 ? [0] : [0xc0 | UInt8(before >> 8), UInt8(before & 0xff)]) + [0, 1, 0, 1]
      before = start
    }
    let error = #expect(throws: DiscoveryError.self) { _ = try MulticastMessage(encoded: bytes) }
    #expect(error?.code == "message-name")
    #expect(throws: DiscoveryError.self) { _ = try MulticastMessage(encoded: [UInt8](repeating: 0, count: MulticastMessage.maximum_bytes + 1)) }
    #expect(DomainName(labels: [[UInt8](repeating: 0x61, count: 64)]) == nil && DomainName(labels: [[]]) == nil)
    #expect(DomainName(labels: Array(repeating: [UInt8](repeating: 0x61, count: 63), count: 4)) == nil)
  }

  @Test("records of another class are left out, and so is what asks for one")
  func classes() throws {
    let bytes = try Self.spelled("000000000001000100000000", "0000010003", "0000010003", "00000078", "0004", "01020304")
    let message = try MulticastMessage(encoded: bytes)
    #expect(message.questions.isEmpty && message.answers.isEmpty)
  }

  @Test("what a device says of itself: its id, its address and its port, and nothing more")
  func announcement() throws {
    let id = Samples.device.text
    #expect(Samples.own.instance.description == "\(id)._haechi._tcp.local" && Samples.own.host.description == "\(id).local")
    #expect(Samples.own.text.data == [9] + Array("txtvers=1".utf8))
    #expect(Samples.own.records.count == 4)
    // No IPv6 address, and that is said; nor other types of the service.
    let six = Samples.own.answers(to: MulticastQuestion(Samples.own.host, RecordType.aaaa))
    #expect(six.map(\.type) == [RecordType.nsec] && six.first?.data == Samples.own.host.encoded + [0, 1, 0x40])
    let more = Samples.own.answers(to: MulticastQuestion(Samples.own.instance, RecordType.a))
    #expect(more.first?.data == Samples.own.instance.encoded + [0, 5, 0, 0, 0x80, 0, 0x40])
    #expect(Samples.own.answers(to: MulticastQuestion(Announcement.service, RecordType.txt)).isEmpty)
  }
}
