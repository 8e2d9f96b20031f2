import Foundations
import Testing

@testable import LinuxBoard

@Suite struct NetlinkCodecTests {
  @Test func requestsAreWhatTheKernelExpects() {
    #expect(RouteRequest.setLinkUp(index: 2).message(sequence: 7) == NetlinkFixtures.setLinkUp)
    #expect(RouteRequest.replaceAddress(index: 2, address: 0x0a00_020f, prefixLength: 24).message(sequence: 8) == NetlinkFixtures.replaceAddress)
    #expect(
      RouteRequest.replaceDefaultRoute(index: 2, router: 0x0a00_0202, isOnLink: true).message(sequence: 9) == NetlinkFixtures.replaceDefaultRoute)
    #expect(NftablesRequest.getCounter(table: "haechi", name: "undeclared").message(sequence: 7) == NetlinkFixtures.getCounter)
  }

  /// RFC 3021: two hosts share a prefix of 31 bits, so its last address is no broadcast.
  @Test(arguments: [UInt8(31), 32]) func narrowPrefixesHaveNoBroadcast(prefixLength: UInt8) throws {
    let bytes = RouteRequest.replaceAddress(index: 2, address: 0x0a00_020f, prefixLength: prefixLength).message(sequence: 1)
    let message = try #require(NetlinkMessage.parse(bytes)?.first)
    #expect(Netlink.attributes(message.payload, from: 8)?.keys.sorted() == [1, 2])
  }

  @Test func theBroadcastOfTheWidestPrefixIsAllOnes() throws {
    let bytes = RouteRequest.replaceAddress(index: 2, address: 0x0a00_020f, prefixLength: 0).message(sequence: 1)
    let message = try #require(NetlinkMessage.parse(bytes)?.first)
    #expect(Netlink.attributes(message.payload, from: 8)?[4] == [255, 255, 255, 255])
  }

  @Test func verdictsAreRead() throws {
    let acknowledgement = try #require(NetlinkMessage.parse(NetlinkFixtures.acknowledgement)?.first)
    #expect(acknowledgement.sequence == 1)
    #expect(NetlinkVerdict(acknowledgement)?.number == 0)
    #expect(NetlinkVerdict(acknowledgement)?.text == "")
    let refusal = try #require(NetlinkMessage.parse(NetlinkFixtures.refusal)?.first)
    #expect(NetlinkVerdict(refusal)?.number == 101)
    #expect(NetlinkVerdict(refusal)?.text == "Nexthop has invalid gateway")
  }

  @Test func addressesAreRead() throws {
    let messages = try #require(NetlinkMessage.parse(NetlinkFixtures.addresses + NetlinkFixtures.done))
    #expect(messages.map(\.type) == [RouteMessageType.newAddress, RouteMessageType.newAddress, NetlinkMessageType.done])
    let addresses = messages.compactMap(AddressFacts.init)
    #expect(addresses.map(\.address) == [0x7f00_0001, 0x0a00_020f])
    #expect(addresses.map(\.prefixLength) == [8, 24])
    #expect(addresses.map(\.index) == [1, 1])
  }

  @Test func linksAreRead() throws {
    let message = try #require(NetlinkMessage.parse(NetlinkFixtures.link)?.first)
    let link = try #require(LinkFacts(message))
    #expect(link.index == 2)
    #expect(link.isUp)
    #expect(link.hasCarrier)
    #expect(link.hardwareAddress == [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
  }

  @Test func countersAreRead() throws {
    let message = try #require(NetlinkMessage.parse(NetlinkFixtures.counter)?.first)
    let counter = try #require(CounterFacts(message))
    #expect(counter.name == "undeclared")
    #expect(counter.packets == 3)
    let refusal = try #require(NetlinkMessage.parse(NetlinkFixtures.noTable)?.first)
    #expect(NetlinkVerdict(refusal)?.number == 2)
    #expect(NetlinkVerdict(refusal)?.text == "")
  }

  /// The last eight bytes are the number: all of them count, and with one less there is none.
  @Test func aCountHasEightBytes() throws {
    let whole = NetlinkFixtures.counter
    let largest = whole.dropLast(8) + [UInt8](repeating: 0xff, count: 8)
    #expect(CounterFacts(try #require(NetlinkMessage.parse(Array(largest))?.first))?.packets == UInt64.max)
    var short = Array(whole.dropLast(1))
    short[0] = 103  // of the message
    short[76] = 27  // of NFTA_OBJ_DATA
    short[92] = 11  // of NFTA_COUNTER_PACKETS
    #expect(CounterFacts(try #require(NetlinkMessage.parse(short)?.first)) == nil)
  }

  @Test func oneKindIsNotTakenForAnother() throws {
    for bytes in NetlinkFixtures.all {
      for message in try #require(NetlinkMessage.parse(bytes)) {
        #expect((LinkFacts(message) != nil) == (message.type == RouteMessageType.newLink))
        #expect((AddressFacts(message) != nil) == (message.type == RouteMessageType.newAddress))
        #expect((CounterFacts(message) != nil) == (message.type == NftablesMessageType.newObject))
        #expect((NetlinkVerdict(message) != nil) == (message.type == NetlinkMessageType.error))
      }
    }
  }

  @Test func aLengthThatIsWrongIsRefused() {
    // Shorter than a header, and longer than the datagram.
    for length in [UInt8(0), 15, 37, 255] {
      var bytes = NetlinkFixtures.acknowledgement
      bytes[0] = length
      #expect(NetlinkMessage.parse(bytes) == nil)
    }
    // An attribute that is shorter than its own header, and one that is longer than what is left.
    for length in [UInt8(0), 3, 9] { #expect(Netlink.attributes([length, 0, 1, 0, 1, 2, 3, 4], from: 0) == nil) }
    #expect(Netlink.attributes([8, 0, 1, 0, 1, 2, 3, 4], from: 0) == [1: [1, 2, 3, 4]])
    #expect(Netlink.attributes([1, 2, 3], from: 4) == nil)
  }

  /// An errno that no kernel gives is no verdict: negating the lowest number would trap.
  @Test(arguments: [UInt32(1), 0x8000_0000, 0xffff_0000]) func anErrorNumberOutOfBoundsIsRefused(raw: UInt32) throws {
    var bytes = NetlinkFixtures.acknowledgement
    bytes.replaceSubrange(16..<20, with: NetlinkEncoder.littleEndian(raw))
    let message = try #require(NetlinkMessage.parse(bytes)?.first)
    #expect(NetlinkVerdict(message) == nil)
  }

  /// What was written is read back, whatever the sizes.
  @Test func attributesComeBack() throws {
    var random = SeededGenerator(state: 1)
    for _ in 0..<500 {
      var message = NetlinkEncoder(type: 16, flags: .request)
      var written: [UInt16: [UInt8]] = [:]
      for _ in 0..<Int.random(in: 0...8, using: &random) {
        let type = UInt16.random(in: 0...0x3fff, using: &random)
        let value = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        written[type] = value
        message.append(attribute: type, value)
      }
      let bytes = message.message(sequence: 3)
      #expect(bytes.count % 4 == 0)
      let parsed = try #require(NetlinkMessage.parse(bytes)?.first)
      #expect(Netlink.attributes(parsed.payload, from: 0) == written)
    }
  }

  /// Any bytes at all give a value or nil, and never a trap: cut, flipped and random ones.
  @Test func parsingIsTotal() {
    var random = SeededGenerator(state: 2)
    var parsed = 0
    func feed(_ bytes: [UInt8]) {
      for message in NetlinkMessage.parse(bytes) ?? [] {
        _ = LinkFacts(message)
        _ = AddressFacts(message)
        _ = NetlinkVerdict(message)
        _ = CounterFacts(message)
        parsed += 1
      }
    }
    for whole in NetlinkFixtures.all {
      for length in 0...whole.count { feed(Array(whole.prefix(length))) }
      for _ in 0..<1_500 {
        var bytes = whole
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        feed(bytes)
      }
    }
    for _ in 0..<6_000 {
      feed((0..<Int.random(in: 0...96, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
    }
    // Enough of them got past the header for this to have tried what lies behind.
    #expect(parsed > 4_000)
  }
}
